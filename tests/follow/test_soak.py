"""A service that lives long holds no more than it did when it was young."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.follow.following import STREAM, add, follow
from tests.follow.killing import all_accepted
from tests.promises.worker import Life
from tests.world import World, talk

TALKS, FIRST, AT_ONCE = 20_000, 2_000, 500


@pytest.mark.slow
@pytest.mark.timeout(900)
async def test_memory_does_not_grow(world: World) -> None:
    """After 20 000 talks a service takes at most a tenth more memory than after the first 2 000."""
    world.write(sources={"talks": STREAM})
    life = Life(follow, world.folder)
    young = 0
    for start in range(0, TALKS, AT_ONCE):
        numbers = range(start, start + AT_ONCE)
        await add(world.redis, *(talk(str(one), f"Здравствуйте, {one}", phone=f"+7916{one:07}") for one in numbers))
        await all_accepted(world.redis)
        if start + AT_ONCE == FIRST:
            young = resident(life.process_id)
    old = resident(life.process_id)
    life.terminate()
    assert await life.end() == 0
    assert len(world.sandbox.account.leads) == TALKS
    assert old <= 1.1 * young


def resident(process: int) -> int:
    """Kibibytes of a process's memory."""
    status = Path(f"/proc/{process}/status")
    if not status.exists():
        pytest.skip("this machine does not tell how much memory a process holds")
    return next(int(line.split()[1]) for line in status.read_text().splitlines() if line.startswith("VmRSS"))
