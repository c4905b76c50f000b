"""A pipeline that gives the CRM a quarter of a second to answer, and lost writes a twentieth to arrive."""

from __future__ import annotations

from leadsync.amocrm.wire import Timeouts
from leadsync.events import Listener, ignore
from leadsync.pipeline import Pipeline
from tests.world import QUICK, World

TOTAL, SETTLE = 0.25, 0.05
TOO_LATE = 0.4


def impatient(world: World, listener: Listener = ignore) -> Pipeline:
    """A pipeline of this world's project."""
    path, timeouts = world.folder / "leadsync.yaml", Timeouts(connect=1, total=TOTAL)
    return Pipeline.from_file(path, listener=listener, retry=QUICK, timeouts=timeouts, settle=SETTLE)
