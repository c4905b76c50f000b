"""Unchanged talks: what a run costs that has nothing to do."""

from __future__ import annotations

from tests.benchmarks.figures import Figure, ratio
from tests.benchmarks.options import Options
from tests.benchmarks.place import Ended, Place, open_place
from tests.benchmarks.talks import raw_talks, store_talks

REAL = 500
"""Talks that are really brought in; see processes/remember.py."""


def remembered(place: Place, talks: int) -> None:
    """Fill Redis with talks and with what leadsync remembers of them after a run."""
    store_talks(place.redis, 0, min(REAL, talks))
    place.leadsync("run")
    store_talks(place.redis, 0, talks)
    place.process("remember.py")


def unchanged(options: Options) -> list[Figure]:
    """`leadsync run` over talks that did not change, beside a bare loop over the same values."""
    talks = options.size(100_000, 2000)
    runs: list[float] = []
    whole: list[Ended] = []
    bare_whole: list[Ended] = []
    bare: list[float] = []
    asked: list[float] = []
    with open_place() as place:
        remembered(place, talks)
        for _ in options.times(7):
            place.crm.forget_requests()
            bare_whole.append(place.process("bare_loop.py", place.socket))
            loop = bare_whole[-1].json
            ended = place.leadsync("run", "--format", "json")
            summary = ended.json["summary"]
            if (loop["count"], summary["unchanged"]) != (talks, talks):
                raise RuntimeError(f"of {talks} talks the loop saw {loop['count']}, and the run {summary}")
            bare.append(loop["seconds"])
            runs.append(ended.json["seconds"])
            whole.append(ended)
            asked.append(place.crm.total())
    names = f"leadsync run / SCAN + MGET + blake2b in redis-py; a talk has {_size()} bytes"
    processes = "start-up and end included"
    return [
        ratio(f"seconds of {talks} unchanged talks / bare loop", runs, bare, options.at_most(2), names=names),
        ratio(
            "the same, processor time of whole processes",
            [one.busy for one in whole],
            [one.busy for one in bare_whole],
            names=processes,
        ),
        Figure("requests to the CRM for them", tuple(asked), "", options.at_most(0)),
    ]


def _size() -> int:
    """Bytes of a talk."""
    return len(next(raw_talks(0, 1))[1])
