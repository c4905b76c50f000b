"""What no reader of Redis can do without: SCAN, MGET, and a hash of every value; `bare_loop.py SOCKET`.

Prints how many values there were and in how many seconds.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from hashlib import blake2b

from redis.asyncio import Redis


async def main(socket: str) -> None:
    """With the same asynchronous client, pages as large, and the same hash as leadsync uses."""
    async with Redis(unix_socket_path=socket) as redis:
        await redis.ping()
        started, count, cursor = time.perf_counter(), 0, 0
        while True:
            cursor, keys = await redis.scan(cursor, match="dialog:*", count=500)
            for value in await redis.mget(keys) if keys else []:
                blake2b(value, digest_size=16).digest()
                count += 1
            if cursor == 0:
                break
        print(json.dumps({"count": count, "seconds": time.perf_counter() - started}))


asyncio.run(main(sys.argv[1]))
