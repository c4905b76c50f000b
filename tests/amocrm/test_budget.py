"""The budget: never more than the account allows in any second."""

from __future__ import annotations

import asyncio
from time import perf_counter

import pytest

from leadsync.amocrm.budget import LocalBudget, NoBudget


async def test_any_second_holds_at_most_seven() -> None:
    """At 6.5 per second no window of one second sees more than 7 requests, however many are waiting."""
    budget, passed = LocalBudget(6.5), []

    async def request() -> None:
        await budget.wait()
        passed.append(perf_counter())

    await asyncio.gather(*(request() for _ in range(16)))
    assert max(sum(start <= one < start + 1 for one in passed) for start in passed) <= 7
    assert passed[-1] - passed[0] < 3.5


@pytest.mark.parametrize("rate", [0, -1, float("nan")])
def test_a_rate_must_be_positive(rate: float) -> None:
    """A rate of nothing would wait for ever."""
    with pytest.raises(ValueError, match="above zero"):
        LocalBudget(rate)


async def test_no_budget_never_waits() -> None:
    """Without a budget ten thousand requests pass at once."""
    budget, started = NoBudget(), perf_counter()
    for _ in range(10_000):
        await budget.wait()
    assert perf_counter() - started < 1
