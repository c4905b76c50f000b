"""The long versions of what the tests of this folder show, for a person to start:

python -m tests.follow.long kills      three workers, one killed every 5 s for a minute, while 600 talks arrive
python -m tests.follow.long latency    from XADD to the lead, 500 talks at 2 a second, answers after 100 ms
python -m tests.follow.long soak       20 000 talks through one service: its memory after 2 000 and at the end
"""

from __future__ import annotations

import asyncio
import random
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from leadsync.sandbox import Sandbox
from tests.follow.following import STREAM, add, follow, pending
from tests.follow.killing import all_accepted, live_and_die, most_in_a_second
from tests.promises.crowd import Crowd
from tests.promises.promises import assert_kept
from tests.promises.server import KeptValkey
from tests.promises.worker import Life
from tests.world import World, talk


@asynccontextmanager
async def world_of(rate: float, seconds: float, **amocrm: float) -> AsyncIterator[World]:
    """A CRM with a limit of requests that answers so late, and an empty Redis."""
    with tempfile.TemporaryDirectory() as folder:
        async with KeptValkey(Path(folder, "valkey")) as valkey, Sandbox(rate=rate) as sandbox:
            if seconds:
                sandbox.faults.add(f"* /api/v4/* late seconds={seconds}")
            world = World(sandbox, valkey.redis, valkey.url, Path(folder))
            world.write(amocrm=amocrm, sources={"talks": STREAM})
            yield world


async def kills() -> None:
    """Three workers, of which one dies every five seconds."""
    seed = random.SystemRandom().getrandbits(32)
    async with world_of(7, 0.1, requests_per_second=6.5) as world:
        crowd = Crowd.of(600, seed)
        await live_and_die(world, crowd, random.Random(seed), seconds=60.0, deaths=12)
        await assert_kept(world, crowd)
        most = most_in_a_second([one.tick for one in world.sandbox.requests])
        print(
            f"seed {seed}: {len(world.leads())} leads of {len(crowd.talks)} talks, each once; "
            f"{world.sandbox.requests.total} requests, at most {most} in a second"
        )


async def latency(count: int = 500, every: float = 0.5) -> None:
    """From XADD to the lead in the CRM, on a worker that is warm."""
    async with world_of(7, 0.1, requests_per_second=6.5) as world:
        life = Life(follow, world.folder)
        await add(world.redis, *(talk(f"warm{one}", phone=f"+7916000{one:04}") for one in range(10)))
        await all_accepted(world.redis)
        written: dict[str, float] = {}
        seen: dict[str, float] = {}

        async def watch() -> None:
            while len(seen) < count:
                for lead in list(world.sandbox.account.leads)[-60:]:
                    name = lead.facts["name"]
                    if name in written and name not in seen:
                        seen[name] = time.monotonic()
                await asyncio.sleep(0.005)

        watching = asyncio.create_task(watch())
        for one in range(count):
            written[f"Заявка от {one}"] = time.monotonic()
            await add(world.redis, talk(str(one), user_name=str(one), phone=f"+7917{one:07}"))
            await asyncio.sleep(every)
        await watching
        life.terminate()
        await life.end()
        took = sorted(seen[name] - written[name] for name in seen)
        print(
            f"{count} talks: median {statistics.median(took):.2f} s, 95 % {took[int(count * 0.95)]:.2f} s, "
            f"longest {took[-1]:.2f} s, {world.sandbox.requests.total / count:.2f} requests a talk"
        )


async def soak(count: int = 20_000, first: int = 2_000) -> None:
    """The memory of a service that lives long."""
    async with world_of(0, 0, requests_per_second=1000) as world:
        life = Life(follow, world.folder)
        for number in range(count):
            await add(world.redis, talk(str(number), f"Здравствуйте, {number}", phone=f"+7916{number:07}"))
            if number + 1 == first:
                await all_accepted(world.redis)
                before = resident(life.process_id)
            if number % 500 == 499:
                await all_accepted(world.redis, 600)
        await all_accepted(world.redis, 600)
        after = resident(life.process_id)
        life.terminate()
        await life.end()
        print(
            f"{len(world.leads())} leads; {before / 1024:.1f} MiB after {first}, {after / 1024:.1f} MiB after {count}: "
            f"{after / before:.3f} times; {await pending(world.redis)} entries pending"
        )


def resident(process: int) -> int:
    """Kibibytes of a process's memory."""
    for line in Path(f"/proc/{process}/status").read_text().splitlines():
        if line.startswith("VmRSS"):
            return int(line.split()[1])
    raise ProcessLookupError(process)


if __name__ == "__main__":
    asyncio.run({"kills": kills, "latency": latency, "soak": soak}[sys.argv[1]]())
