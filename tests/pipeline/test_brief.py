"""The brief, item by item (the first table of the brief: 1 to 12), each shown end to end."""

from __future__ import annotations

import logging
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from pydantic import ValidationError

import leadsync
from leadsync import AmoCRMClient, Pipeline
from leadsync.amocrm import LongLivedToken
from leadsync.amocrm.entities import Lead
from leadsync.amocrm.login import finish_login
from leadsync.amocrm.oauth import OAuthClient
from leadsync.amocrm.tokens import LoginStates
from leadsync.config.loader import load_project
from leadsync.errors import AmoCRMBanned
from leadsync.events import Event, RequestRetried, ignore
from leadsync.project import connect
from leadsync.sandbox.starter import ADMIN_ID
from leadsync.settings import Settings
from tests.world import NAMES, World, talk

TOKENS = "/oauth2/access_token"
LEADS = "/api/v4/leads"
LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR")


@asynccontextmanager
async def connected(world: World) -> AsyncIterator[tuple[OAuthClient, LoginStates]]:
    """The integration of the world's project, and the logins begun with it."""
    async with connect(load_project(world.folder / "leadsync.yaml"), ignore) as connections:
        assert connections.oauth is not None
        assert connections.states is not None
        yield connections.oauth, connections.states


def callback(world: World, address: str) -> dict[str, str]:
    """What amoCRM sends the browser back with, when a person allows the access on the page at an address."""
    state = parse_qs(urlsplit(address).query)["state"][0]
    return {"code": world.sandbox.oauth.code(ADMIN_ID), "state": state}


async def test_item_1_one_login_is_enough(world: World) -> None:
    """Item 1: address, code, tokens; after that first login every renewal happens by itself."""
    world.settings(**world.integration())
    async with connected(world) as (oauth, states):
        address = oauth.login_url(await states.issue())
        await finish_login(callback(world, address), oauth=oauth, states=states)
    for number in range(3):
        world.sandbox.oauth.expire(await world.access_token())
        await world.store([talk(str(number))])
        assert (await world.run()).created["leads"] == 1
    assert len(world.requests("POST", TOKENS)) == 1 + 3


async def test_item_2_tokens_lie_in_redis_only(world: World) -> None:
    """Item 2: the access token lives 86 400 s in Redis; no file of the project ever holds a token."""
    await world.log_in()
    await world.store([talk("1")])
    await world.run()
    stored = await world.tokens.load()
    assert stored is not None
    assert await world.redis.ttl(NAMES.name("token", "access")) == pytest.approx(86_400, abs=5)
    kept = b"".join(path.read_bytes() for path in world.folder.rglob("*") if path.is_file())
    assert str(stored.access_token).encode() not in kept
    assert str(stored.refresh_token).encode() not in kept


@pytest.mark.parametrize(("left", "renewals"), [(3_660, 0), (3_540, 1)])
async def test_item_2_renewed_one_hour_before_the_end(world: World, left: int, renewals: int) -> None:
    """Item 2: an access token with less than an hour to live is renewed before it is used, never after a refusal."""
    await world.log_in()
    stored = await world.tokens.load()
    assert stored is not None
    now = time.time()
    await world.tokens.save(replace(stored, issued_at=now + left - 86_400, expires_at=now + left))
    await world.store([talk("1")])
    await world.run()
    assert len(world.requests("POST", TOKENS)) == 1 + renewals
    assert 401 not in {one.status for one in world.requests()}


async def test_item_3_the_four_methods(world: World) -> None:
    """Item 3: create_contact, create_lead, add_note and get_lead, by the client alone."""
    async with AmoCRMClient(world.sandbox.url, LongLivedToken(world.sandbox.long_lived_token())) as amocrm:
        contact_id = await amocrm.create_contact(name="Иван", phones=["+79161234567"])
        lead_id = await amocrm.create_lead(name="Заявка", price=50_000, contact_ids=[contact_id])
        await amocrm.add_note(lead_id, "История")
        lead = await amocrm.get_lead(lead_id)
    assert lead is not None
    assert (lead["name"], lead["price"]) == ("Заявка", 50_000)
    assert [one["id"] for one in lead["_embedded"]["contacts"]] == [contact_id]
    assert world.notes() == [(lead_id, "История")]


