"""What the sandbox's tests work with: a clock moved by hand and a client with the few requests made all the time."""

from __future__ import annotations

from typing import Any

import httpx

from leadsync.sandbox import Sandbox


class Clock:
    """A clock that stands still until it is moved; Unix seconds."""

    def __init__(self) -> None:
        self.now = 1_764_000_000.0

    def __call__(self) -> float:
        return self.now

    def move(self, seconds: float) -> None:
        """Lets time pass."""
        self.now += seconds


class Api:
    """A logged-in client with the few requests tests make all the time."""

    def __init__(self, http: httpx.AsyncClient, sandbox: Sandbox) -> None:
        self.http = http
        self.sandbox = sandbox

    async def get(self, path: str, **query: Any) -> httpx.Response:
        """`GET /api/v4/{path}`."""
        return await self.http.get(f"/api/v4/{path}", params=query or None)

    async def post(self, path: str, body: Any) -> httpx.Response:
        """`POST /api/v4/{path}`."""
        return await self.http.post(f"/api/v4/{path}", json=body)

    async def patch(self, path: str, body: Any) -> httpx.Response:
        """`PATCH /api/v4/{path}`."""
        return await self.http.patch(f"/api/v4/{path}", json=body)

    async def control(self, method: str, path: str, body: Any = None) -> httpx.Response:
        """A request to `/_sandbox/{path}`."""
        return await self.http.request(method, f"/_sandbox/{path}", json=body)

    async def make(self, kind: str, *items: dict[str, Any]) -> list[int]:
        """Creates entities and gives their ids."""
        answer = await self.post(kind, list(items))
        assert answer.status_code == 200, answer.text
        return [item["id"] for item in answer.json()["_embedded"][kind.rpartition("/")[2]]]

    async def ids(self, kind: str, query: str = "") -> list[int]:
        """The ids a list request finds, in its order."""
        answer = await self.http.get(f"/api/v4/{kind}?{query}")
        return [] if answer.status_code == 204 else [item["id"] for item in answer.json()["_embedded"][kind]]

    def field(self, name: str, kind: str = "leads") -> int:
        """The id of a custom field by its name or code."""
        book = self.sandbox.account.fields[kind]
        return (book.coded(name) or book.named(name)).id

    async def errors(self, path: str, item: dict[str, Any], method: str = "POST") -> set[tuple[str, str]]:
        """Sends one item that must be refused; the (code, path) pairs of its mistakes."""
        answer = await self.http.request(method, f"/api/v4/{path}", json=[item])
        assert answer.status_code == 400, answer.text
        (refused,) = answer.json()["validation-errors"]
        return {(error["code"], error["path"]) for error in refused["errors"]}


def phone(number: str, code: str = "WORK") -> list[dict[str, Any]]:
    """`custom_fields_values` with one phone."""
    return [{"field_code": "PHONE", "values": [{"value": number, "enum_code": code}]}]
