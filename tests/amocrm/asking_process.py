"""A process of its own that asks for the account as fast as the shared budget lets it; run by test_shared_budget.py."""

from __future__ import annotations

import asyncio
import sys

from redis.asyncio import Redis

from leadsync.amocrm import AmoCRMClient, LongLivedToken, SharedBudget


async def main(url: str, token: str, socket: str, prefix: str, calls: str) -> None:
    """Say that the process is ready, wait for the signal, and make so many calls at once."""
    async with Redis(unix_socket_path=socket) as redis:
        budget = SharedBudget(redis, prefix, 6.5)
        async with AmoCRMClient(url, LongLivedToken(token), budget=budget) as amocrm:
            await redis.rpush("ready", 1)
            await redis.blpop(["go"], timeout=30)
            await asyncio.gather(*(amocrm.account() for _ in range(int(calls))))


asyncio.run(main(*sys.argv[1:]))