async def test_item_4_429_waits_longer_each_time(world: World) -> None:
    """Item 4: 429 is answered with growing waits, and the run ends as if nothing had been."""
    world.sandbox.faults.add(f"POST {LEADS} 429 nth=1 times=3")
    heard: list[Event] = []
    await world.store([talk("1", phone="+79161234567")])
    report = await world.run(heard.append)
    waits = [one.wait for one in heard if isinstance(one, RequestRetried) and one.reason == "AmoCRMRateLimitError"]
    assert waits == sorted(waits)
    assert len(waits) == 3
    assert (report.created, report.throttled) == ({"contacts": 1, "leads": 1, "notes": 1}, 3)


async def test_item_4_a_network_error_is_retried(world: World) -> None:
    """Item 4: a dropped connection costs a read nothing but another try."""
    world.sandbox.faults.add("GET /api/* drop_before nth=1 times=2")
    await world.store([talk("1")])
    assert (await world.run()).created["leads"] == 1


async def test_item_4_401_renews_once_and_repeats_the_call(world: World) -> None:
    """Item 4: a token that ends in the middle of a run is renewed once, and the refused write is sent once more."""
    await world.log_in()
    await world.store([talk("1", phone="+79161234567")])
    async with world.pipeline() as pipeline:
        world.sandbox.oauth.expire(await world.access_token())
        report = await pipeline.run()
    assert report.created == {"contacts": 1, "leads": 1, "notes": 1}
    assert len(world.requests("POST", TOKENS)) == 1 + 1
    assert [one.status for one in world.requests() if one.path != TOKENS].count(401) == 1


@pytest.mark.parametrize(
    ("source", "named"), [("telegram", "Telegram Bot"), ("avito", "Avito Messenger"), ("web", "Веб-чат")]
)
async def test_item_5_a_talk_of_each_source(world: World, source: str, named: str) -> None:
    """Item 5: contact (WORK), named and priced lead, source and product fields, note; with the shipped mappings."""
    world.use_sample()
    fields = {
        "phone": "8 916 123-45-67",
        "email": "Ivan@Example.com",
        "product_interest": "AI Lawyer",
        "budget": 150000,
    }
    await world.store([talk("7", "Нужен договор", source=source, **fields)])
    await world.run()
    (contact,), (lead,) = world.contacts(), world.leads()
    assert contact["fields"] == {"PHONE": "+79161234567", "EMAIL": "ivan@example.com"}
    assert {one["values"][0]["enum_code"] for one in contact["custom_fields_values"]} == {"WORK"}
    assert (lead["name"], lead["price"], lead["contacts"]) == ("Заявка от Иван (AI Lawyer)", 150000, [contact["id"]])
    assert (lead["fields"]["UTM_SOURCE"], lead["fields"]["Источник"]) == (named, named)
    assert lead["fields"]["Продукт"] == "AI Lawyer"
    ((lead_id, text),) = world.notes()
    assert lead_id == lead["id"]
    assert "Нужен договор" in text


async def test_item_6_a_lead_without_a_contact(world: World) -> None:
    """Item 6: no phone and no e-mail anywhere: the lead stands alone, with its note."""
    world.use_sample()
    await world.store([talk("1", "Просто смотрю")])
    report = await world.run()
    assert report.created == {"leads": 1, "notes": 1}
    assert world.leads()[0]["contacts"] == []


async def test_item_7_the_answer_of_a_push(world: World) -> None:
    """Item 7: lead id, contact id, success and message, for what works and for what does not."""
    async with world.pipeline() as pipeline:
        good = await pipeline.push(talk("1", phone="8 916 123-45-67"))
        bad = await pipeline.push(talk("2", phone="123"))
    (lead,), (contact,) = world.leads(), world.contacts()
    assert (good.lead_id, good.contact_id, good.success) == (lead["id"], contact["id"], True)
    assert good.message
    assert (bad.lead_id, bad.contact_id, bad.success) == (None, None, False)
    assert "contact.phone" in bad.message


async def test_item_8_what_the_three_routes_do(world: World) -> None:
    """Item 8: an address with a fresh state, a callback that stores the tokens, and a lead from a posted body."""
    world.settings(**world.integration())
    async with connected(world) as (oauth, states):
        one, other = oauth.login_url(await states.issue()), oauth.login_url(await states.issue())
        assert one != other
        await finish_login(callback(world, one), oauth=oauth, states=states)
    body = {"id": "1", "source": "web", "user_name": "Иван", "phone": "8 916 123-45-67", "conversation_history": "…"}
    async with world.pipeline() as pipeline:
        assert (await pipeline.push(body)).success


