"""A day on which everything goes wrong, at the most talkative log level: nobody's name, number, words or key shows."""

from __future__ import annotations

import asyncio
import logging
import re
import signal
import traceback
from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx
import orjson
import pytest
from cryptography.fernet import Fernet

from leadsync.errors import LeadsyncError
from tests.cli.terminal import running
from tests.follow.following import STREAM, add, until
from tests.seeing.receiver import Receiver, receiving
from tests.web.serving import KEY, LEADS, bearer
from tests.world import MAPPING, World, talk

SECRET_KEY = Fernet.generate_key().decode()

MARKS = {
    "name": "Евстафий Перепёлкин",
    "latin name": "Evstafy",
    "phone": "9161237788",
    "spelled phone": "123-77-88",
    "e-mail": "perepelkin.e@example.com",
    "username": "evs_perep",
    "message": "сокровенный зимородок",
    "stage": "Встреча у Аристарха",
    "manager": "Аристарх Лукич",
    "wish": "Кувшинка редкая",
    "amount": "стотысячпятьсот",
    "broken": "недописанный Порфирий",
}
"""What must not show; each is in a talk that comes in some way."""

PERSON = {
    "user_name": f"{MARKS['name']} ({MARKS['latin name']})",
    "phone": f"8 (916) {MARKS['spelled phone']}",
    "email": MARKS["e-mail"],
    "messages": [{"role": "user", "text": f"Это {MARKS['message']}, мой номер +7{MARKS['phone']}"}],
    "metadata": {"username": MARKS["username"]},
}

BAD: dict[str, dict[str, Any]] = {
    "stage": {"metadata": {"stage": MARKS["stage"]}},
    "funnel": {"metadata": {"funnel": MARKS["stage"]}},
    "manager": {"metadata": {"manager": MARKS["manager"]}},
    "option": {"product_interest": MARKS["wish"]},
    "number": {"budget": MARKS["amount"]},
    "phone": {"phone": f"{MARKS['latin name']} 12"},
    "e-mail": {"email": f"{MARKS['latin name']} at home"},
    "long": {"metadata": {"city": f"{MARKS['message']} " * 30}},
    "template": {"metadata": {"of": MARKS["name"]}},
    "source": {"source": "fax"},
    "messages": {"messages": [{"role": "user", "text": {MARKS["message"]: 1}}]},
}

HARD = {
    **MAPPING,
    "key_field": "ID диалога",
    "lead": {
        **MAPPING["lead"],  # type: ignore[dict-item]
        "pipeline": "{{ metadata.funnel or 'Воронка' }}",
        "status": "{{ metadata.stage or 'Первичный контакт' }}",
        "responsible": "{{ metadata.manager }}",
        "fields": {
            "Продукт": "{{ product_interest }}",
            "Город": "{{ metadata.city }}",
            "Источник": "{% if metadata.of %}{{ metadata.of + 1 }}{% endif %}",
        },
    },
}

TROUBLES = (
    "POST /api/v4/contacts 429 nth=1",
    "POST /api/v4/leads 504_after nth=1",
    "POST /api/v4/leads/notes truncated nth=1",
    "POST /api/v4/contacts echo_400 times=2",
    "POST /api/v4/leads echo_400 times=2",
    "GET /api/v4/contacts echo_400 nth=2",
    "PATCH * echo_400 times=1",
)


class Heard:
    """Everything that was said, by whom."""

    def __init__(self) -> None:
        self.texts: list[tuple[str, str]] = []

    def add(self, who: str, text: str) -> None:
        """Remember it."""
        self.texts.append((who, text))

    def found(self, secrets: dict[str, str]) -> Iterator[str]:
        """Who said which secret, in whatever case, whole or a word of it, and a number in any spelling."""
        for who, text in self.texts:
            low, digits = text.casefold(), re.sub(r"[\s()+-]", "", text)
            for name, secret in secrets.items():
                parts = [secret, *(one for one in secret.split() if len(one) > 4)]
                parts += [secret[start : start + 40] for start in range(60, len(secret) - 40, 20)]  # of a token
                if any(one.casefold() in low for one in parts) or (secret.isdigit() and secret in digits):
                    yield f"{who} says the {name}"


