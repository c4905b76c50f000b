"""The contact list read into the index: every living contact is in it, whatever happens while it is read."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, Phase, example, given, settings
from hypothesis import strategies as st
from redis.asyncio import Redis

from leadsync.amocrm import AmoCRMClient, LongLivedToken
from leadsync.amocrm.budget import LocalBudget
from leadsync.errors import AmoCRMBanned
from leadsync.sandbox import Sandbox
from leadsync.sandbox.seeding import seed
from leadsync.state.contact_index import MOST_TWINS, ContactIndex
from leadsync.sync.contact_list import CLOCKS_APART, FRESH, LISTED, ContactList
from leadsync.sync.resolve import contact_keys_of
from tests.conftest import Valkey
from tests.world import NAMES, QUICK

PAGE = 4
"""Contacts of a page here: many pages of few people."""

LATER = 100.0
"""Seconds after the contacts were made at which the list is read."""


@dataclass(slots=True)
class Office:
    """An account of some contacts, and the list and index of it; time stands still until it is moved."""

    sandbox: Sandbox
    redis: Redis
    contacts: ContactList
    now: list[float]

    def person(self, **facts: Any) -> int:
        """Make one more contact, with a phone and an e-mail; its id."""
        ((made,), _) = seed(self.sandbox.account, 1, number=100_000 + self.sandbox.account.counters["contacts"])
        entity = self.sandbox.account.contacts[made]
        entity.facts.update({"updated_at": int(self.now[0])} | facts)
        self.sandbox.account.put(entity)
        return made

    def keys(self, id_: int) -> set[str]:
        """What a contact can be known by."""
        account = self.sandbox.account
        shown: dict[str, Any] = account.contacts[id_].shown(account.fields["contacts"], account.id)
        return contact_keys_of(shown, "RU")

    async def unknown(self) -> list[int]:
        """Living contacts that the index does not know by each of their keys."""
        keys = {one.id: sorted(self.keys(one.id)) for one in self.sandbox.account.contacts}
        known = await self.contacts.index.find([key for held in keys.values() for key in held])
        return [id_ for id_, held in keys.items() if not all(id_ in known.get(key, ()) for key in held)]

    async def stale(self, seconds: float = FRESH) -> None:
        """Let so much time pass: for the CRM's clock and for what the index knows of ours."""
        self.now[0] += seconds
        state = await self.contacts.index.state()
        await self.contacts.index.keep(checked=state.checked - seconds, listed=state.listed - seconds)

    async def asked(self, searches: int = 1000) -> tuple[bool, int]:
        """Whether the index is ready for so many searches, and how many requests that took."""
        before = self.sandbox.requests.total
        return await self.contacts.ready(searches), self.sandbox.requests.total - before


@asynccontextmanager
async def an_office(socket: str, contacts: int) -> AsyncIterator[Office]:
    """An office whose contacts are older than the index, in a CRM that gives small pages."""
    async with Redis(unix_socket_path=socket) as redis:
        await redis.flushall()
        seconds, _ = await redis.time()
        now = [seconds - LATER]
        async with Sandbox(rate=0, clock=lambda: now[0]) as sandbox:
            seed(sandbox.account, contacts)
            sandbox.switches.largest_page = PAGE
            now[0] += LATER
            token = LongLivedToken(sandbox.long_lived_token())
            async with AmoCRMClient(sandbox.url, token, budget=LocalBudget(10_000), retry=QUICK) as client:
                yield Office(sandbox, redis, ContactList(client, redis, NAMES, "RU"), now)


@pytest.fixture
async def office(valkey_server: Valkey) -> AsyncIterator[Office]:
    """An office of 50 contacts on 13 pages."""
    async with an_office(str(valkey_server.socket), 50) as made:
        yield made


async def delete_at(office: Office, moments: Sequence[tuple[int, int, int]]) -> None:
    """At the n-th request delete some contacts from a place of the list on."""
    for request, place, count in sorted(moments):
        await office.sandbox.requests.reached(request)
        there = sorted(one.id for one in office.sandbox.account.contacts)
        for one in there[place : place + count]:
            office.sandbox.account.remove("contacts", one)


async def built_while(office: Office, moments: Sequence[tuple[int, int, int]]) -> None:
    """Read the list while contacts are deleted; nobody who lives is missing after."""
    deleting = asyncio.create_task(delete_at(office, moments))
    assert await office.contacts.ready(1000)
    deleting.cancel()
    await asyncio.gather(deleting, return_exceptions=True)
    assert await office.unknown() == []


