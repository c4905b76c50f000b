"""The client: four calls for one lead, the batch forms, and the reads of the amoCRM API v4."""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Sequence
from types import TracebackType
from typing import Any, Self

import httpx

from leadsync.amocrm import reading, writing
from leadsync.amocrm.ban import Ban
from leadsync.amocrm.budget import Budget, LocalBudget
from leadsync.amocrm.entities import (
    Contact,
    ContactEmbedded,
    CustomFieldValue,
    EntityRef,
    EntityType,
    Item,
    Lead,
    LeadEmbedded,
    Note,
    NoteParams,
    tags_of,
)
from leadsync.amocrm.failures import PartlyApplied
from leadsync.amocrm.retry import RetryPolicy
from leadsync.amocrm.transport import Transport
from leadsync.amocrm.wire import Timeouts, WriteGuard, open_http
from leadsync.amocrm.writing import ComplexResult, UpdateResult
from leadsync.errors import (
    AmoCRMAPIError,
    AmoCRMForbidden,
    AmoCRMNotFound,
    AmoCRMUnknownOutcome,
    AmoCRMValidationError,
)
from leadsync.events import LeadCreated, Listener, ignore

logger = logging.getLogger("leadsync.amocrm")

MOST_EVENTS = 100
"""Events of one page at most (amocrm-api.md §2)."""

ACCOUNT_PARTS = ("is_api_filter_enabled", "datetime_settings", "version")


