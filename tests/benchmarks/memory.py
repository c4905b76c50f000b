"""Memory: the most a run ever holds, over many talks and over a hundredth of them."""

from __future__ import annotations

from tests.benchmarks.figures import Figure, ratio
from tests.benchmarks.options import Options
from tests.benchmarks.place import Place, open_place
from tests.benchmarks.talks import store_talks
from tests.benchmarks.unchanged import remembered

MEGABYTE = 1_000_000


def memory(options: Options) -> list[Figure]:
    """Peak memory of `leadsync run` in a fresh process: talks that did not change, and new ones."""
    few, many, new = options.size((2000, 200_000, 20_000), (200, 2000, 400))
    rounds = options.times(1)
    figures: list[Figure] = []
    for kind, count in (("unchanged", many), ("new", new)):
        small = [_peak(few, kind) for _ in rounds]
        large = [_peak(count, kind) for _ in rounds]
        names = "leadsync run, each in a fresh process"
        figures += [
            ratio(
                f"peak memory, {count} / {few} {kind} talks", large, small, options.at_most(1.3), unit="MB", names=names
            ),
            Figure(f"peak memory, {count} {kind} talks", tuple(large), "MB", options.at_most(200)),
        ]
    return figures


def _peak(talks: int, kind: str) -> float:
    """Megabytes."""
    with open_place() as place:
        _prepared(place, talks, kind)
        return int(place.process("peak.py", "run").out) / MEGABYTE


def _prepared(place: Place, talks: int, kind: str) -> None:
    if kind == "new":
        store_talks(place.redis, 0, talks)
    else:
        remembered(place, talks)