MOMENTS = st.lists(st.tuples(st.integers(1, 40), st.integers(0, 50), st.integers(1, 14)), min_size=1, max_size=5)


@given(moments=MOMENTS)
@example(moments=[(14, 0, 8)])  # after the last page was asked for: the way back begins
@example(moments=[(5, 0, 4), (16, 0, 4), (18, 0, 13)])
@settings(max_examples=40, phases=[Phase.explicit, Phase.generate], suppress_health_check=list(HealthCheck))
def test_every_living_contact_is_in_the_index(valkey_server: Valkey, moments: list[tuple[int, int, int]]) -> None:
    """Whoever is deleted while the list is read, everybody else is found."""

    async def story() -> None:
        async with an_office(str(valkey_server.socket), 50) as office:
            await built_while(office, moments)

    asyncio.run(story())


@pytest.mark.parametrize("pages", [1, 2, 4])
async def test_many_are_deleted_on_the_way_back(valkey_server: Valkey, pages: int) -> None:
    """Contacts that were missed on the way there, and are shifted by whole pages on the way back, are found where they
    came to."""
    for request in range(22, 29):
        async with an_office(str(valkey_server.socket), 50) as office:
            await built_while(office, [(10, 0, 5), (request, 0, pages * PAGE)])


async def test_a_list_that_nobody_shortens_is_read_once(office: Office) -> None:
    """Thirteen pages take fourteen requests, the last of which asks whether anybody was deleted; few are in vain."""
    ready, requests = await office.asked()
    assert ready
    assert 14 <= requests <= 14 + 4
    assert await office.unknown() == []
    assert await office.asked() == (True, 0)


async def test_one_page_needs_no_second_look(valkey_server: Valkey) -> None:
    """Nobody is shifted out of the first page: a small account costs one request, or two where much may be spared."""
    for searches, requests in ((100, 1), (1000, 2)):
        async with an_office(str(valkey_server.socket), 3) as office:
            assert await office.asked(searches) == (True, requests)
            assert await office.unknown() == []


async def test_an_empty_account(valkey_server: Valkey) -> None:
    """An account without contacts is known whole after one request; who comes later is found."""
    async with an_office(str(valkey_server.socket), 0) as office:
        assert await office.asked(100) == (True, 1)
        office.person()
        await office.stale()
        assert await office.asked() == (True, 1)
        assert await office.unknown() == []


async def test_deletions_shortly_before_are_no_matter_but_of_requests(office: Office) -> None:
    """A deletion some minutes ago may have been now, by another clock: the list is read back, too."""
    office.sandbox.account.remove("contacts", next(iter(office.sandbox.account.contacts)).id)
    _, requests = await office.asked()
    assert 14 + 13 <= requests <= 14 + 13 + 4 + 4
    assert await office.unknown() == []


async def test_a_user_who_may_not_see_events(office: Office) -> None:
    """Where amoCRM does not say whether anybody was deleted, the list is read back."""
    office.sandbox.faults.add("GET /api/v4/events forbidden")
    await built_while(office, [(3, 0, 5), (9, 0, 5)])


async def test_only_what_changed_is_asked_for(office: Office) -> None:
    """After FRESH one request takes in what was made and what was changed by hand since, and nobody else."""
    await office.asked()
    await office.stale()
    made = office.person()
    changed = next(iter(office.sandbox.account.contacts))
    email = office.sandbox.account.fields["contacts"].coded("EMAIL")
    assert email is not None
    changed.values[email.id] = [{"value": "new@example.com"}]
    changed.facts["updated_at"] = int(office.now[0])
    office.sandbox.account.put(changed)
    assert await office.asked() == (True, 1)
    assert await office.unknown() == []
    assert await office.contacts.index.find(["email:new@example.com"]) == {"email:new@example.com": (changed.id,)}
    assert made in [
        one for ids in (await office.contacts.index.find(sorted(office.keys(made)))).values() for one in ids
    ]


async def test_a_page_more_when_a_page_is_not_enough(office: Office) -> None:
    """Pages of changes are read until one holds something that is known."""
    await office.asked()
    await office.stale()
    for _ in range(2 * PAGE + 1):
        office.person()
    assert await office.asked() == (True, 4)  # the last asks whether anybody was deleted
    assert await office.unknown() == []


