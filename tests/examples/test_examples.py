"""The bots that the README shows, each with a customer."""

from __future__ import annotations

import asyncio
import os
import runpy
import subprocess
import sys
from contextlib import chdir
from pathlib import Path

import pytest

from tests.web.serving import LEADS, bearer, serving, with_key
from tests.world import World

HERE = Path(__file__).parent
ROOT = HERE.parent.parent


def test_the_readme_shows_these_very_bots() -> None:
    """What people copy is what is tested, letter by letter."""
    readme = (ROOT / "README.md").read_text("utf-8")
    for name in ("fastapi_bot", "aiogram_bot"):
        _, code = (HERE / f"{name}.py").read_text("utf-8").split('"""\n\n', 1)
        assert f"```python\n{code}```\n" in readme, name


async def test_a_fastapi_bot(world: World) -> None:
    """Two messages of one customer become one lead with both in its notes; leadsync's own routes are there, too."""
    with_key(world)
    customer = {"id": 4711, "first_name": "Иван"}
    with chdir(world.folder):
        app = runpy.run_path(str(HERE / "fastapi_bot.py"))["app"]
        async with serving(app) as client:
            for number, text in enumerate(("Здравствуйте", "Сколько стоит?")):
                message = {"message_id": number, "date": 1_793_516_400 + number, "chat": customer, "text": text}
                answer = await client.post("/telegram", json={"update_id": number, "message": message})
            ready = await client.get("/ready", headers=bearer())
            stranger = await client.post(LEADS, json={"id": "1"})
    assert answer.json() == {"method": "sendMessage", "chat_id": 4711, "text": "Спасибо, мы скоро ответим!"}
    assert [lead["name"] for lead in world.leads()] == ["Заявка от Иван"]
    assert [text for _, text in world.notes()] == ["user: Здравствуйте", "user: Сколько стоит?"]
    assert (ready.json()["ready"], stranger.status_code) == (True, 401)


async def test_a_fastapi_bot_while_amocrm_is_away(world: World) -> None:
    """The customer is answered all the same, and the talk waits."""
    with_key(world, **world.integration())
    message = {"message_id": 1, "date": 1_793_516_400, "chat": {"id": 4711, "first_name": "Иван"}, "text": "Привет"}
    with chdir(world.folder):
        async with serving(runpy.run_path(str(HERE / "fastapi_bot.py"))["app"]) as client:
            answer = await client.post("/telegram", json={"update_id": 1, "message": message})
    assert answer.json()["text"] == "Спасибо, мы перезвоним."
    assert [one.key for one in await world.refused()] == ["push:telegram:4711"]


@pytest.fixture(scope="module")
def aiogram(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with aiogram and what it needs; beside ours, because it holds pydantic back to an older version."""
    folder = tmp_path_factory.mktemp("aiogram")
    command = [sys.executable, "-m", "pip", "install", "--disable-pip-version-check", "--target", str(folder)]
    done = subprocess.run([*command, "aiogram>=3.13,<4"], capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


@pytest.mark.slow
@pytest.mark.timeout(400)
async def test_an_aiogram_bot(world: World, aiogram: Path) -> None:
    """Two messages and a shared phone of one customer become one lead with one contact; each message is answered."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.examples.talking"),
        cwd=world.folder,
        env={**os.environ, "PYTHONPATH": f"{aiogram}{os.pathsep}{ROOT}"},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await process.communicate()
    assert process.returncode == 0, err.decode()
    assert out.decode().splitlines() == ["4711 Спасибо, мы скоро ответим!"] * 3
    (lead,), (contact,) = world.leads(), world.contacts()
    assert (lead["name"], lead["contacts"]) == ("Заявка от Иван", [contact["id"]])
    assert contact["fields"]["PHONE"] == "+79161234567"
    assert [text for _, text in world.notes()] == ["user: Здравствуйте", "user: Сколько стоит?"]
