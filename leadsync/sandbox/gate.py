"""What every request passes: the log, the limiter, faults, the token; and how an answer is spoiled on its way out."""

from __future__ import annotations

import asyncio
import ipaddress
from dataclasses import dataclass, field
from typing import Any

import orjson
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from .calls import Call, Logged
from .echo import echo
from .faults import AFTER, FaultRule
from .limits import too_many
from .refusals import Refused, page, problem, unauthorized, unknown_error
from .replica import Replica

CALL = "sandbox.call"
CONTROL = "/_sandbox/"
_SYSTEM_ERROR = "Возникла системная ошибка. Пожалуйста, повторите попытку."


@dataclass(slots=True)
class Answer:
    """An answer held back until it is known whether it may leave whole."""

    status: int
    headers: list[tuple[bytes, bytes]] = field(default_factory=list)
    body: bytes = b""

    @classmethod
    def of(cls, refused: Refused) -> Answer:
        """The answer of a refusal."""
        body = refused.body
        raw = b"" if body is None else body.encode() if isinstance(body, str) else orjson.dumps(body)
        headers = {"content-type": refused.media_type, "content-length": str(len(raw)), **refused.headers}
        return cls(refused.status, [(key.lower().encode(), value.encode()) for key, value in headers.items()], raw)


class Gate:
    """The ASGI application around the routes."""

    def __init__(self, app: ASGIApp, replica: Replica) -> None:
        self._app = app
        self._replica = replica

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serves one request."""
        call = await _read(scope, receive)
        came = self._replica.arrivals.taken(scope.get("client"))
        call.largest_page = self._replica.switches.largest_page
        scope[CALL] = call
        if call.path.startswith(CONTROL):
            await self._control(scope, receive, send, call)
            return
        entry = self._replica.log.open(call, came)
        rule = self._replica.faults.strike(call)
        entry.fault = rule.kind if rule else None
        answer = await self._answer(scope, receive, call, entry, rule)
        if answer is None or (rule is not None and rule.kind == "drop_after"):
            await _drop(scope, receive)
            return
        if rule is not None and rule.kind == "late":
            await self._wait(rule.seconds)
        entry.status = answer.status
        answer.headers.append((b"x-request-id", f"{entry.number:032x}".encode()))
        await (
            _send_half(answer, scope, receive, send) if rule and rule.kind == "truncated" else _send_whole(answer, send)
        )

    async def _control(self, scope: Scope, receive: Receive, send: Send, call: Call) -> None:
        answer = await self._routed(scope, receive) if _is_local(call) else Answer.of(problem(403, "Forbidden"))
        self._replica.file.flush()
        await _send_whole(answer, send)

    async def _answer(
        self, scope: Scope, receive: Receive, call: Call, entry: Logged, rule: FaultRule | None
    ) -> Answer | None:
        """The answer as it stands before it is spoiled; None for no answer at all."""
        replica = self._replica
        is_api = call.path.startswith("/api/")
        if is_api and (refused := replica.limiter.admit(entry.tick)):
            entry.fault = None
            return Answer.of(refused)
        if rule is not None and rule.kind not in AFTER:
            return None if rule.kind == "drop_before" else Answer.of(self._struck(rule.kind, call))
        if replica.switches.banned:
            return Answer.of(page(403))
        if is_api and (refused := self._admit(call)):
            return Answer.of(refused)
        before = replica.account.changes
        answer = await self._routed(scope, receive)
        entry.applied = replica.account.changes != before
        replica.file.flush()
        if rule is not None and rule.kind in ("504_after", "500_after"):
            return Answer.of(self._struck(rule.kind, call))
        if rule is not None and rule.kind == "unnamed_400" and answer.status == 400:
            return Answer.of(problem(400, "Bad Request"))
        return answer

    def _admit(self, call: Call) -> Refused | None:
        user_id = self._replica.oauth.user_of(call.headers.get("authorization", ""))
        if user_id is None:
            return unauthorized()
        call.user_id = user_id
        return problem(402, "Payment required") if self._replica.switches.payment_required else None

    def _struck(self, kind: str, call: Call) -> Refused:
        if kind == "echo_400":
            return echo(call)
        if kind.startswith("500"):
            return unknown_error()
        if kind == "429":
            return too_many(self._replica.switches)
        if kind == "system_error_400":
            return problem(400, _SYSTEM_ERROR)
        if kind == "forbidden":
            return problem(403, "Forbidden")
        return page({"html_404": 404, "ban403": 403}.get(kind, 504))

    async def _routed(self, scope: Scope, receive: Receive) -> Answer:
        answer = Answer(500)

        async def hold(message: Message) -> None:
            if message["type"] == "http.response.start":
                answer.status, answer.headers = message["status"], list(message["headers"])
            else:
                answer.body += message.get("body", b"")

        await self._app(scope, receive, hold)
        return answer

    async def _wait(self, seconds: float) -> None:
        try:
            await asyncio.wait_for(self._replica.closing.wait(), seconds)
        except TimeoutError:
            return


async def _read(scope: Scope, receive: Receive) -> Call:
    body = bytearray()
    more = True
    while more:
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)
    headers = {key.decode("latin-1"): value.decode("latin-1") for key, value in scope["headers"]}
    return Call(
        method=scope["method"],
        path=scope["path"],
        base=f"{scope['scheme']}://{headers.get('host', '')}",
        raw_query=scope["query_string"].decode("latin-1"),
        headers=headers,
        body=bytes(body),
        client=(scope.get("client") or ("",))[0],
    )


def _is_local(call: Call) -> bool:
    try:
        return ipaddress.ip_address(call.client).is_loopback
    except ValueError:
        return False


async def _send_whole(answer: Answer, send: Send) -> None:
    await send({"type": "http.response.start", "status": answer.status, "headers": answer.headers})
    await send({"type": "http.response.body", "body": answer.body})


async def _send_half(answer: Answer, scope: Scope, receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": answer.status, "headers": answer.headers})
    await send({"type": "http.response.body", "body": answer.body[: len(answer.body) // 2], "more_body": True})
    _transport(scope).close()
    await _gone(receive)


async def _drop(scope: Scope, receive: Receive) -> None:
    """Closes the connection without a word, and waits until the server has noticed."""
    _transport(scope).abort()
    await _gone(receive)


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        continue


def _transport(scope: Scope) -> Any:
    return scope["state"]["transport"]