async def test_a_deletion_between_two_pages_of_changes_hides_nobody(office: Office) -> None:
    """Whom a deletion shifts to a page of changes that was read already is found before the index counts as fresh."""
    await office.asked()
    await office.stale()
    made = [office.person() for _ in range(3 * PAGE)]
    office.sandbox.faults.add("GET /api/v4/contacts late seconds=0.2")
    before = office.sandbox.requests.total
    asking = asyncio.create_task(office.contacts.ready(1000))
    await office.sandbox.requests.reached(before + 1)
    for one in (made[0], made[-1]):  # whichever of them stands on the first page
        office.sandbox.account.remove("contacts", one)
    assert await asking
    assert await office.unknown() == []


async def test_somebody_who_deletes_all_the_time(office: Office) -> None:
    """Changes that never hold still are not taken for known: people are searched for then."""
    await office.asked()
    await office.stale()
    made = [office.person() for _ in range(5 * PAGE)]
    seen = office.sandbox.requests

    async def delete_during_each_reading() -> None:
        total = seen.total
        while True:
            await seen.reached(total + 1)
            total = seen.total
            if "page=2&" in seen[-1].query:
                office.sandbox.account.remove("contacts", made.pop())

    deleting = asyncio.create_task(delete_during_each_reading())
    assert not await office.contacts.ready(1000)
    deleting.cancel()
    await asyncio.gather(deleting, return_exceptions=True)
    assert (await office.asked())[0]
    assert await office.unknown() == []


async def test_dates_in_the_future_hide_nobody(office: Office) -> None:
    """A contact dated a year ahead comes first in every list of changes, and those behind it are read all the same."""
    office.person(updated_at=int(office.now[0]) + 365 * 86_400)
    await office.asked()
    for _ in range(3):
        await office.stale()
        office.person()
        assert (await office.asked())[0]
        assert await office.unknown() == []


async def test_dates_in_the_past_hide_nobody_for_long(office: Office) -> None:
    """An import may say that its contacts changed years ago: the newest ids tell of them after LISTED."""
    await office.asked()
    office.person(updated_at=1_400_000_000)
    await office.stale(LISTED)
    assert await office.asked() == (True, 2)
    assert await office.unknown() == []


@pytest.mark.parametrize("apart", [-CLOCKS_APART * 10, CLOCKS_APART * 10])
async def test_clocks_that_differ(office: Office, apart: float) -> None:
    """The CRM's clock may be wrong by an hour: what happened after the list was read is found all the same."""
    for one in office.sandbox.account.contacts:
        one.facts["updated_at"] += int(apart)
        office.sandbox.account.put(one)
    office.now[0] += apart
    await office.asked()
    for _ in range(2):
        await office.stale()
        office.person()
        assert (await office.asked())[0]
        assert await office.unknown() == []


async def test_searches_are_cheaper_for_a_few_people(office: Office) -> None:
    """The list is not read for few; searches are counted, and it is read once they have cost more than it would."""
    assert await office.asked(1) == (False, 0)
    await office.contacts.index.searched(2)
    ready, tried = await office.asked(2)
    assert not ready
    assert tried <= 4
    assert await office.asked(2) == (False, 0)
    await office.contacts.index.searched(30)
    assert (await office.asked(2))[0]
    assert await office.unknown() == []
    state = await office.contacts.index.state()
    assert (state.looked, state.pages) == (0, 0)


async def test_searches_are_cheaper_than_a_long_absence(office: Office) -> None:
    """Where much has changed since the last run, one person is searched for; many are worth reading the changes."""
    await office.asked()
    await office.stale(3600)
    for _ in range(5 * PAGE):
        office.person()
    ready, tried = await office.asked(1)
    assert (ready, tried <= 3) == (False, True)
    assert await office.asked(1) == (False, 0)
    assert (await office.asked(20))[0]
    assert await office.unknown() == []


async def test_two_at_once(office: Office) -> None:
    """Two processes that build the index at the same time both end with a whole one."""
    other = ContactList(office.contacts.client, office.redis, NAMES, "RU")
    assert await asyncio.gather(office.contacts.ready(1000), other.ready(1000)) == [True, True]
    assert await office.unknown() == []