@pytest.fixture
async def hook(world: World) -> AsyncIterator[Receiver]:
    """Who is told by the webhook."""
    async with receiving() as receiver:
        (world.folder / "hook.txt").write_text(receiver.url)
        yield receiver


@pytest.fixture
async def bad_world(world: World, hook: Receiver) -> World:
    """A project that asks much of its talks, with a login, a key of its own, and talks that are wrong in every way."""
    world.write(
        HARD,
        amocrm={"batch_size": 2},
        sources={"dialogs": {"type": "redis-dialogs", "match": "dialog:*", "mapping": "mapping.yaml"}},
    )
    await world.log_in()
    settle_in(world)
    await world.store(PERSON | {"source": "telegram", "id": f"bad-{name}"} | one for name, one in BAD.items())
    await world.store(talk(f"good{number}", **PERSON) for number in range(6))
    await world.redis.set("dialog:broken", f'{{"user_name": "{MARKS["broken"]}')
    await world.redis.set("dialog:list", f'["{MARKS["broken"]}", 7]')
    return world


def settle_in(world: World) -> None:
    """Every secret there is, in the .env."""
    hook = (world.folder / "hook.txt").read_text()
    secrets = {"LEADSYNC_API_KEY": KEY, "LEADSYNC_SECRET_KEY": SECRET_KEY, "LEADSYNC_WEBHOOK": hook}
    world.settings(**world.integration(), **secrets)


def break_much(world: World) -> None:
    """Everything that can go wrong without taking long."""
    world.sandbox.faults.clear()
    for one in TROUBLES:
        world.sandbox.faults.add(one)


