"""`POST /leads`: a bot's talk over a socket, to the lead in the look-alike."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from typing import Any

import httpx
import orjson
import pytest
from redis.asyncio import Redis

from leadsync.state.redis import state_errors
from tests.conftest import Valkey
from tests.web.serving import LEADS, URL, app_for, bearer, bot, is_problem, serving, with_key
from tests.world import World

IVAN = {
    "id": "42",
    "user_name": "Иван Секретов",
    "phone": "8 916 123-45-67",
    "email": "ivan.secret@example.com",
    "product_interest": "AI Manager",
    "budget": 50000,
    "conversation_history": "Клиент: секретный текст",
    "metadata": {"username": "ivan"},
}


async def test_a_talk_becomes_a_lead(world: World) -> None:
    """The answer has the four fields of the contract, and the lead, contact and values are in amoCRM."""
    async with bot(world) as client:
        answer = await client.post(LEADS, json=IVAN | {"source": None, "record": "", "model_dump": ""})
    (lead,), (contact,) = world.leads(), world.contacts()
    assert answer.status_code == 200
    assert answer.json() == {
        "lead_id": lead["id"],
        "contact_id": contact["id"],
        "success": True,
        "message": "the lead was created",
    }
    assert (lead["name"], lead["price"]) == ("Заявка от Иван Секретов (AI Manager)", 50000)
    assert lead["fields"]["Источник"] == "Telegram Bot"  # `telegram` when the bot names no source
    assert contact["fields"] == {"PHONE": "+79161234567", "EMAIL": "ivan.secret@example.com"}


async def test_the_talk_stands_in_a_note(world: World) -> None:
    """Messages become a note; sent again with the same id, only what is new is noted."""
    first, second = {"role": "user", "text": "Добрый день"}, {"role": "assistant", "text": "Слушаю"}
    async with bot(world) as client:
        for messages in ([first], [first, second]):
            assert (await client.post(LEADS, json={"id": "1", "messages": messages})).status_code == 200
    assert [text for _, text in world.notes()] == ["user: Добрый день", "bot: Слушаю"]


async def test_the_same_id_at_the_same_moment(world: World) -> None:
    """Twenty requests with one id at once, and one after them, make one lead, and all are told the same."""
    async with bot(world) as client:
        answers = await asyncio.gather(*(client.post(LEADS, json=IVAN) for _ in range(20)))
        answers.append(await client.post(LEADS, json=IVAN))
    (lead,), (contact,) = world.leads(), world.contacts()
    assert {one.status_code for one in answers} == {200}
    assert {(one.json()["lead_id"], one.json()["contact_id"]) for one in answers} == {(lead["id"], contact["id"])}
    assert answers[-1].json()["message"] == "nothing to change"


async def test_an_id_as_number_is_the_same_talk(world: World) -> None:
    """A bot that sends 42, "42" or, from JavaScript, 42.0 means one talk."""
    async with bot(world) as client:
        found = [(await client.post(LEADS, json={"id": id_})).json()["lead_id"] for id_ in (42, "42", 42.0)]
    assert found == [world.leads()[0]["id"]] * 3


async def test_without_an_id_every_request_is_a_talk(world: World) -> None:
    """Two requests without an id are two leads."""
    async with bot(world) as client:
        answers = [await client.post(LEADS, json={"user_name": "Иван", "id": id_}) for id_ in (None, None)]
    assert [one.json()["lead_id"] for one in answers] == [lead["id"] for lead in world.leads()]
    assert len(world.leads()) == 2


async def test_a_failed_request_without_an_id_can_be_repeated(world: World) -> None:
    """Its answer names the id that it was given; with that, repeating it makes one lead though an answer was lost."""
    async with bot(world) as client:
        world.sandbox.faults.add("* /api/* 429")
        failed = is_problem(await client.post(LEADS, json={"user_name": "Иван"}))
        world.sandbox.faults.clear()
        again = [await client.post(LEADS, json={"user_name": "Иван", "id": failed["id"]}) for _ in range(2)]
    assert [one.status_code for one in again] == [200, 200]
    assert (len(world.leads()), await world.refused()) == (1, [])


async def test_a_talk_that_is_not_wanted(world: World) -> None:
    """What the mapping's `when` leaves out is a success without a lead, and says so."""
    world.write({"key": "{{ id }}", "when": "{{ phone }}", "lead": {"name": "Заявка"}})
    async with bot(world) as client:
        answer = await client.post(LEADS, json={"id": "1"})
    assert (answer.status_code, answer.json()["success"], answer.json()["lead_id"]) == (200, True, None)
    assert "when" in answer.json()["message"]


async def test_other_fields_reach_the_mapping(world: World) -> None:
    """A field that the service does not know is there for the templates."""
    world.write({"key": "{{ id }}", "lead": {"name": "Заявка из {{ city }}"}})
    async with bot(world) as client:
        await client.post(LEADS, json={"id": "1", "city": "Твери"})
    assert [lead["name"] for lead in world.leads()] == ["Заявка из Твери"]


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "phone": ({"phone": "12"}, "contact.phone: not a phone number (2 digits)"),
    "budget": ({"budget": "дорого"}, "lead.price"),
    "option": ({"product_interest": "AI Cook"}, "lead.fields.Продукт"),
    "id": ({"id": "   "}, "no `id`"),
}


