"""A process of its own that makes five calls at once with the token it finds in Redis; run by test_oauth.py."""

from __future__ import annotations

import asyncio
import sys

from pydantic import SecretStr
from redis.asyncio import Redis

from leadsync.amocrm import AmoCRMClient, NoBudget, OAuthClient, StoredTokens, Timeouts, TokenStore, open_http
from leadsync.events import ignore
from leadsync.sandbox.oauth import CLIENT_ID, CLIENT_SECRET, REDIRECT_URI


async def main(url: str, socket: str, prefix: str, now: str) -> None:
    """Say that the process is ready, wait for the signal, and call."""
    async with (
        Redis(unix_socket_path=socket) as redis,
        open_http(url, budget=NoBudget(), listener=ignore, timeouts=Timeouts()) as http,
    ):
        oauth = OAuthClient(
            client_id=CLIENT_ID,
            client_secret=SecretStr(CLIENT_SECRET),
            redirect_uri=REDIRECT_URI,
            base_url=url,
            www_url=url,
            http=http,
            store=TokenStore(redis, prefix, clock=lambda: float(now)),
        )
        auth = StoredTokens(oauth)
        await auth.token()
        async with AmoCRMClient(url, auth, budget=NoBudget()) as amocrm:
            await redis.rpush("ready", 1)
            await redis.blpop(["go"], timeout=30)
            await asyncio.gather(*(amocrm.account() for _ in range(5)))


asyncio.run(main(*sys.argv[1:]))
