"""The door to Redis: URLs, and what each failure tells a person."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import socket
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from redis import exceptions
from redis._parsers import BaseParser
from redis.asyncio import Redis

from leadsync.errors import ConfigurationError, LeadsyncError, StateUnavailable
from leadsync.state.redis import open_redis, state_errors

SECRET = "s3cr3t"


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
@given(middle=st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=6))
async def test_no_password_shows_in_an_error(middle, valkey_server, redis):
    """Whatever characters a password has, written raw into a URL, no error and no place quotes it."""
    await redis.acl_setuser("guest", enabled=True, nopass=True, commands=["+ping"])
    url = f"unix://guest:{SECRET}{middle}{SECRET}@{valkey_server.socket}"
    try:
        async with await open_redis(url, Path("/nowhere")) as open_one:
            shown = open_one.place
    except ConfigurationError as error:
        shown = f"{error} {error!r}"
    assert SECRET not in shown


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


OF_6_2 = "ERR Error running script (call to f_0123456789abcdef): @user_script:3: @user_script: 3: "
"""What Redis 6.2 puts before the error of a command in a script."""


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ("LOADING Valkey is loading the dataset in memory", "still loading its data"),
        ("ERR max number of clients reached", "has no connection left"),
        ("MOVED 3999 127.0.0.1:6381", "does not hold our data"),
        ("TRYAGAIN Multiple keys request during rehashing of slot", "moving its data"),
        (f"{OF_6_2}-OOM command not allowed when used memory > 'maxmemory'.", "no memory left"),
        (f"{OF_6_2}-READONLY You can't write against a read only replica.", "is a replica"),
        (f"{OF_6_2}-MISCONF Redis is configured to save RDB snapshots", "cannot save to its disk"),
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
