"""Troubles: what keeps a service from sending, and which error is a sign of which."""

from __future__ import annotations

from enum import StrEnum

from leadsync.errors import (
    AmoCRMAPIError,
    AmoCRMBanned,
    AmoCRMForbidden,
    AuthorizationRequired,
    LeadsyncError,
    StateUnavailable,
)


class State(StrEnum):
    """What a service is doing, in the words of StateChanged."""

    WORKING = "working"
    CRM = "crm unavailable"
    REDIS = "redis unavailable"
    SOURCE = "source unavailable"
    BANNED = "banned"
    FORBIDDEN = "forbidden"
    LOGIN = "login needed"
    DRAINING = "draining"


_STATES: tuple[tuple[type[LeadsyncError], State], ...] = (
    (AmoCRMBanned, State.BANNED),
    (AmoCRMForbidden, State.FORBIDDEN),
    (AuthorizationRequired, State.LOGIN),
    (AmoCRMAPIError, State.CRM),
    (StateUnavailable, State.REDIS),
)


def state_of(error: LeadsyncError) -> State | None:
    """The state an error puts a service into; None for one that no waiting cures."""
    return next((state for kind, state in _STATES if isinstance(error, kind)), None)