class AmoCRMClient:
    """One amoCRM account.

        async with AmoCRMClient("https://firm.amocrm.ru", LongLivedToken(token)) as amocrm:
            contact_id = await amocrm.create_contact(name="…", phones=["+79161234567"])
            lead_id = await amocrm.create_lead(name="…", price=50_000, contact_ids=[contact_id])

    `auth` is StoredTokens or LongLivedToken. Clients that share an account share a `budget`; without one this client
    keeps to `requests_per_second` by itself. Those that share a `ban` send nothing while amoCRM blocks the account.

    Every method raises the errors of `leadsync.errors` below AmoCRMAPIError: AmoCRMUnknownOutcome means that a write
    may have been applied and must be looked for before it is sent again.
    """

    def __init__(
        self,
        base_url: str,
        auth: httpx.Auth,
        *,
        budget: Budget | None = None,
        requests_per_second: float = 6.5,
        listener: Listener = ignore,
        retry: RetryPolicy | None = None,
        timeouts: Timeouts | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
        ban: Ban | None = None,
    ) -> None:
        self._guard = WriteGuard()
        http = open_http(
            base_url,
            guard=self._guard,
            budget=budget or LocalBudget(requests_per_second),
            listener=listener,
            timeouts=timeouts or Timeouts(),
            transport=transport,
        )
        self._transport = Transport(http, auth, policy=retry or RetryPolicy(), listener=listener, ban=ban)
        self._listener = listener

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    def guard_writes(self, check: Callable[[], Awaitable[None]]) -> None:
        """Have `check` awaited right before every write, repeats included: what it raises keeps the write back."""
        self._guard.check = check

    async def aclose(self) -> None:
        """Close the connections."""
        await self._transport.aclose()

    # One at a time

    async def create_lead(
        self,
        *,
        name: str | None = None,
        price: int | None = None,
        contact_ids: Sequence[int] = (),
        company_ids: Sequence[int] = (),
        pipeline_id: int | None = None,
        status_id: int | None = None,
        responsible_user_id: int | None = None,
        custom_fields: Sequence[CustomFieldValue] = (),
        tags: Sequence[str] = (),
    ) -> int:
        """Create a lead, tied to contacts and companies that exist (the first contact is the main one); its id."""
        embedded = LeadEmbedded(
            tags=tags_of(tags),
            contacts=[EntityRef(id=one, is_main=index == 0) for index, one in enumerate(contact_ids)] or None,
            companies=[EntityRef(id=one) for one in company_ids] or None,
        )
        lead = Lead(
            name=name,
            price=price,
            pipeline_id=pipeline_id,
            status_id=status_id,
            responsible_user_id=responsible_user_id,
            custom_fields_values=list(custom_fields) or None,
            embedded=embedded if embedded.wire() else None,
        )
        (lead_id,) = (await self.create("leads", [lead])).values()
        logger.info("lead %d was created", lead_id)
        self._listener(LeadCreated(lead_id, contact_ids[0] if contact_ids else None))
        return lead_id

    async def create_contact(
        self,
        *,
        name: str | None = None,
        first_name: str | None = None,
        last_name: str | None = None,
        phones: Sequence[str] = (),
        emails: Sequence[str] = (),
        responsible_user_id: int | None = None,
        custom_fields: Sequence[CustomFieldValue] = (),
        tags: Sequence[str] = (),
    ) -> int:
        """Create a contact, phones and e-mails marked WORK; its id. amoCRM looks for no duplicate: search first."""
        fields = list(custom_fields)
        fields += [CustomFieldValue.phone(*phones)] if phones else []
        fields += [CustomFieldValue.email(*emails)] if emails else []
        contact = Contact(
            name=name,
            first_name=first_name,
            last_name=last_name,
            responsible_user_id=responsible_user_id,
            custom_fields_values=fields or None,
            embedded=ContactEmbedded(tags=tags_of(tags)) if tags else None,
        )
        (contact_id,) = (await self.create("contacts", [contact])).values()
        return contact_id

    async def add_note(self, lead_id: int, text: str, *, entity: EntityType = "leads") -> int:
        """Add a common note of up to 20 000 characters to a lead (or to `entity`); its id."""
        note = Note(entity_id=lead_id, params=NoteParams(text=text))
        (note_id,) = (await self.create_notes(entity, [note])).values()
        return note_id

    async def get_lead(self, lead_id: int, with_: Iterable[str] = ("contacts",)) -> dict[str, Any] | None:
        """A lead as the CRM gives it, None when there is no such id (amoCRM answers 204)."""
        return await self.get("leads", lead_id, with_=with_)

    # Batches: each is exactly one request

    async def create(self, entity: EntityType, items: Sequence[Item]) -> dict[str, int]:
        """Create up to 250 entities; their ids by request_id (an item without one gets its index)."""
        return await self._created(f"/{entity}", entity, items)

    async def create_notes(self, entity: EntityType, items: Sequence[Item]) -> dict[str, int]:
        """Create up to 250 notes, each with the `entity_id` it belongs to; their ids by request_id."""
        return await self._created(f"/{entity}/notes", "notes", items)

    async def create_complex(self, items: Sequence[Item]) -> dict[str, ComplexResult]:
        """Create up to 50 leads with their contact and company in one request; the results by request_id."""
        named = writing.numbered(items, most=writing.LARGEST_COMPLEX)
        answer = await self._transport.request("POST", "/leads/complex", body=list(named.values()))
        listed = [one for one in answer if isinstance(one, dict)] if isinstance(answer, list) else []
        found = writing.paired(listed, named, where="POST /leads/complex")
        return {
            name: ComplexResult(one["id"], one.get("contact_id"), one.get("company_id"), merged=bool(one.get("merged")))
            for name, one in found.items()
        }

    async def update(self, entity: EntityType, items: Sequence[Item]) -> UpdateResult:
        """Change up to 250 entities by id; ids that do not exist are named, the others are changed all the same."""
        bodies = writing.with_ids(items)
        try:
            answer = await self._transport.request(
                "PATCH", f"/{entity}", body=list(bodies.values()), expected=(PartlyApplied,)
            )
        except PartlyApplied as partly:
            return UpdateResult(frozenset(bodies.keys() - partly.missing.keys()), partly.missing)
        updated = frozenset(one.get("id") for one in writing.embedded(answer, entity)) & bodies.keys()
        if updated != bodies.keys():
            what = f"the answer does not say what became of {len(bodies) - len(updated)} of {len(bodies)} items"
            raise AmoCRMUnknownOutcome(what, status=200, where=f"PATCH /{entity}", do="read them before going on")
        return UpdateResult(frozenset(bodies), {})

    async def link(self, entity: EntityType, items: Sequence[Item]) -> None:
        """Tie entities together (`Link` items). What is tied already may be answered with 500: ask `links` first."""
        await self._transport.request("POST", f"/{entity}/link", body=writing.checked(items))

    # Reading

    async def get(self, entity: EntityType, entity_id: int, *, with_: Iterable[str] = ()) -> dict[str, Any] | None:
        """One entity as the CRM gives it, None when there is no such id."""
        path = f"/{entity}/{entity_id}"
        answer = await self._transport.request("GET", path, query=reading.with_parts(with_))
        return answer if isinstance(answer, dict) else None

    async def get_many(
        self, entity: EntityType, ids: Iterable[int], *, with_: Iterable[str] = (), filters: bool
    ) -> dict[int, dict[str, Any]]:
        """The entities of these ids that exist, by id. `filters`: the account has them (`is_api_filter_enabled`).

        With filters one request per 50 ids, else one per id.
        """
        parts = tuple(with_)
        wanted: Iterable[int] = set(ids)
        found: dict[int, dict[str, Any]] = {}
        if filters:
            found, wanted = await reading.by_filter(self._transport, entity, wanted, reading.with_parts(parts))
        return found | await reading.one_by_one(wanted, lambda one: self.get(entity, one, with_=parts))

    async def search(
        self, entity: EntityType, query: str, with_: Iterable[str] = (), *, most_pages: int = 4
    ) -> list[dict[str, Any]]:
        """What the CRM finds for a text in any filled field, up to `most_pages` of 250: check every hit yourself.

        Raises ValueError for an empty query, which would give the whole account.
        """
        if not query.strip():
            raise ValueError("an empty query finds the whole account")
        hits: list[dict[str, Any]] = []
        asked = [("query", query.strip()), *reading.with_parts(with_), *reading.by_id("asc")]
        seen = 0
        async for page in reading.pages(self._transport, f"/{entity}", entity, query=asked):
            hits += page
            seen += 1
            if seen == most_pages:
                break
        return hits

    def pages(
        self,
        entity: EntityType,
        *,
        order: str = "id",
        direction: str = "asc",
        with_: Iterable[str] = (),
        limit: int = reading.PAGE,
    ) -> AsyncGenerator[list[dict[str, Any]]]:
        """Every entity of the account, page by page. Orders that work: id, updated_at; for leads also created_at."""
        query = [(f"order[{order}]", direction), *reading.with_parts(with_)]
        return reading.pages(self._transport, f"/{entity}", entity, query=query, limit=limit)

    def pages_ahead(
        self, entity: EntityType, *, at_once: int, first: int = 1, with_: Iterable[str] = ()
    ) -> AsyncGenerator[list[dict[str, Any]]]:
        """Every entity by id, 250 a page, several pages under way at a time; `first` of them at the beginning.

        Who deletes an entity meanwhile shifts those after it by one, and one may be left out: see `deleted_since`.
        """
        query = [*reading.by_id("asc"), *reading.with_parts(with_)]
        path = f"/{entity}"
        return reading.pages_ahead(self._transport, path, entity, query=query, at_once=at_once, first=first)

    async def page(self, entity: EntityType, number: int, *, with_: Iterable[str] = ()) -> list[dict[str, Any]]:
        """One page of 250 entities by id; empty beyond the last."""
        query = [*reading.by_id("asc"), *reading.with_parts(with_)]
        return await reading.one_page(self._transport, f"/{entity}", entity, number, query=query)

    async def deleted_since(self, entity: EntityType, since: int) -> bool:
        """Whether somebody deleted or merged entities since a time (unix seconds); also when amoCRM does not tell."""
        return await self.deletions_since(entity, since) != frozenset()

    async def deletions_since(self, entity: EntityType, since: int) -> frozenset[str] | None:
        """The ids of the events that tell of entities deleted or merged since a time (unix seconds); None when amoCRM
        does not tell, or of more than it shows at a time."""
        kinds = (f"{entity.removesuffix('s')}_deleted", "entity_merged")
        query: list[tuple[str, str | int]] = [
            *(("filter[type][]", one) for one in kinds),
            ("filter[created_at][from]", since),
            ("limit", MOST_EVENTS),
        ]
        try:
            answer = await self._transport.request("GET", "/events", query=query, expected=(AmoCRMAPIError,))
        except (AmoCRMForbidden, AmoCRMNotFound, AmoCRMValidationError):
            return None
        found = frozenset(str(one["id"]) for one in writing.embedded(answer, "events"))
        return found if len(found) < MOST_EVENTS else None

    def newest(
        self, entity: EntityType, *, until_id: int, with_: Iterable[str] = ()
    ) -> AsyncGenerator[list[dict[str, Any]]]:
        """The entities with an id above `until_id`, newest first, page by page."""
        return self._newest(f"/{entity}", entity, until_id, with_)

    def newest_notes(self, entity: EntityType, *, until_id: int) -> AsyncGenerator[list[dict[str, Any]]]:
        """The notes of all entities of a type with an id above `until_id`, newest first, page by page."""
        return self._newest(f"/{entity}/notes", "notes", until_id, ())

    async def notes_of(self, entity: EntityType, entity_id: int) -> list[dict[str, Any]]:
        """All notes of one entity, oldest first."""
        path = f"/{entity}/{entity_id}/notes"
        return await reading.everything(self._transport, path, "notes", query=reading.by_id("asc"))

    async def notes_of_many(self, entity: EntityType, ids: Iterable[int]) -> dict[int, list[dict[str, Any]]]:
        """The notes of many entities, oldest first, by entity id; about one request for 50 of them."""
        return await reading.notes_by_entity(self._transport, entity, ids)

    async def links(self, entity: EntityType, ids: Iterable[int]) -> dict[int, list[dict[str, Any]]]:
        """What these entities are tied to, by id; an empty list for one that is tied to nothing.

        Each link holds `to_entity_id`, `to_entity_type` and, for a contact, `metadata.main_contact`.
        """
        found: dict[int, list[dict[str, Any]]] = {}
        for group in reading.groups_of(ids):
            found.update((one, []) for one in group)
            query = [("filter[entity_id][]", one) for one in group]
            for link in await reading.everything(self._transport, f"/{entity}/links", "links", query=query):
                if link.get("entity_id") in found:
                    found[link["entity_id"]].append(link)
        return found

    async def account(self, with_: Iterable[str] = ACCOUNT_PARTS) -> dict[str, Any]:
        """The account as the CRM gives it."""
        answer = await self._transport.request("GET", "/account", query=reading.with_parts(with_))
        return answer if isinstance(answer, dict) else {}

    async def custom_fields(self, entity: EntityType) -> list[dict[str, Any]]:
        """The custom fields of an entity type."""
        return await reading.everything(self._transport, f"/{entity}/custom_fields", "custom_fields")

    async def pipelines(self) -> list[dict[str, Any]]:
        """All pipelines with their statuses; one answer, amoCRM ignores paging here (amocrm-api.md §3.7)."""
        return writing.embedded(await self._transport.request("GET", "/leads/pipelines"), "pipelines")

    async def users(self) -> list[dict[str, Any]]:
        """The account's users; empty when the token's user is no administrator (403)."""
        pages = reading.pages(self._transport, "/users", "users", expected=(AmoCRMForbidden,))
        try:
            return [user async for page in pages for user in page]
        except AmoCRMForbidden:
            return []

    async def _created(self, path: str, key: str, items: Sequence[Item]) -> dict[str, int]:
        named = writing.numbered(items)
        answer = await self._transport.request("POST", path, body=list(named.values()))
        found = writing.paired(writing.embedded(answer, key), named, where=f"POST {path}")
        return {name: one["id"] for name, one in found.items()}

    async def _newest(
        self, path: str, key: str, until_id: int, with_: Iterable[str]
    ) -> AsyncGenerator[list[dict[str, Any]]]:
        query = [*reading.by_id("desc"), *reading.with_parts(with_)]
        async for page in reading.pages(self._transport, path, key, query=query):
            newer = [item for item in page if item["id"] > until_id]
            if newer:
                yield newer
            if len(newer) < len(page):
                return
