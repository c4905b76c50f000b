"""Options that several commands share."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable
from typing import Any, TypeVar

import click
import orjson

from leadsync.errors import ConfigurationError
from leadsync.logged import facts_of

Decorated = TypeVar("Decorated", bound=Callable[..., Any])

LEVELS = ("debug", "info", "warning", "error", "off")


def project_options(function: Decorated) -> Decorated:
    """`--config`, `--log-level`, `--log-format`."""
    config = click.option("--config", metavar="FILE", help="Which leadsync.yaml to use.  [default: ./leadsync.yaml]")
    return config(log_options(function))


def log_options(function: Decorated) -> Decorated:
    """`--log-level`, `--log-format`."""
    for decorate in (
        click.option(
            "--log-format",
            type=click.Choice(["text", "json"]),
            default="text",
            expose_value=False,
            callback=lambda ctx, _, value: ctx.meta.__setitem__("leadsync.log_format", value),
            is_eager=True,
            help="How log lines look on stderr.",
        ),
        click.option(
            "--log-level",
            type=click.Choice(LEVELS),
            default="off",
            show_default=True,
            expose_value=False,
            callback=lambda ctx, _, value: log_to_stderr(value, ctx.meta["leadsync.log_format"]),
            help="What is logged on stderr.",
        ),
    ):
        function = decorate(function)
    return function


def selection_options(function: Decorated) -> Decorated:
    """`--source`, `--limit`, `--record`."""
    for decorate in (
        click.option("--record", metavar="KEY", help="Only the record with this key."),
        click.option("--limit", type=click.IntRange(min=1), metavar="N", help="At most N records."),
        click.option("--source", metavar="NAME", help="Which source of leadsync.yaml; not needed when there is one."),
    ):
        function = decorate(function)
    return function


def check_found(record: str | None, count: int) -> None:
    """A key that no record has is a slip of the keyboard, not a run that is done. Raises ConfigurationError."""
    if record is not None and not count:
        raise ConfigurationError(
            f"no record has the key {record}",
            where="--record",
            do="keys are made by `key:` of the mapping; `leadsync dry-run` shows those with changes",
        )


def format_option(*formats: str) -> Callable[[Decorated], Decorated]:
    """`--format`, with `text` for people first."""
    return click.option("--format", "format_", type=click.Choice(formats), default=formats[0], show_default=True)


class _JsonLines(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        line = {"at": self.formatTime(record), "level": record.levelname.lower(), "logger": record.name}
        return orjson.dumps(line | facts_of(record) | {"message": record.getMessage()}).decode()


class _TextLines(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        facts = " ".join(f"{name}={value}" for name, value in facts_of(record).items())
        return f"{super().format(record)} [{facts}]" if facts else super().format(record)


def log_to_stderr(level: str, format_: str) -> None:
    """Send our own log lines to stderr; no other library's are shown."""
    logger = logging.getLogger("leadsync")
    logger.setLevel(logging.CRITICAL + 1 if level == "off" else level.upper())
    handler = logging.StreamHandler(sys.stderr)
    text = _TextLines("%(asctime)s %(levelname)s %(name)s: %(message)s")
    handler.setFormatter(_JsonLines() if format_ == "json" else text)
    logger.handlers = [handler]
    logger.propagate = False
    logging.getLogger("stamina").setLevel(logging.CRITICAL)  # retries are told by our own logger
