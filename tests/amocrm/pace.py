"""How fast something went: the figures that tests of the budget look at."""

from __future__ import annotations

from collections.abc import Sequence
from time import monotonic

from leadsync.amocrm import Budget


def peak(moments: Sequence[float]) -> int:
    """The most that fell into any one second."""
    return max(sum(start <= one < start + 1 for one in moments) for start in moments)


async def go(budget: Budget) -> float:
    """What a request does: wait, and wait again if its turn has passed; when its first byte went."""
    turn = await budget.wait()
    while not turn.in_time():
        await turn.again()
    return monotonic()
