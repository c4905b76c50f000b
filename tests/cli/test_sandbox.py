"""`leadsync sandbox`: the look-alike in the foreground, and the variables that lead a project to it."""

from __future__ import annotations

import re
import shlex
import signal
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.cli.terminal import Running, run, running
from tests.world import World

READY = "the sandbox is running"


@asynccontextmanager
async def sandbox(folder: Path, *options: str) -> AsyncIterator[tuple[Running, dict[str, str]]]:
    """`leadsync sandbox` on a free port, once it runs, and the variables it printed, commented ones too."""
    async with running(folder, "sandbox", "--port", "0", *options) as command:
        await command.said(READY)
        variables: dict[str, str] = {}
        while "AMOCRM_REDIRECT_URI" not in variables:
            found = re.fullmatch(r"(?:# )?export (\w+)=(.*)", await command.line())
            if found:
                variables[found[1]] = shlex.split(found[2])[0]
        yield command, variables


async def ask(variables: dict[str, str], method: str, path: str, **more: Any) -> httpx.Response:
    headers = {"Authorization": f"Bearer {variables['AMOCRM_ACCESS_TOKEN']}"}
    async with httpx.AsyncClient(base_url=variables["AMOCRM_BASE_URL"], headers=headers, trust_env=False) as http:
        return await http.request(method, path, **more)


async def test_the_printed_variables_lead_a_project_to_it(world, tmp_path):
    """With the three variables in its .env a project talks to this sandbox and to no other."""
    async with sandbox(tmp_path) as (command, variables):
        names = ("AMOCRM_BASE_URL", "AMOCRM_SUBDOMAIN", "AMOCRM_ACCESS_TOKEN")
        world.write(amocrm={"subdomain": "${AMOCRM_SUBDOMAIN}"})
        (tmp_path / ".env").write_text("".join(f"export {name}={variables[name]}\n" for name in names))
        fields = await run(tmp_path, "fields", "Источник")
        await command.ended(signal.SIGTERM)
    assert fields.code == 0
    assert "838401" in fields.out
    assert world.requests() == []


async def test_its_output_can_be_a_file_of_variables(tmp_path):
    """Every line on stdout is a comment or an export, so that a shell or a .env can take it as it is."""
    async with running(tmp_path, "sandbox", "--port", "0") as command:
        await command.said(READY)
        ended = await command.ended(signal.SIGTERM)
    lines = ended.out.splitlines()
    exported = [line for line in lines if not line.startswith("# ")]
    assert [line.split("=")[0] for line in exported] == [
        "export AMOCRM_BASE_URL",
        "export AMOCRM_SUBDOMAIN",
        "export AMOCRM_ACCESS_TOKEN",
    ]
    assert any("AMOCRM_CLIENT_SECRET=" in line for line in lines)


async def test_one_can_log_in_through_its_integration(world: World, tmp_path):
    """The printed integration is registered: its page gives a code that `auth exchange` turns into tokens."""
    async with sandbox(tmp_path) as (_, variables):
        world.write()
        token = variables.pop("AMOCRM_ACCESS_TOKEN")
        (tmp_path / ".env").write_text("".join(f"{name}={value}\n" for name, value in variables.items()))
        address = (await run(tmp_path, "auth", "login", "--no-wait")).out.strip()
        async with httpx.AsyncClient(trust_env=False) as browser:
            landed = (await browser.get(address)).headers["location"]
        exchanged = await run(tmp_path, "auth", "exchange", landed)
        status = await run(tmp_path, "auth", "status")
    assert landed.startswith(variables["AMOCRM_REDIRECT_URI"])
    assert (exchanged.code, status.code) == (0, 0)
    assert token not in status.out


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
async def test_it_ends_cleanly(how, tmp_path):
    """Ctrl-C and SIGTERM end it with 0, and its port is closed."""
    async with sandbox(tmp_path) as (command, variables):
        assert (await ask(variables, "GET", "/api/v4/account")).status_code == 200
        ended = await command.ended(how)
    assert ended.code == 0
    assert "has ended" in ended.err
    assert "Traceback" not in ended.err
    with pytest.raises(httpx.ConnectError):
        await ask(variables, "GET", "/api/v4/account")


async def test_its_content_is_kept_when_a_file_is_given(tmp_path):
    """With --data a lead, and the token that made it, are still there after a restart."""
    async with sandbox(tmp_path, "--data", "crm.db") as (command, before):
        made = await ask(before, "POST", "/api/v4/leads", json=[{"name": "Заявка"}])
        await command.ended(signal.SIGTERM)
    async with sandbox(tmp_path, "--data", "crm.db") as (command, after):
        lead = made.json()["_embedded"]["leads"][0]["id"]
        token = before["AMOCRM_ACCESS_TOKEN"]
        found = await ask({**after, "AMOCRM_ACCESS_TOKEN": token}, "GET", f"/api/v4/leads/{lead}")
        await command.ended(signal.SIGTERM)
    assert found.json()["name"] == "Заявка"


async def test_faults_and_the_rate_are_its_own(tmp_path):
    """Each --fault strikes, and --rate bounds the requests of a second."""
    options = ("--fault", "GET /api/v4/users 500_before", "--fault", "GET /api/v4/leads html_404", "--rate", "3")
    async with sandbox(tmp_path, *options) as (command, variables):
        users = await ask(variables, "GET", "/api/v4/users")
        leads = await ask(variables, "GET", "/api/v4/leads")
        switches = await ask(variables, "GET", "/_sandbox/switches")
        await command.ended(signal.SIGTERM)
    assert (users.status_code, leads.status_code) == (500, 404)
    assert switches.json()["rate"] == 3


async def test_a_wrong_fault_is_a_wrong_option(tmp_path):
    """A rule that is none ends with 78 and the kinds there are."""
    ended = await run(tmp_path, "sandbox", "--fault", "GET /api/v4/leads sometimes")
    assert ended.code == 78
    assert "drop_after" in ended.err


@pytest.mark.parametrize("name", ["folder/that/is/missing.db", "no-database.txt"])
async def test_a_file_that_cannot_hold_content_is_said(name, tmp_path):
    """A file that is no database, or cannot be made, ends with 78 and without a stack trace."""
    (tmp_path / "no-database.txt").write_text("these are the notes of somebody, and no database at all")
    ended = await run(tmp_path, "sandbox", "--data", name)
    assert ended.code == 78
    assert name in ended.err
    assert "what to do" in ended.err


async def test_a_taken_port_is_said(tmp_path):
    """When the port is taken it ends with 1 and says how to get a free one."""
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = str(other.getsockname()[1])
        async with running(tmp_path, "sandbox", "--port", port) as command:
            ended = await command.ended()
    assert (ended.code, ended.out) == (1, "")
    assert f"127.0.0.1:{port}" in ended.err
    assert "--port" in ended.err
