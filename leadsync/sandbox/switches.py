"""The quirks that differ between accounts or vendors, each a switch that can be turned while the sandbox runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

_ALLOWED: dict[str, tuple[type, ...]] = {"bool": (bool,), "int": (int,), "float": (int, float)}


@dataclass(slots=True)
class Switches:
    """How this account behaves; the defaults are amoCRM's own, strictest reading.

    `rate` is requests per second over any sliding second (0: no limit); `retry_after` is in seconds (0: no such
    header); `ban_after` is how many refusals for speed within a minute block the account (0: never); `largest_page` is
    how many items a page of a list holds at most, whatever limit is asked for; the lives are in seconds.
    """

    is_api_filter_enabled: bool = True
    largest_page: int = 250
    cut_at_emoji: bool = False
    relink_fails: bool = False
    duplicate_control: bool = False
    lenient_refresh: bool = False
    kommo_429: bool = False
    retry_after: int = 0
    rate: float = 7
    ban_after: int = 0
    banned: bool = False
    payment_required: bool = False
    invalid_account: bool = False
    deny_login: bool = False
    access_token_life: int = 86_400
    refresh_token_life: int = 90 * 86_400
    code_life: int = 1_200

    def update(self, changes: Mapping[str, Any]) -> None:
        """Turns several switches at once; ValueError names an unknown switch or a wrong type, and nothing is turned."""
        kinds = {field.name: str(field.type) for field in fields(self)}
        for name, value in changes.items():
            if name not in kinds:
                raise ValueError(f"no switch {name!r}; there are: {', '.join(kinds)}")
            if not isinstance(value, _ALLOWED[kinds[name]]) or (isinstance(value, bool) != (kinds[name] == "bool")):
                raise ValueError(f"switch {name!r} takes a value of type {kinds[name]}")
        for name, value in changes.items():
            setattr(self, name, value)

    def reset(self) -> None:
        """Turns everything back to the defaults."""
        self.update(asdict(Switches()))

    def as_dict(self) -> dict[str, Any]:
        """Every switch by name."""
        return asdict(self)
