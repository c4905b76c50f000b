"""Echo: a refusal that repeats everything that was sent, the worst that a CRM can do to whoever writes logs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from urllib.parse import unquote_plus

import orjson

from .calls import Call
from .refusals import Mistake, Refused, invalid, problem


def echo(call: Call) -> Refused:
    """400 that names every item of a batch, each with its own values; for anything else with the whole request's."""
    try:
        body = orjson.loads(call.body) if call.body else None
    except orjson.JSONDecodeError:
        body = call.body.decode("utf-8", "replace")
    if isinstance(body, list) and all(isinstance(one, dict) and "request_id" in one for one in body):
        told = {one["request_id"]: [Mistake("InvalidValue", "name", _said(one))] for one in body}
        return invalid(told)
    return problem(
        400, f"{_said(body)} {unquote_plus(call.raw_query)} {call.headers.get('authorization')} is not valid"
    )


def _said(value: Any) -> str:
    return "cannot take " + " ".join(_texts(value))


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, dict | list):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from _texts(inner)
    elif value is not None:
        yield str(value)
