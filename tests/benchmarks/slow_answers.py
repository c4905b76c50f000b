"""Slow answers: how much of its rate a run uses while amoCRM takes long to answer."""

from __future__ import annotations

from collections.abc import Sequence

from tests.benchmarks.crm import ALLOWED
from tests.benchmarks.figures import Figure
from tests.benchmarks.options import Options
from tests.benchmarks.pace import most_in_a_second, rate
from tests.benchmarks.place import open_place
from tests.benchmarks.talks import store_talks

RATE = 6.5
"""Requests per second of the shipped project."""


def slow_answers(options: Options) -> list[Figure]:
    """The share of its rate that a run of new talks uses, on an account whose batch sizes are known."""
    learning, talks, answer = options.size((1000, 12_000, 0.7), (60, 120, 0.1))
    shares: list[float] = []
    peaks: list[float] = []
    for _ in options.times(3):
        with open_place() as place:
            store_talks(place.redis, 0, learning)
            place.leadsync("run")
            place.set_up(requests_per_second=RATE)
            place.crm.forget_requests()
            place.crm.turn(rate=ALLOWED)
            place.crm.slow_down(answer)
            store_talks(place.redis, learning, talks)
            place.leadsync("run")
            calls = place.crm.calls()
            shares.append(rate(while_work_waits(calls)) / RATE)
            peaks.append(most_in_a_second([at for at, _ in calls]))
    of = f"{talks} new talks, answers of {answer * 1000:.0f} ms; from the first write to the last batch of contacts"
    return [
        Figure("share of its rate that a run uses while work waits", tuple(shares), "", options.at_least(0.95), of),
        Figure("most requests in any second of it", tuple(peaks), "", options.at_most(ALLOWED)),
    ]


def while_work_waits(calls: Sequence[tuple[float, str]]) -> list[float]:
    """The moments of those calls before and after which others were waiting: once no contacts are left to be sent, the
    rest waits for answers only."""
    writes = [number for number, (_, call) in enumerate(calls) if call.startswith(("POST ", "PATCH "))]
    contacts = [number for number, (_, call) in enumerate(calls) if call == "POST /api/v4/contacts"]
    return [at for at, _ in calls[writes[0] : contacts[-1] + 1]]