async def test_item_9_settings_come_from_the_environment(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Item 9: subdomain, client id, secret and redirect are read from the environment, and the secret shows nowhere."""
    for name, value in {"SUBDOMAIN": "firm", "CLIENT_ID": "id", "CLIENT_SECRET": "s3cret"}.items():
        monkeypatch.setenv(f"AMOCRM_{name}", value)
    monkeypatch.setenv("AMOCRM_REDIRECT_URI", "https://example.com/callback")
    settings = Settings.load(world.folder)
    assert (settings.amocrm_subdomain, settings.amocrm_client_id) == ("firm", "id")
    assert settings.amocrm_redirect_uri == "https://example.com/callback"
    assert settings.amocrm_client_secret is not None
    assert settings.amocrm_client_secret.get_secret_value() == "s3cret"
    assert "s3cret" not in repr(settings) + str(settings.model_dump())


async def test_item_9_the_env_file_is_never_written(world: World) -> None:
    """Item 9: a login, a renewal and a run leave the `.env` as it was, even where it could not be written."""
    await world.log_in()
    file = world.folder / ".env"
    file.chmod(0o400)
    before = (file.read_bytes(), file.stat().st_mtime_ns)
    world.sandbox.oauth.expire(await world.access_token())
    await world.store([talk("1")])
    await world.run()
    assert (file.read_bytes(), file.stat().st_mtime_ns) == before


async def test_item_10_ids_of_fields_are_asked_of_the_account(world: World) -> None:
    """Item 10: the ids in the payload are those of `GET /api/v4/leads/custom_fields`."""
    await world.store([talk("1", product_interest="AI Analyst")])
    await world.run()
    assert world.requests("GET", "/api/v4/leads/custom_fields")
    (post,) = world.requests("POST", LEADS)
    book = world.sandbox.account.fields["leads"]
    sent = {one["field_id"] for one in post.body[0]["custom_fields_values"]}
    assert sent == {book.named("Источник").id, book.named("Продукт").id}


async def test_item_11_levels_of_the_log(world: World, caplog: pytest.LogCaptureFixture) -> None:
    """Item 11: INFO leads and OAuth, DEBUG tokens and requests, WARNING retries and expiry, ERROR refused records."""
    caplog.set_level(logging.DEBUG, "leadsync")
    await world.log_in()
    world.sandbox.oauth.expire(await world.access_token())
    world.sandbox.faults.add(f"POST {LEADS} 429 nth=1")
    await world.store([talk("1"), talk("2", phone="123")])
    await world.run()
    said = {level: "\n".join(one.getMessage() for one in caplog.records if one.levelname == level) for level in LEVELS}
    assert "lead " in said["INFO"]
    assert "OAuth: logged in" in said["INFO"]
    assert "OAuth: the access token was renewed" in said["INFO"]
    assert "OAuth: stored an access token" in said["DEBUG"]
    assert "POST /leads: 200" in said["DEBUG"]
    assert "again in" in said["WARNING"]
    assert "OAuth: amoCRM refused the access token" in said["WARNING"]
    assert "contact.phone" in said["ERROR"]


async def test_item_11_an_api_error_is_logged_as_one(world: World, caplog: pytest.LogCaptureFixture) -> None:
    """Item 11: what amoCRM refuses for good stands in the log at ERROR, without anything private in any line."""
    caplog.set_level(logging.DEBUG)
    world.sandbox.faults.add(f"POST {LEADS} ban403")
    await world.store([talk("1", "Тайна", phone="+79161234567", email="ivan@example.com", user_name="Пётр")])
    with pytest.raises(AmoCRMBanned):
        await world.run()
    ours = [one for one in caplog.records if not one.name.startswith("uvicorn")]  # the look-alike's server is not us
    assert any(one.levelname == "ERROR" and "AmoCRMBanned" in one.getMessage() for one in ours)
    said = "\n".join(one.getMessage() for one in ours)
    assert [one for one in ("Тайна", "9161234567", "ivan", "Пётр") if one in said] == []


async def test_item_12_three_lines_in_a_bot(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Item 12: import, open, push; typed models, everything awaited, and the types are shipped."""
    monkeypatch.chdir(world.folder)
    async with Pipeline.from_file("leadsync.yaml") as pipeline:
        result = await pipeline.push(
            {"id": "42", "source": "telegram", "user_name": "Иван", "phone": "8 916 123-45-67"}
        )
    assert result.success
    assert (Path(leadsync.__file__).parent / "py.typed").exists()
    with pytest.raises(ValidationError):
        Lead.model_validate({"price": "дорого"})