@pytest.mark.parametrize("name", REFUSED)
async def test_400_says_why(world: World, name: str) -> None:
    """A record that is refused is a problem with the reason in `message`, and is kept; the same id mended is a lead."""
    fields, reason = REFUSED[name]
    async with bot(world) as client:
        answer = await client.post(LEADS, json={"id": "42", **fields})
        problem = is_problem(answer)
        assert answer.status_code == 400
        assert (problem["lead_id"], problem["contact_id"], problem["success"]) == (None, None, False)
        assert reason in problem["message"]
        assert problem["detail"] == problem["message"]
        assert len(await world.refused()) == 1
        assert (await client.post(LEADS, json={"id": "42"})).status_code == 200
    assert len(world.leads()) == 1


async def test_400_for_a_source_without_a_mapping(world: World) -> None:
    """The source stands in the path of a mapping that is not there: refused, and it says which there are."""
    files = {"telegram": "mapping.yaml"}
    world.write(sources={"talks": {"type": "redis-dialogs", "match": "dialog:*", "mapping": files}})
    async with bot(world) as client:
        answer = await client.post(LEADS, json={"id": "1", "source": "fax"})
    assert answer.status_code == 400
    assert "source" in is_problem(answer)["message"]


KEYS: dict[str, dict[str, Any]] = {
    "none": {},
    "empty": {"Authorization": b"Bearer"},
    "wrong": bearer("wrong"),
    "another scheme": {"Authorization": "Basic " + bearer()["Authorization"].decode()[7:].encode().hex()},
    "no scheme": {"Authorization": bearer()["Authorization"][7:]},
    "its beginning": bearer("ключ-of"),
    "more than it": {"Authorization": bearer()["Authorization"] + b"1"},
    "not UTF-8": {"Authorization": b"Bearer \xff\xfe"},
}


KEYED = [("POST", LEADS), ("GET", URL), ("GET", "/ready"), ("GET", "/metrics"), ("GET", "/openapi.json")]


@pytest.mark.parametrize("name", KEYS)
async def test_401_without_the_key(world: World, name: str) -> None:
    """Without the very key nothing is done, whatever the body is, and the answer says which header is wanted."""
    with_key(world)
    async with serving(app_for(world)) as client:
        before = world.sandbox.requests.total
        for route in KEYED:
            answer = await client.request(*route, headers=KEYS[name], content=b"{")
            assert answer.status_code == 401
            assert answer.headers["www-authenticate"] == "Bearer"
            assert "Authorization: Bearer" in is_problem(answer)["detail"]
    assert world.sandbox.requests.total == before


async def test_the_scheme_is_written_in_any_case(world: World) -> None:
    """`bearer` is the same scheme (RFC 9110 §11.1)."""
    with_key(world)
    async with serving(app_for(world)) as client:
        shown = bearer()["Authorization"].replace(b"Bearer", b"bearer")
        assert (await client.get("/ready", headers={"Authorization": shown})).status_code == 200


async def test_413_for_a_body_that_is_too_large(world: World) -> None:
    """More than a mebibyte is refused, announced or streamed, and the caller is told; a little less goes through."""

    async def streamed() -> AsyncIterator[bytes]:
        for _ in range(40):
            yield b"x" * 65536

    async with bot(world) as client:
        for body in (b"x" * ((1 << 20) + 1), streamed()):
            answer = await client.post(LEADS, content=body, headers={"Content-Type": "application/json"})
            assert answer.status_code == 413
            assert "1048576" in is_problem(answer)["detail"]
        assert (await client.post(LEADS, json={"conversation_history": "x" * 1_048_000})).status_code == 200


async def test_413_for_a_body_without_end(world: World) -> None:
    """Whoever never stops sending is cut off."""
    sent = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal sent
        while True:
            sent += 1
            yield b"x" * (1 << 20)

    async with bot(world) as client:
        with suppress(httpx.TransportError):  # cut off in the middle of a write
            assert (await client.post(LEADS, content=endless())).status_code == 413
    assert sent < 40


MALFORMED: dict[str, tuple[bytes, str]] = {
    "nothing": (b"", ""),
    "half of it": (b'{"phone": "8 916 123-45-67', ""),
    "a list": (b"[]", ""),
    "text": (b'"8 916 123-45-67"', ""),
    "NaN": (b'{"budget": NaN}', ""),
    "half a surrogate pair": (b'{"user_name": "\\ud83d 8 916 123-45-67"}', ""),
    "not UTF-8": (b'{"user_name": "\xff"}', ""),
    "a name that is a list": (b'{"user_name": ["8 916 123-45-67"]}', "user_name"),
    "a truth": (b'{"phone": true}', "phone"),
    "an empty id": (b'{"id": ""}', "id"),
    "an endless id": (b'{"id": "' + b"7" * 201 + b'"}', "id"),
    "metadata as text": (b'{"metadata": "8 916 123-45-67"}', "metadata"),
    "a budget as list": (b'{"budget": [1]}', "budget"),
    "messages of numbers": (b'{"messages": [7]}', "messages"),
    "endless nesting": (b'{"metadata": ' + b'{"a":' * 400 + b"1" + b"}" * 401, ""),
    "nesting without end": (b"[" * 200_000, ""),
}