async def command(world: World, heard: Heard, format_: str, *arguments: str, results: bool = True) -> None:
    """Run a command to its end, and listen; `results` that are for a person's eyes are let be."""
    async with running(world.folder, *arguments, "--log-level", "debug", "--log-format", format_) as one:
        ended = await one.ended()
    assert "Traceback" not in ended.err
    heard.add(" ".join(arguments), ended.err + (ended.out if results else ""))


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("format_", ["text", "json"])
async def test_nothing_of_anybody_shows(
    bad_world: World, hook: Receiver, format_: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Runs, a service over HTTP, one that follows, pushes from a bot: logs, metrics, errors and answers are mute."""
    world, heard = bad_world, Heard()
    break_much(world)
    await command(world, heard, format_, "dry-run", results=False)
    break_much(world)
    await command(world, heard, format_, "run")
    await command(world, heard, format_, "run", "--format", "json")
    await _serve(world, heard, format_)
    await _follow(world, heard, format_)
    await _push(world, heard, caplog)
    await command(world, heard, format_, "failed", "list")
    await command(world, heard, format_, "status")
    assert hook.calls
    heard.add("the webhook", orjson.dumps(hook.calls).decode())
    tokens = {f"token {number}": one for number, one in enumerate(world.sandbox.oauth._credentials)}
    keys = {
        "API key": KEY,
        "secret key": SECRET_KEY,
        "client's secret": world.sandbox.oauth.client_secret,
        "hook": "secret-7f3a",
    }
    assert not list(heard.found(MARKS | tokens | keys))
    said = "".join(text for _, text in heard.texts)
    for needed in ("refused", "InvalidValue", "lead.status", "lead.responsible", "429", "504", "OAuth"):
        assert needed in said  # it was a bad day, and one can see why


async def _serve(world: World, heard: Heard, format_: str) -> None:
    """Bots push what is wrong, a login ends, amoCRM refuses and bans."""
    options = ("serve", "--port", "0", "--log-level", "debug", "--log-format", format_)
    async with running(world.folder, *options) as service:
        address = await service.line()
        async with httpx.AsyncClient(base_url=address, trust_env=False, timeout=60, headers=bearer()) as bot:
            break_much(world)
            bodies = [{**PERSON, "id": f"web-{name}"} | one for name, one in BAD.items()]
            answers = [await bot.post(LEADS, json=one) for one in [*bodies, {**PERSON, "id": "web-good"}]]
            answers.append(
                await bot.post(LEADS, content=f'{{"phone": "{MARKS["phone"]}', headers={"Content-Type": "a/b"})
            )
            answers.append(await bot.post(LEADS, json={"phone": [MARKS["phone"]], "budget": {MARKS["amount"]: 1}}))
            for rule in ("* /api/v4/* ban403", "* /api/v4/* forbidden", "* /api/v4/* echo_400"):
                world.sandbox.faults.clear()
                world.sandbox.faults.add(rule)
                answers.append(await bot.post(LEADS, json={**PERSON, "id": f"web-{rule[-4:]}"}))
            world.sandbox.faults.clear()
            callback = {"code": MARKS["broken"], "state": MARKS["amount"], "error": MARKS["latin name"]}
            answers.append(await bot.get("/api/v1/amocrm/callback", params=callback))
            world.sandbox.oauth.revoke_all()
            answers.append(await bot.post(LEADS, json={**PERSON, "id": "web-out"}))
            answers += [await bot.get(path) for path in ("/ready", "/metrics", "/health", "/nowhere")]
            await world.log_in()
            settle_in(world)
            answers.append(await bot.get("/metrics"))
            for one in answers:
                heard.add(f"{one.request.method} {one.request.url.path}: {one.status_code}", f"{one.headers}{one.text}")
        ended = await service.ended(signal.SIGTERM)
    heard.add("serve", ended.err)


async def _follow(world: World, heard: Heard, format_: str) -> None:
    """The same talks by a stream."""
    world.write(HARD, sources={"talks": STREAM})
    settle_in(world)
    break_much(world)
    options = ("run", "--follow", "--metrics", "0", "--log-level", "debug", "--log-format", format_)
    async with running(world.folder, *options) as service:
        address = re.search(r"http://\S+(?=/metrics)", await service.said("metrics at"))
        assert address is not None
        for name, one in BAD.items():
            await add(world.redis, PERSON | {"source": "telegram", "id": f"stream-{name}"} | one)
        await world.redis.xadd("talks", {"record": f'{{"user_name": "{MARKS["broken"]}'})

        async def accepted() -> bool:
            groups: Any = await world.redis.xinfo_groups("talks")
            return bool(groups) and groups[0]["lag"] == 0 and groups[0]["pending"] == 0

        await until(accepted, 120)
        async with httpx.AsyncClient(base_url=address[0], trust_env=False, timeout=60, headers=bearer()) as bot:
            for path in ("/metrics", "/ready"):
                heard.add(f"{path} of run --follow", (await bot.get(path)).text)
        ended = await service.ended(signal.SIGTERM)
    heard.add("run --follow", ended.err + ended.out)


async def _push(world: World, heard: Heard, caplog: pytest.LogCaptureFixture) -> None:
    """A bot of one's own, which hears results, and exceptions with all that hangs on them."""
    with caplog.at_level(logging.DEBUG, "leadsync"):
        break_much(world)
        async with world.pipeline() as pipeline:
            pushes = [PERSON | {"source": "telegram", "id": f"push-{name}"} | one for name, one in BAD.items()]
            results = await asyncio.gather(*(pipeline.push(one) for one in pushes))
            heard.add("push", "\n".join(one.message for one in results))
            await world.store([talk("again", phone="8 916 123-77-88", user_name=MARKS["name"])])
            for rule in ("* /api/v4/* echo_400", "* /api/v4/* ban403", "* /api/v4/* drop_before"):
                world.sandbox.faults.clear()
                world.sandbox.faults.add(rule)
                client = pipeline.connections.client
                made = client.create_contact(name=MARKS["name"], phones=[MARKS["phone"]], emails=[MARKS["e-mail"]])
                for work in (pipeline.run(), client.search("contacts", MARKS["phone"]), made):
                    try:
                        await work
                    except LeadsyncError as error:
                        told = "".join(traceback.format_exception(error))
                        heard.add(f"{type(error).__name__} after {rule}", f"{error}{error!r}{told}")
        world.sandbox.faults.clear()
    heard.add("the log of a bot", caplog.text)
