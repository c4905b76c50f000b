"""Pace: how many requests go out in any one second, and how much of the rate is used while work is waiting."""

from __future__ import annotations

import subprocess
import sys
from bisect import bisect_left
from collections.abc import Sequence

from tests.benchmarks.crm import ALLOWED, ANSWER, REPOSITORY, environment
from tests.benchmarks.figures import Figure
from tests.benchmarks.options import Options
from tests.benchmarks.place import Place, open_place
from tests.benchmarks.talks import store_talks

ASKING = REPOSITORY / "tests" / "amocrm" / "asking_process.py"


def pace(options: Options) -> list[Figure]:
    """One, two and four processes that ask all the time, and so many `leadsync run` of one project at once."""
    figures: list[Figure] = []
    for count in options.size((1, 2, 4), (1, 2)):
        calls = options.size(100, 12) // count
        peaks, rates = [], []
        for _ in options.times(3):
            arrivals = _asked(count, calls)
            peaks.append(float(most_in_a_second(arrivals)))
            rates.append(rate(arrivals))
        who = "1 process" if count == 1 else f"{count} processes"
        of = f"{calls * count} requests of {who}, answers of 300 ms"
        figures += [
            Figure(f"most requests in any second, {who}", tuple(peaks), "", options.at_most(ALLOWED), of),
            Figure(f"requests per second, {who}", tuple(rates), "/s", options.at_least(6.2), of),
        ]
    return figures + [_runs(options, count) for count in options.size((2, 4), (2,))]


def _runs(options: Options, count: int) -> Figure:
    """`leadsync run` several times at once, on the same new talks."""
    contacts, talks = options.size((5000, 1000), (300, 40))
    peaks: list[float] = []
    for _ in options.times(1):
        with open_place(contacts) as place:
            place.set_up(requests_per_second=6.5)
            place.crm.slow_down(ANSWER)
            store_talks(place.redis, 0, talks)
            _side_by_side([[sys.executable, "-m", "leadsync", "run"]] * count, place)
            made = place.crm.made()
            if made["leads"] != talks:
                raise RuntimeError(f"{count} runs made {made} of {talks} talks")
            peaks.append(most_in_a_second(place.crm.arrivals()))
    of = f"{talks} new talks of one source, account of {contacts} contacts"
    what = f"most requests in any second, {count} × leadsync run"
    return Figure(what, tuple(peaks), "", options.at_most(ALLOWED), of)


def _asked(count: int, calls: int) -> list[float]:
    """When the requests of so many processes arrived, each of which asks as fast as it may."""
    with open_place() as place:
        place.crm.slow_down(ANSWER)
        arguments = [place.crm.url, place.crm.token, str(place.socket), "bench:", str(calls)]
        running = [
            subprocess.Popen([sys.executable, str(ASKING), *arguments], env=environment(), stderr=subprocess.PIPE)
            for _ in range(count)
        ]
        try:
            for _ in running:
                if place.redis.blpop(["ready"], timeout=60) is None:
                    raise RuntimeError("a process that asks did not start")
            place.redis.rpush("go", *range(count))
        finally:
            _ended(running)
        return place.crm.arrivals()


def _side_by_side(commands: Sequence[Sequence[str]], place: Place) -> None:
    _ended(
        [
            subprocess.Popen(
                one, cwd=place.folder, env=environment(), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
            )
            for one in commands
        ]
    )


def _ended(running: Sequence[subprocess.Popen[bytes]]) -> None:
    """Wait for processes. Raises RuntimeError, with what it said, unless each ends with 0."""
    for process in running:
        _, said = process.communicate()
        if process.returncode:
            raise RuntimeError(f"a process ended with {process.returncode}:\n{said.decode(errors='replace')[-2000:]}")


def most_in_a_second(moments: Sequence[float]) -> int:
    """The most that fell into any one second."""
    ordered = sorted(moments)
    return max(bisect_left(ordered, start + 1.0) - number for number, start in enumerate(ordered))


def rate(moments: Sequence[float]) -> float:
    """How many came in a second, from the first to the last."""
    return (len(moments) - 1) / (max(moments) - min(moments))
