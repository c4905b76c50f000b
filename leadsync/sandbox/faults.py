"""Rules that break what would have worked: dropped connections, late answers, gateway errors, stale search.

A rule in one line: `METHOD PATH KIND [p=0.3] [nth=5] [every=10] [times=3] [seconds=2] [items=100] [seed=7]`, for
instance `POST /api/v4/leads drop_after p=0.3` or `* /api/* 429 nth=5 times=10`.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from fnmatch import fnmatchcase
from typing import Any

import orjson

from .calls import Call

DROPS = frozenset({"drop_before", "drop_after"})
BEFORE = frozenset(
    {"drop_before", "504_before", "500_before", "html_404", "429", "ban403", "forbidden", "system_error_400"}
    | {"echo_400"}
)
AFTER = frozenset({"drop_after", "late", "504_after", "500_after", "truncated", "unnamed_400"})
BENDING = frozenset({"search_lag", "filters_ignored"})
KINDS = BEFORE | AFTER | BENDING

_NUMBERS: dict[str, tuple[str, type]] = {
    "p": ("probability", float),
    "nth": ("nth", int),
    "every": ("every", int),
    "times": ("times", int),
    "seconds": ("seconds", float),
    "items": ("items", int),
    "seed": ("seed", int),
}


@dataclass(frozen=True, slots=True)
class FaultRule:
    """What goes wrong, and when.

    Kinds that end in `before` change nothing; after those that end in `after`, `late` and `truncated` the request was
    applied; `unnamed_400` refuses what is refused anyway without a word about which item is at fault, `echo_400`
    refuses everything and repeats all that was sent. `path` is a glob.
    A rule strikes each matching request; or with chance `probability`; or each `every`-th; or from the `nth` on,
    `times` in a row (1 unless set). `times` bounds the strikes in all. `items` limits it to arrays of at least that
    many. `seconds` is how late an answer is, or for how long the search misses what is new.
    """

    method: str
    path: str
    kind: str
    probability: float | None = None
    nth: int | None = None
    every: int | None = None
    times: int | None = None
    seconds: float = 1.0
    items: int = 0
    seed: int = 1

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"no fault {self.kind!r}; there are: {', '.join(sorted(KINDS))}")

    @classmethod
    def parse(cls, text: str) -> FaultRule:
        """Reads a rule from one line; ValueError says what is wrong with it."""
        words = text.split()
        if len(words) < 3:
            raise ValueError(f"a fault is `METHOD PATH KIND [name=number…]`, not {text!r}")
        extras: dict[str, Any] = {}
        for word in words[3:]:
            name, _, value = word.partition("=")
            if name not in _NUMBERS:
                raise ValueError(f"no fault option {name!r}; there are: {', '.join(_NUMBERS)}")
            key, number = _NUMBERS[name]
            try:
                extras[key] = number(value)
            except ValueError:
                raise ValueError(f"fault option {name} takes a number, not {value!r}") from None
        return cls(words[0].upper(), words[1], words[2], **extras)


@dataclass(slots=True)
class _Armed:
    rule: FaultRule
    dice: random.Random
    seen: int = 0
    struck: int = 0

    def strikes(self, call: Call) -> bool:
        rule = self.rule
        if rule.method not in ("*", call.method) or not fnmatchcase(call.path, rule.path):
            return False
        if rule.items and _items(call) < rule.items:
            return False
        self.seen += 1
        if not self._is_due():
            return False
        self.struck += 1
        return True

    def _is_due(self) -> bool:
        rule = self.rule
        if rule.nth is not None:
            return rule.nth <= self.seen < rule.nth + (rule.times or 1)
        if rule.times is not None and self.struck >= rule.times:
            return False
        if rule.every is not None:
            return self.seen % rule.every == 0
        return rule.probability is None or self.dice.random() < rule.probability


def _items(call: Call) -> int:
    try:
        body = orjson.loads(call.body)
    except orjson.JSONDecodeError:
        return 0
    return len(body) if isinstance(body, list) else 0


class Faults:
    """The rules in force, in the order they were added; of the striking kinds the first that is due wins."""

    def __init__(self) -> None:
        self._armed: list[_Armed] = []

    def add(self, rule: FaultRule | str) -> FaultRule:
        """Puts a rule in force, given as such or as one line."""
        if isinstance(rule, str):
            rule = FaultRule.parse(rule)
        self._armed.append(_Armed(rule, random.Random(rule.seed)))
        return rule

    def clear(self) -> None:
        """Takes all rules out of force."""
        self._armed.clear()

    def strike(self, call: Call) -> FaultRule | None:
        """The rule that strikes this request, if any; rules that bend reading are noted in the call itself."""
        first: FaultRule | None = None
        for armed in self._armed:
            bends = armed.rule.kind in BENDING
            if (bends or first is None) and armed.strikes(call):
                if not bends:
                    first = armed.rule
                elif armed.rule.kind == "search_lag":
                    call.search_lag = armed.rule.seconds
                else:
                    call.ignore_filters = True
        return first

    def shown(self) -> list[dict[str, Any]]:
        """The rules with how many requests each has seen and struck."""
        return [{**asdict(armed.rule), "seen": armed.seen, "struck": armed.struck} for armed in self._armed]

    def __iter__(self) -> Iterator[FaultRule]:
        return iter([armed.rule for armed in self._armed])

    def __len__(self) -> int:
        return len(self._armed)
