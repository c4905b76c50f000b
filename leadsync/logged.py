"""Logged: what a log line says beside its message: the run it belongs to, and the record's key where one is meant.

A line has the key as its attribute `key`: give it with `extra={"key": shown_key(…)}`, never as it is.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

RUN_ID: ContextVar[str | None] = ContextVar("leadsync_run_id", default=None)
"""The id of the run, or of the life of a service, that is going on here."""


@contextmanager
def of_run(run_id: str) -> Iterator[None]:
    """Everything in the block, and every task begun there, belongs to a run."""
    before = RUN_ID.set(run_id)
    try:
        yield
    finally:
        RUN_ID.reset(before)


def facts_of(line: logging.LogRecord) -> dict[str, str]:
    """`run_id` and `key`, as far as they are known."""
    facts = {"run_id": RUN_ID.get(), "key": getattr(line, "key", None)}
    return {name: value for name, value in facts.items() if value is not None}
