"""Open leads where amoCRM's answers lag behind what we did."""

from __future__ import annotations

from typing import Any
from zoneinfo import ZoneInfo

import httpx
import pytest
from redis.asyncio import Redis

from leadsync.amocrm import AmoCRMClient, LongLivedToken
from leadsync.amocrm.catalogue import Account, Catalogue, Pipeline
from leadsync.state.facts import remember
from leadsync.state.links import NO_LINK, leads_hash
from leadsync.sync.open_leads import OpenLeads
from leadsync.sync.plan_lead import LeadMember
from leadsync.sync.resolve import Resolver, WantedLead
from tests.world import NAMES

CONTACT, LEAD, FUNNEL = 5, 7, 1
CATALOGUE = Catalogue(
    account=Account(1, "firm", "firm", None, is_api_filter_enabled=True, current_user_id=None),
    fields=(),
    pipelines=(Pipeline(FUNNEL, "Воронка", is_main=True, is_archive=False, statuses=()),),
    users=(),
)


def lagging(contacts: list[int]) -> httpx.MockTransport:
    """An amoCRM whose lists of links do not show yet what its lead says: that it is of these contacts."""
    lead = {
        "id": LEAD,
        "pipeline_id": FUNNEL,
        "status_id": 3,
        "created_at": 1,
        "_embedded": {"contacts": [{"id": one} for one in contacts]},
    }

    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith("/links"):
            return httpx.Response(200, json={"_embedded": {"links": []}})
        return httpx.Response(200, json={"_embedded": {"leads": [lead]}})

    return httpx.MockTransport(answer)


@pytest.mark.parametrize(("contacts", "joined"), [([CONTACT], LEAD), ([CONTACT + 1], None)])
async def test_a_lead_that_the_list_of_links_does_not_show_yet(redis: Redis, contacts: Any, joined: int | None) -> None:
    """A lead that we have just made for a contact is known by our own memory, as long as it still is the contact's."""
    await remember(redis, NAMES, [(leads_hash(CONTACT), "main", str(LEAD))])
    resolver = Resolver(CATALOGUE, country="RU", zone=ZoneInfo("Europe/Moscow"), strip_emoji=True)
    member = LeadMember("a:1", WantedLead((), ()), NO_LINK, resolver, CONTACT, joins=True)
    auth = LongLivedToken("token")
    async with AmoCRMClient("https://firm.amocrm.ru", auth, transport=lagging(contacts)) as client:
        places = await OpenLeads(client, redis, NAMES, CATALOGUE).places([member])
    assert [one.joined.lead for one in places.values()] == ([] if joined is None else [joined])