@pytest.mark.parametrize("name", MALFORMED)
async def test_422_for_a_malformed_body(world: World, name: str) -> None:
    """Each is a problem that names the field and repeats no value; nothing is kept and nobody is asked."""
    body, field = MALFORMED[name]
    async with bot(world) as client:
        before = world.sandbox.requests.total
        answer = await client.post(LEADS, content=body, headers={"Content-Type": "application/json"})
    problem = is_problem(answer)
    assert answer.status_code == 422
    assert {one["field"] for one in problem["errors"]} == {field}
    assert "123-45" not in answer.text
    assert (world.sandbox.requests.total, await world.refused()) == (before, [])


async def test_422_for_a_form(world: World) -> None:
    """A body that says it is no JSON is none: a page in somebody's browser cannot send JSON unasked."""
    async with bot(world) as client:
        for kind in ("text/plain", "application/x-www-form-urlencoded"):
            answer = await client.post(LEADS, content=orjson.dumps(IVAN), headers={"Content-Type": kind})
            assert answer.status_code == 422
            assert "Content-Type: application/json" in is_problem(answer)["detail"]
    assert world.leads() == []


TROUBLES = {
    "down": "* /api/* drop_before",
    "failing": "* /api/* 504_before",
    "busy": "* /api/* 429",
}


@pytest.mark.parametrize("name", TROUBLES)
async def test_503_while_amocrm_is_in_trouble(world: World, name: str) -> None:
    """The answer says so and asks to wait; the record is kept and comes in later, once."""
    async with bot(world) as client:
        world.sandbox.faults.add(TROUBLES[name])
        answer = await client.post(LEADS, json=IVAN)
        problem = is_problem(answer)
        assert answer.status_code == 503
        assert int(answer.headers["retry-after"]) > 0
        assert (problem["success"], problem["lead_id"], problem["id"]) == (False, None, "42")
        assert [one.key for one in await world.refused()] == ["telegram:42"]
        world.sandbox.faults.clear()
        assert (await client.post(LEADS, json=IVAN)).status_code == 200
    assert (len(world.leads()), await world.refused()) == (1, [])


async def test_503_while_redis_is_away(world: World, start_valkey: Callable[..., Valkey]) -> None:
    """Nothing can be kept and nothing is written to amoCRM: the answer says to send it again."""
    other = start_valkey()
    world.redis_url = other.url
    world.write()
    async with bot(world) as client, Redis(unix_socket_path=str(other.socket)) as redis:
        assert (await client.post(LEADS, json=IVAN)).status_code == 200
        await _shut_down(redis)
        before = len(world.writes())
        answer = await client.post(LEADS, json=IVAN | {"id": "43"})
        ready = await client.get("/ready")
        health = await client.get("/health")
    assert answer.status_code == 503
    assert "Redis" in is_problem(answer)["message"]
    assert (ready.status_code, ready.json()["ready"]) == (503, False)
    assert "Redis cannot be reached" in ready.json()["redis"]
    assert (health.status_code, len(world.writes())) == (200, before)


async def _shut_down(redis: Redis) -> None:
    async with state_errors():
        await redis.shutdown(nosave=True)


async def test_a_service_that_starts_before_its_redis(world: World) -> None:
    """It starts all the same, says what is missing, and answers pushes with 503 that says they are not kept."""
    world.redis_url = "redis://127.0.0.1:9/0"
    world.write()
    async with bot(world) as client:
        answer = await client.post(LEADS, json=IVAN)
        ready = (await client.get("/ready")).json()
    assert answer.status_code == 503
    assert "not kept" in is_problem(answer)["message"]
    assert ready["ready"] is False
    assert "Redis cannot be reached" in ready["redis"]


async def test_the_deadline(world: World) -> None:
    """A push that amoCRM does not take in time is answered with 503 and kept; when it comes in after all, it is not."""
    async with bot(world, patience=0.5) as client:
        world.sandbox.faults.add("POST /api/v4/leads late seconds=1 nth=1")
        late = await client.post(LEADS, json=IVAN)
        assert late.status_code == 503
        assert "within 0.5 s" in is_problem(late)["message"]
        assert [one.key for one in await world.refused()] == ["telegram:42"]
        world.sandbox.faults.clear()
    async with bot(world) as client:
        again = await client.post(LEADS, json=IVAN)
    assert again.status_code == 200
    assert (len(world.leads()), await world.refused()) == (1, [])


async def test_the_same_record_waits_once(world: World) -> None:
    """However often a bot sends a talk while nobody is logged in, it is kept once."""
    with_key(world, **world.integration())
    async with serving(app_for(world)) as client:
        client.headers.update(bearer())
        for _ in range(3):
            assert (await client.post(LEADS, json=IVAN)).status_code == 503
    assert len(await world.refused()) == 1
