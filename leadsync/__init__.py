"""leadsync turns the talks of a firm's bots into contacts, leads, custom fields and notes in amoCRM.

from leadsync import Pipeline

async with Pipeline.from_file("leadsync.yaml") as pipeline:
    result = await pipeline.push({"id": "42", "source": "telegram", "user_name": "…", "phone": "…"})
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from leadsync.amocrm import AmoCRMClient as AmoCRMClient
    from leadsync.errors import AmoCRMAPIError as AmoCRMAPIError
    from leadsync.errors import AmoCRMRateLimitError as AmoCRMRateLimitError
    from leadsync.errors import ConfigurationError as ConfigurationError
    from leadsync.errors import LeadsyncError as LeadsyncError
    from leadsync.pipeline import Pipeline as Pipeline
    from leadsync.records import Message as Message
    from leadsync.records import Record as Record
    from leadsync.sync.results import Plan as Plan
    from leadsync.sync.results import PushResult as PushResult
    from leadsync.sync.results import RunReport as RunReport

_HOMES = {
    "AmoCRMAPIError": "leadsync.errors",
    "AmoCRMClient": "leadsync.amocrm",
    "AmoCRMRateLimitError": "leadsync.errors",
    "ConfigurationError": "leadsync.errors",
    "LeadsyncError": "leadsync.errors",
    "Message": "leadsync.records",
    "Pipeline": "leadsync.pipeline",
    "Plan": "leadsync.sync.results",
    "PushResult": "leadsync.sync.results",
    "Record": "leadsync.records",
    "RunReport": "leadsync.sync.results",
}
"""Where each public name lives; imported at first use, so that a command's `--help` does not load the engine."""

__all__ = [
    "AmoCRMAPIError",
    "AmoCRMClient",
    "AmoCRMRateLimitError",
    "ConfigurationError",
    "LeadsyncError",
    "Message",
    "Pipeline",
    "Plan",
    "PushResult",
    "Record",
    "RunReport",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'leadsync' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
