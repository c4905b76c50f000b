"""The amoCRM look-alike in a process of its own, as far from leadsync as a CRM can be on one machine."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import orjson

REPOSITORY = Path(__file__).parent.parent.parent
ALLOWED = 7.0
"""Requests per second that amoCRM allows an integration (amoCRM docs: api/recommendations)."""

ANSWER = 0.3
"""Seconds that an answer takes."""

STARTS_IN = 20.0
"""Seconds that the look-alike has to start."""

PROCESSES = Path(__file__).with_name("processes")


def environment(**more: str) -> dict[str, str]:
    """The environment of a process that runs this repository's code, and knows nothing of the person's own account.

    Modules are kept compiled, as they are wherever leadsync was installed.
    """
    left_out = ("AMOCRM_", "LEADSYNC_", "REDIS_", "PYTHONDONTWRITEBYTECODE")
    kept = {key: value for key, value in os.environ.items() if not key.startswith(left_out)}
    return {**kept, "PYTHONPATH": str(REPOSITORY), **more}


@dataclass(frozen=True, slots=True)
class Crm:
    """A running look-alike: its address, a token that works, and its strings to pull.

    `folder` is for files, and is gone with it; `contacts` is how many people the account had at the start.
    """

    url: str
    token: str
    folder: Path
    contacts: int
    _http: httpx.Client

    def made(self) -> dict[str, int]:
        """How many contacts, leads, notes, and contacts of leads the account has got."""
        held = orjson.loads(self._http.get("/_sandbox/dump").raise_for_status().content)
        return {
            "contacts": len(held["contacts"]) - self.contacts,
            "leads": len(held["leads"]),
            "notes": len(held["notes"]["leads"]),
            "links": len(held["links"]),
        }

    def turn(self, **switches: Any) -> None:
        """Turn switches; see leadsync/sandbox/switches.py."""
        self._send("PUT", "switches", switches)

    def slow_down(self, seconds: float) -> None:
        """Let every answer come late by so much."""
        self._send("POST", "faults", {"rule": f"* /api/* late seconds={seconds}"})

    def forget_requests(self) -> None:
        """Count anew from here."""
        self._send("DELETE", "requests", None)

    def total(self) -> int:
        """How many requests came in."""
        return int(self._requests(0)["total"])

    def by_route(self) -> dict[str, int]:
        """How many requests came in, by method and path."""
        return dict(self._requests(0)["counts"])

    def arrivals(self) -> list[float]:
        """When the requests came in, in seconds, the first first (the last five thousand of them)."""
        return [one["tick"] for one in self._requests(5000)["requests"]]

    def calls(self) -> list[tuple[float, str]]:
        """The same, each with its method and path (`POST /api/v4/leads`)."""
        return [(one["tick"], f"{one['method']} {one['path']}") for one in self._requests(5000)["requests"]]

    def leads_made(self) -> dict[str, float]:
        """When the first request came that made a lead of a client, in seconds, by the client's name."""
        made: dict[str, float] = {}
        for one in self._requests(5000)["requests"]:
            if (one["method"], one["path"], one["status"]) == ("POST", "/api/v4/leads", 200):
                for lead in one["body"]:
                    made.setdefault(re.sub(r"^Заявка от | \(.*$", "", lead["name"]), one["tick"])
        return made

    def refusals(self) -> int:
        """How many of them were answered with 429."""
        return sum(one["status"] == 429 for one in self._requests(5000)["requests"])

    def _requests(self, limit: int) -> dict[str, Any]:
        answer = self._http.get("/_sandbox/requests", params={"limit": limit})
        return dict(orjson.loads(answer.raise_for_status().content))

    def _send(self, method: str, path: str, body: dict[str, Any] | None) -> None:
        self._http.request(method, f"/_sandbox/{path}", json=body).raise_for_status()


@contextmanager
def running_crm(contacts: int = 0) -> Iterator[Crm]:
    """A look-alike without a limit of requests for as long as the block lasts; its people came to it long ago."""
    with tempfile.TemporaryDirectory(prefix="crm-") as folder:
        address = Path(folder, "address.json")
        command = [sys.executable, str(PROCESSES / "crm.py"), str(address), str(contacts)]
        with subprocess.Popen(command, env=environment(), stderr=subprocess.DEVNULL) as process:
            try:
                found = _address(address, process)
                with httpx.Client(base_url=found["url"], timeout=120, trust_env=False) as http:
                    yield Crm(found["url"], found["token"], Path(folder), contacts, http)
            finally:
                process.kill()


def _address(path: Path, process: subprocess.Popen[bytes]) -> dict[str, Any]:
    until = time.monotonic() + STARTS_IN
    while not path.exists():
        if process.poll() is not None or time.monotonic() > until:
            raise RuntimeError("the amoCRM look-alike did not start")
        time.sleep(0.02)
    return dict(orjson.loads(path.read_bytes()))
