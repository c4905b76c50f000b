"""Following: how long a lead takes from the XADD of its talk."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import quantiles
from typing import Any

import orjson
import yaml

from tests.benchmarks.crm import environment
from tests.benchmarks.figures import Figure
from tests.benchmarks.options import Options
from tests.benchmarks.place import Place, open_place
from tests.benchmarks.talks import talk

ANSWER = 0.1
"""Seconds that an answer of amoCRM takes."""

EVERY = 0.5
"""Seconds between two talks."""

PATIENCE = 900.0
"""Seconds in which what was written has to be accepted."""

STREAM = "talks"


def latency(options: Options) -> list[Figure]:
    """From XADD to the moment when the lead is made, on a warm worker that shares an account's 7 requests a second."""
    count, warm = options.size((500, 20), (10, 5))
    with open_place() as place, following(place, 6.5):
        place.crm.slow_down(ANSWER)
        add(place, range(1_000_000, 1_000_000 + warm))
        wait(place)
        place.crm.forget_requests()
        written: dict[int, float] = {}
        for number in range(count):
            written[number] = time.monotonic()
            add(place, [number])
            time.sleep(max(0.0, written[0] + (number + 1) * EVERY - time.monotonic()))
        wait(place)
        made = place.crm.leads_made()
        asked = place.crm.total() / count
    took = [made[f"Клиент {number}"] - at for number, at in written.items()]
    told = f"{count} talks, one every {EVERY:g} s, answers after {1000 * ANSWER:.0f} ms"
    late = quantiles(took, n=20)[-1]
    return [
        Figure("from XADD to the lead", tuple(took), "s", options.at_most(1), told),
        Figure("the same, of 95 of 100", (late,), "s", None, f"the longest took {max(took):.2f} s"),
        Figure("requests of a talk", (asked,), "", None, told),
    ]


@contextmanager
def following(place: Place, requests_per_second: float) -> Iterator[subprocess.Popen[bytes]]:
    """`leadsync run --follow` on a stream, as a process of its own, until the end of the block."""
    place.set_up(requests_per_second)
    path = place.folder / "leadsync.yaml"
    project = yaml.safe_load(path.read_text(encoding="utf-8"))
    ((name, source),) = project["sources"].items()
    project["sources"] = {name: {"type": "redis-stream", "stream": STREAM, "mapping": source["mapping"]}}
    path.write_text(yaml.safe_dump(project, allow_unicode=True), encoding="utf-8")
    said = Path(place.folder, "said.txt")
    with said.open("wb") as errors:
        command = [sys.executable, "-m", "leadsync", "run", "--follow"]
        service = subprocess.Popen(
            command, cwd=place.folder, env=environment(), stdout=subprocess.DEVNULL, stderr=errors
        )
        try:
            yield service
            service.send_signal(signal.SIGTERM)
            if service.wait(60) != 0:
                raise RuntimeError(f"the service ended with {service.returncode}:\n{said.read_text()[-2000:]}")
        finally:
            service.kill()
            service.wait()


def add(place: Place, numbers: Any) -> None:
    """Write talks to the stream."""
    with place.redis.pipeline(transaction=False) as pipe:
        for number in numbers:
            pipe.xadd(STREAM, {"record": orjson.dumps(talk(number))})
        pipe.execute()


def wait(place: Place) -> None:
    """Until the service has accepted everything. Raises RuntimeError when that takes too long."""
    until = time.monotonic() + PATIENCE
    while not _accepted(place):
        if time.monotonic() > until:
            raise RuntimeError(f"not all talks were brought in within {PATIENCE:.0f} s")
        time.sleep(0.02)


def _accepted(place: Place) -> bool:
    groups: Any = place.redis.xinfo_groups(STREAM)
    return bool(groups) and groups[0]["lag"] == 0 and groups[0]["pending"] == 0
