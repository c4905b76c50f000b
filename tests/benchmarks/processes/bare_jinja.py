"""The templates of the shipped mappings, rendered by Jinja alone in a loop; `bare_jinja.py SOCKET`.

What is in it: SCAN and MGET with redis-py's asynchronous client, orjson, `datetime.fromisoformat` for the messages, one
plain `jinja2.Environment`, every template of a talk's mapping (key, contact, lead, tags, fields, note) compiled once,
the filters that they call as functions of a line, and the texts written to stdout as JSON. What is not in it: a
sandbox, bounds, types, phones and e-mails made alike, the account's names, items for amoCRM, places for mistakes.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import orjson
import yaml
from jinja2 import Environment, Template
from redis.asyncio import Redis

PROJECT = yaml.safe_load(Path("leadsync.yaml").read_text("utf-8"))
ZONE = ZoneInfo(PROJECT["defaults"]["timezone"])
TABLES = PROJECT["tables"]
(SOURCE,) = PROJECT["sources"].values()

JINJA = Environment(trim_blocks=True, lstrip_blocks=True)
JINJA.filters["lookup"] = lambda value, table: TABLES[table].get(value, "")
JINJA.filters["datetime"] = lambda at: at.astimezone(ZONE).strftime("%d.%m.%Y %H:%M")
JINJA.filters["find_phone"] = JINJA.filters["find_email"] = lambda messages: ""


def templates(node: Any, path: str = "") -> Iterator[tuple[str, Template]]:
    """Every text of a mapping that is sent or decides something, by its path."""
    if isinstance(node, dict):
        for name, value in node.items():
            if name not in ("key_field", "match"):
                yield from templates(value, f"{path}.{name}")
    elif isinstance(node, list):
        for number, value in enumerate(node):
            yield from templates(value, f"{path}.{number}")
    else:
        yield path[1:], JINJA.from_string(str(node))


MAPPINGS = {
    source: list(templates(yaml.safe_load(Path(path).read_text("utf-8")))) for source, path in SOURCE["mapping"].items()
}


def rendered(raw: bytes) -> dict[str, str]:
    """The texts of one talk."""
    talk = orjson.loads(raw)
    for message in talk["messages"]:
        message["at"] = datetime.fromisoformat(message["at"])
    return {path: template.render(talk, continued=False) for path, template in MAPPINGS[talk["source"]]}


async def main(socket: str) -> None:
    """Every talk there is."""
    async with Redis(unix_socket_path=socket) as redis:
        cursor = 0
        while True:
            cursor, keys = await redis.scan(cursor, match=SOURCE["match"], count=500)
            for value in await redis.mget(keys) if keys else []:
                sys.stdout.buffer.write(orjson.dumps(rendered(value)) + b"\n")
            if cursor == 0:
                break


asyncio.run(main(sys.argv[1]))
