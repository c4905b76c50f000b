"""The content file, and the sandbox as a process of its own."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest
from crm import Api, Clock, phone

from leadsync.sandbox import Sandbox
from leadsync.sandbox.__main__ import main
from leadsync.sandbox.storage import ContentFile


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Where the content is kept."""
    return tmp_path / "sandbox.db"


def client(sandbox: Sandbox, token: str) -> httpx.AsyncClient:
    return httpx.AsyncClient(base_url=sandbox.url, headers={"Authorization": f"Bearer {token}"})


async def test_everything_is_there_after_a_restart(data: Path, clock: Clock) -> None:
    """Entities, notes, tags, links, fields, tokens and counters come back as they were."""
    async with Sandbox(data, rate=0, clock=clock) as sandbox:
        token, pair = sandbox.long_lived_token(), sandbox.oauth.pair(1)
        async with client(sandbox, token) as http:
            api = Api(http, sandbox)
            contacts = await api.make("contacts", {"name": "Иван", "custom_fields_values": phone("+79161234567")}, {})
            linked = {"contacts": [{"id": id} for id in contacts], "tags": [{"name": "бот"}]}
            (lead, gone) = await api.make("leads", {"name": "Сделка", "_embedded": linked}, {})
            await api.make(f"leads/{lead}/notes", {"note_type": "common", "params": {"text": "x"}})
            await api.post("leads/custom_fields", [{"name": "Новое", "type": "text"}])
            await api.http.delete(f"/api/v4/leads/custom_fields/{api.field('FROM')}")
            await api.control("POST", "delete", {"entity": "leads", "id": gone})
            before = (await api.control("GET", "dump")).json()
            fields = len(sandbox.account.fields["leads"])
    async with Sandbox(data, rate=0, clock=clock) as sandbox, client(sandbox, token) as http:
        api = Api(http, sandbox)
        assert (await api.control("GET", "dump")).json() == before
        assert await api.ids("leads", "query=9161234567") == [lead]
        assert len(sandbox.account.fields["leads"]) == fields
        assert sandbox.account.fields["leads"].coded("FROM") is None
        assert (await api.post("leads/tags", [{"name": "бот"}])).json()["_embedded"]["tags"][0]["id"] == 61_126
        assert (await api.make("leads", {}))[0] > gone
        assert sandbox.oauth.knows_refresh(pair["refresh_token"])


async def test_a_reset_is_kept_too(data: Path) -> None:
    """After a reset and a restart the account is the starting one, and the token still works."""
    async with Sandbox(data, rate=0) as sandbox:
        token = sandbox.long_lived_token()
        async with client(sandbox, token) as http:
            await Api(http, sandbox).make("leads", {}, {})
            await http.post("/_sandbox/reset")
    async with Sandbox(data, rate=0) as sandbox, client(sandbox, token) as http:
        assert (await http.get("/api/v4/leads")).status_code == 204
        assert len(sandbox.account.fields["leads"]) == 35


def test_without_a_path_nothing_is_kept() -> None:
    """A content file without a path takes everything and remembers nothing."""
    file = ContentFile()
    file.flush()
    file.wipe("leads")
    assert list(file.rows("leads")) == []
    file.close()


@contextmanager
def process(folder: Path, *options: str) -> Iterator[tuple[subprocess.Popen[bytes], dict[str, Any]]]:
    """The sandbox as a process, and what it wrote into its address file."""
    address = folder / "address.json"
    command = [sys.executable, "-m", "leadsync.sandbox", "--address-file", str(address), *options]
    with subprocess.Popen(command, stderr=subprocess.PIPE) as running:
        try:
            assert running.stderr is not None
            assert running.stderr.readline().startswith(b"sandbox: http://127.0.0.1:")
            yield running, orjson.loads(address.read_bytes())
        finally:
            running.kill()


def test_a_killed_process_loses_nothing_it_has_answered_for(tmp_path: Path, data: Path) -> None:
    """After SIGKILL every acknowledged lead is there."""
    with process(tmp_path, "--data", str(data), "--rate", "0") as (running, found):
        headers = {"Authorization": f"Bearer {found['token']}"}
        with httpx.Client(base_url=found["url"], headers=headers) as http:
            answers = [http.post("/api/v4/leads", json=[{"name": str(n)}] * 3) for n in range(20)]
            made = [lead["id"] for answer in answers for lead in answer.json()["_embedded"]["leads"]]
            os.kill(running.pid, signal.SIGKILL)
            running.wait()
    with (
        process(tmp_path, "--data", str(data), "--rate", "0") as (_, again),
        httpx.Client(base_url=again["url"], headers=headers) as http,
    ):
        body = http.get("/api/v4/leads?limit=250&order[id]=asc").json()
        assert [lead["id"] for lead in body["_embedded"]["leads"]] == made


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_process_ends_cleanly(tmp_path: Path, number: signal.Signals) -> None:
    """A signal ends it with exit code 0 and without a traceback, with a client still connected."""
    with process(tmp_path, "--fault", "GET /api/v4/account 500_before times=1") as (running, found):
        assert found["pid"] == running.pid
        assert (tmp_path / "address.json").stat().st_mode & 0o777 == 0o600
        with httpx.Client(base_url=found["url"], headers={"Authorization": f"Bearer {found['token']}"}) as http:
            assert [http.get("/api/v4/account").status_code for _ in range(2)] == [500, 200]
            running.send_signal(number)
            assert running.wait(timeout=10) == 0
        assert running.stderr is not None
        assert running.stderr.read() == b""


def test_a_taken_port_is_said_so(capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 1 and one line, no traceback."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert main(["--port", str(port)]) == 1
    assert f"cannot listen on port {port}" in capsys.readouterr().err


def test_a_bad_fault_is_a_usage_error(capsys: pytest.CaptureFixture[str]) -> None:
    """A rule that cannot be read ends the start with the usage and the reason."""
    with pytest.raises(SystemExit) as ended:
        main(["--fault", "GET /x explode"])
    assert ended.value.code == 2
    assert "--fault" in capsys.readouterr().err


async def test_a_given_port_is_used() -> None:
    """The sandbox listens where it is told to."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    async with Sandbox(port=port) as sandbox:
        assert sandbox.url == f"http://127.0.0.1:{port}"
