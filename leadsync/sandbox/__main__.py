"""`python -m leadsync.sandbox`: the look-alike on a port of its own, until SIGTERM or SIGINT."""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

import orjson

from .faults import FaultRule
from .server import Sandbox


def main(argv: Sequence[str] | None = None) -> int:
    """Serves until it is told to stop; 0 when it ended cleanly, 1 when the port is taken."""
    options = _parser().parse_args(argv)
    try:
        asyncio.run(_serve(options))
    except OSError as error:
        print(f"the sandbox cannot listen on port {options.port}: {error.strerror}", file=sys.stderr)
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m leadsync.sandbox", description=__doc__)
    parser.add_argument("--data", type=Path, help="SQLite file that keeps the content between starts")
    parser.add_argument("--port", type=int, default=0, help="port on 127.0.0.1 (default: a free one)")
    parser.add_argument("--rate", type=float, default=7, help="requests per second, 0 for no limit (default: 7)")
    parser.add_argument("--fault", action="append", default=[], type=FaultRule.parse, metavar="RULE")
    parser.add_argument("--address-file", type=Path, help="JSON with url, pid and token, written once it listens")
    return parser


async def _serve(options: argparse.Namespace) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    sandbox = Sandbox(options.data, options.port, options.rate)
    for rule in options.fault:
        sandbox.faults.add(rule)
    async with sandbox:
        if options.address_file is not None:
            _publish(options.address_file, sandbox)
        print(f"sandbox: {sandbox.url}", file=sys.stderr, flush=True)
        await stop.wait()


def _publish(path: Path, sandbox: Sandbox) -> None:
    """Writes the address file in one step, readable by its owner only."""
    body = {"url": sandbox.url, "pid": os.getpid(), "token": sandbox.long_lived_token()}
    part = path.with_name(f".{path.name}.{os.getpid()}")
    part.touch(mode=0o600)
    part.write_bytes(orjson.dumps(body))
    part.replace(path)


if __name__ == "__main__":
    raise SystemExit(main())
