"""Where the brief itself is wrong: each row of its second table, and what happens here instead."""

from __future__ import annotations

from pathlib import Path

import pytest

from leadsync.amocrm.tokens import REFRESH_LIFE
from leadsync.config.loader import load_project
from leadsync.errors import AuthorizationRequired
from leadsync.events import ignore
from leadsync.project import connect
from tests.processes import processes
from tests.world import MAPPING, NAMES, World, talk

TOKENS, LEADS = "/oauth2/access_token", "/api/v4/leads"
ACCESS, REFRESH = NAMES.name("token", "access"), NAMES.name("token", "refresh")


async def test_row_one_ttl_for_the_pair(world: World) -> None:
    """Row "one TTL of 86 400 s": after a weekend without traffic the refresh token is there, and nobody logs in."""
    await world.log_in()
    assert await world.redis.ttl(REFRESH) == pytest.approx(REFRESH_LIFE, abs=5)
    await world.redis.delete(ACCESS)  # what its life in Redis does by itself
    await world.store([talk("1")])
    assert (await world.run()).created["leads"] == 1
    assert 401 not in {one.status for one in world.requests()}


async def test_row_on_401_the_pair_is_deleted(world: World) -> None:
    """Row "on 401 the pair is deleted": only the access token is dropped, also when no renewal is possible."""
    await world.log_in()
    world.sandbox.oauth.revoke_all()
    with pytest.raises(AuthorizationRequired) as needed:
        await world.run()
    assert "leadsync auth login" in str(needed.value)
    assert not await world.redis.exists(ACCESS)
    assert await world.redis.exists(REFRESH)


async def test_row_an_asyncio_lock_around_the_renewal(world: World) -> None:
    """Row "an asyncio.Lock": two processes whose token ended at once spend the refresh token once, and both go on."""
    await world.log_in()
    await world.store([talk(str(number)) for number in range(4)])
    world.sandbox.oauth.expire(await world.access_token())
    world.sandbox.faults.add(f"POST {TOKENS} late seconds=0.5")
    ended = await processes(2, world.folder, "run")
    assert [one.code for one in ended] == [0, 0], [one.err for one in ended]
    assert len(world.requests("POST", TOKENS)) == 1 + 1
    assert len(world.leads()) == len(world.notes()) == 4


@pytest.mark.parametrize("fault", ["drop_after", "504_after", "truncated"])
async def test_row_a_post_is_retried_blindly(world: World, fault: str) -> None:
    """Row "a network error on POST is retried blindly": a lead whose answer was lost is looked for, not made again."""
    world.sandbox.faults.add(f"POST {LEADS} {fault} nth=1")
    await world.store([talk("1", phone="+79161234567"), talk("2")])
    report = await world.run()
    assert (report.created["leads"], len(world.leads()), len(world.notes())) == (2, 2, 2)
    assert len(world.requests("POST", LEADS)) == 1


async def test_row_a_post_that_never_arrived(world: World) -> None:
    """The same row, the other way: a lead that is looked for and not found is sent again."""
    world.sandbox.faults.add(f"POST {LEADS} drop_before nth=1")
    await world.store([talk("1")])
    assert (await world.run()).created["leads"] == 1
    assert len(world.requests("POST", LEADS)) == 2


async def test_row_a_new_contact_for_every_talk(world: World) -> None:
    """Row "a new contact for every talk": the third talk of one customer, in another run, finds the first's contact."""
    spelled = [{"phone": "8 (916) 123-45-67"}, {"phone": "+7 916 1234567"}, {"email": "ivan@example.com"}]
    spelled[1]["email"] = "Ivan@Example.com"
    for number, fields in enumerate(spelled):
        await world.store([talk(str(number), **fields)])
        await world.run()
    (contact,) = world.contacts()
    assert [one["contacts"] for one in world.leads()] == [[contact["id"]]] * 3


async def test_row_a_contact_of_the_account_is_found_and_verified(world: World) -> None:
    """The same row: a customer that a person typed in is recognised, a stranger that the search also hits is not."""
    await world.store([talk("1", phone="+79161234567")])
    await world.run()
    await world.redis.flushall()  # nothing is remembered: the account alone must tell
    (known,) = world.contacts()
    await world.store([talk("2", phone="8-916-123-45-67"), talk("3", phone="+79160000001")])
    await world.run()
    assert [one["contacts"] == [known["id"]] for one in world.leads()] == [True, True, False]


async def test_row_embedded_as_a_field(world: World) -> None:
    """Row "`_embedded` as a Pydantic field": it is on the wire, and the CRM shows the link."""
    await world.store([talk("1", phone="+79161234567")])
    await world.run()
    (post,) = world.requests("POST", LEADS)
    (contact,), (lead,) = world.contacts(), world.leads()
    assert post.body[0]["_embedded"]["contacts"] == [{"id": contact["id"], "is_main": True}]
    assert lead["contacts"] == [contact["id"]]


async def test_row_state_is_not_checked(world: World) -> None:
    """Row "`state=random_state`": each login has its own, which works once."""
    world.settings(**world.integration())
    async with connect(load_project(world.folder / "leadsync.yaml"), ignore) as connections:
        states = connections.states
        assert states is not None
        one, other = await states.issue(), await states.issue()
        assert one != other
        assert [await states.consume(state) for state in (one, one, other, "random_state", None)] == [
            *(True, False),
            *(True, False, False),
        ]


async def test_row_codes_of_fields_in_the_code(world: World) -> None:
    """Row "field codes written in code": a field is named by code, name or id, and each account has its own ids."""
    product = world.sandbox.account.fields["leads"].named("Продукт").id
    fields = {"UTM_SOURCE": "бот", "Город": "{{ metadata.city }}", product: "{{ product_interest }}"}
    world.write(MAPPING | {"lead": {"name": "Заявка", "fields": fields}})
    await world.store([talk("1", product_interest="AI Lawyer", metadata={"city": "Омск"})])
    await world.run()
    (lead,) = world.leads()
    assert lead["fields"] == {"UTM_SOURCE": "бот", "Город": "Омск", "Продукт": "AI Lawyer"}


@pytest.mark.parametrize("domain", ["amocrm.ru", "amocrm.com", "kommo.com"])
async def test_row_the_page_on_the_accounts_host(world: World, domain: str, tmp_path: Path) -> None:
    """Row "authorisation page on the account's host": people log in on the shared www host."""
    world.write(amocrm={"domain": domain})
    settings = "".join(f"{name}={value}\n" for name, value in world.integration().items())
    (tmp_path / ".env").write_text(settings)
    async with connect(load_project(tmp_path / "leadsync.yaml"), ignore) as connections:
        assert connections.oauth is not None
        assert connections.oauth.login_url("s").startswith(f"https://www.{domain}/oauth?client_id=")
