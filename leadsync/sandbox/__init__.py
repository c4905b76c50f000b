"""An amoCRM look-alike over HTTP, with the real limits, refusals and quirks; the rest of leadsync is unknown to it."""

from .faults import FaultRule
from .server import Sandbox
from .switches import Switches

__all__ = ["FaultRule", "Sandbox", "Switches"]