async def test_lanes_share_one_reading(office: Office) -> None:
    """Lanes of one process that all need the index read the list once."""
    before = office.sandbox.requests.total
    assert all(await asyncio.gather(*(office.contacts.ready(1000) for _ in range(4))))
    assert office.sandbox.requests.total - before <= 14 + 4


async def test_another_country_is_another_index(office: Office) -> None:
    """A phone without a country is another one elsewhere: what was read for one country says nothing for another."""
    await office.asked()
    assert not (await ContactIndex(office.redis, NAMES, "KZ").state()).whole


async def test_a_ban_ends_the_reading(office: Office) -> None:
    """An error on a page is raised, nothing goes on in the background, and the index is not taken for whole."""
    office.sandbox.faults.add("GET /api/v4/contacts ban403 nth=6 times=1000")
    with pytest.raises(AmoCRMBanned):
        await office.contacts.ready(1000)
    asked = office.sandbox.requests.total
    office.sandbox.faults.clear()
    assert not (await office.contacts.index.state()).whole
    assert office.sandbox.requests.total == asked
    assert (await office.asked())[0]
    assert await office.unknown() == []


async def test_an_empty_page_is_no_end(redis: Redis) -> None:
    """`next` decides, not the length: an empty page with one is followed."""
    bodies = {
        1: {"_links": {"next": {"href": "x"}}, "_embedded": {"contacts": [body(11, "+79161112233")]}},
        2: {"_links": {"next": {"href": "x"}}, "_embedded": {"contacts": []}},
        3: {"_links": {}, "_embedded": {"contacts": [body(12, "+79161112234"), body(13, "+79161112235", gone=True)]}},
    }

    def answer(request: httpx.Request) -> httpx.Response:
        page = bodies.get(int(request.url.params.get("page", "9"))) if request.url.path.endswith("/contacts") else None
        return httpx.Response(200, json=page) if page else httpx.Response(204)

    client = AmoCRMClient("http://127.0.0.1:9", LongLivedToken("t"), transport=httpx.MockTransport(answer))
    async with client:
        contacts = ContactList(client, redis, NAMES, "RU")
        assert await contacts.ready(1000)
        keys = [f"phone:+7916111223{number}" for number in (3, 4, 5)]
        assert await contacts.index.find(keys) == {keys[0]: (11,), keys[1]: (12,)}


def body(id_: int, phone: str, *, gone: bool = False) -> dict[str, Any]:
    """A contact as the API shows it."""
    fields = [{"field_code": "PHONE", "values": [{"value": phone}]}]
    return {"id": id_, "updated_at": 1, "is_deleted": gone, "custom_fields_values": fields}


# The index by itself


@pytest.fixture
def index(redis: Redis) -> ContactIndex:
    """An empty index."""
    return ContactIndex(redis, NAMES, "RU")


async def test_the_oldest_contacts_of_a_phone_are_kept(index: ContactIndex) -> None:
    """Of many contacts with one phone the oldest are remembered, in whatever order they came."""
    await index.add([("phone:+71", one) for one in (90, 70, 80, 10, 60, 50, 20, 70)])
    assert await index.find(["phone:+71", "phone:+72"]) == {"phone:+71": (10, 20, 50, 60, 70)}


async def test_a_phone_of_more_contacts_than_are_remembered_is_never_unknown(index: ContactIndex) -> None:
    """When none of those remembered holds the phone any more, the others may: that is not `in no contact`."""
    ids = range(1, MOST_TWINS + 2)
    await index.add([("phone:+71", one) for one in ids])
    await index.correct([("phone:+71", one) for one in ids])
    assert await index.find(["phone:+71"]) == {"phone:+71": ()}


async def test_a_corrected_index(index: ContactIndex) -> None:
    """What does not hold a key is taken out; a key that nobody holds is unknown again."""
    await index.add([("phone:+71", 1), ("phone:+71", 2), ("email:a@x.ru", 1)])
    await index.correct([("phone:+71", 1), ("email:a@x.ru", 1), ("email:b@x.ru", 5)])
    assert await index.find(["phone:+71", "email:a@x.ru", "email:b@x.ru"]) == {"phone:+71": (2,)}


async def test_the_state_goes_with_what_it_speaks_of(redis: Redis, index: ContactIndex) -> None:
    """Redis may evict one key and keep another: an index that is gone does not pass for whole."""
    await index.keep(whole=1)
    assert (await index.state()).whole
    (name,) = await redis.keys("*index*")
    await redis.delete(name)
    assert not (await index.state()).whole
