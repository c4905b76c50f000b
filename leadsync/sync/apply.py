"""Apply: the plans of many records, sent batch by batch; ids that arrive go into what is sent next."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterable, Mapping, Sequence
from functools import partial
from typing import Any

from leadsync.errors import ItemRefusal, Remedy
from leadsync.state.facts import Fact
from leadsync.state.journal import JournalItem
from leadsync.state.links import contact_of, key_of, leads_hash
from leadsync.state.refused import RefusedItem
from leadsync.sync.applied import Applied
from leadsync.sync.batch_sizes import BatchSizes
from leadsync.sync.changes import RecordPlan, Route, Step, contact_ref, is_ref
from leadsync.sync.flow import Flow
from leadsync.sync.not_accepted import NotAccepted
from leadsync.sync.payload import content
from leadsync.sync.send import Sender

AT_ONCE = 4
"""Batches of one route under way at a time."""


class Applier:
    """Sends plans. A contact that fails does not stop its lead; a note that fails does not undo it."""

    def __init__(self, sender: Sender, sizes: BatchSizes) -> None:
        self._sender = sender
        self._sizes = sizes

    async def apply(self, plans: Sequence[RecordPlan], before: Mapping[str, RefusedItem]) -> list[Applied]:
        """Send everything; one result a plan, in the same order. Raises what Sender.send raises.

        `before` are items that amoCRM refused earlier, by request_id: the same again is not sent.
        """
        applied, flow = {plan.key: Applied(plan) for plan in plans}, Flow(plans)
        await _all(self._route(route, flow, applied, before) for route in flow.routes)
        for one in applied.values():
            one.lead_id = _id(one.plan.lead, flow.ids)
            one.contact_id = _id(one.plan.contact, flow.ids)
        _tell_others(applied, flow.ids)
        return list(applied.values())

    async def _route(
        self, route: Route, flow: Flow, applied: Mapping[str, Applied], before: Mapping[str, RefusedItem]
    ) -> None:
        work = [self._lane(route, flow, applied, before) for _ in range(AT_ONCE)]
        if route is not flow.routes[0]:
            work.append(self._prepare(route, flow))
        try:
            await _all(work)
        finally:
            flow.ended(route)

    async def _prepare(self, route: Route, flow: Flow) -> None:
        with flow.or_stop():
            await self._sender.prepare(route, flow.signals)

    async def _lane(
        self, route: Route, flow: Flow, applied: Mapping[str, Applied], before: Mapping[str, RefusedItem]
    ) -> None:
        """Send one batch of a route after the other; alone while the next answer tells of a larger size."""
        with flow.or_stop():
            while await flow.ready(route, partial(self._sizes.of, route)):
                async with self._sizes.turn(route, partial(flow.left, route)):
                    steps, more = flow.take(route, self._sizes.of(route))
                    if steps:
                        await self._send(route, steps, flow, applied, before, more=more)

    async def _send(
        self,
        route: Route,
        steps: Sequence[Step],
        flow: Flow,
        applied: Mapping[str, Applied],
        before: Mapping[str, RefusedItem],
        *,
        more: bool,
    ) -> None:
        bound = {step.request_id: (step, item) for step in steps if (item := bind(step, flow.ids)) is not None}
        again = {name: no for name, (_, item) in bound.items() if (no := _refused_again(item, before)) is not None}
        items = [item for name, (_, item) in bound.items() if name not in again]
        sent = await self._sender.send(route, items, flow.signals, more=more)
        sent.refused |= again
        for name, (step, _) in bound.items():
            if name in sent.refused:
                applied[step.key].refused.append(sent.refused[name])
            elif name in sent.ids:
                applied[step.key].accepted.append(step)
        flow.decided(route, steps, sent.ids)


async def _all(work: Iterable[Coroutine[Any, Any, None]]) -> None:
    """Await all of it, whatever becomes of each; then raise the first error."""
    for failed in await asyncio.gather(*work, return_exceptions=True):
        if failed is not None:
            raise failed


def _refused_again(item: JournalItem, before: Mapping[str, RefusedItem]) -> NotAccepted | None:
    known = before.get(item.request_id)
    if known is None or known.sent != content(item.payload):
        return None
    answer = tuple(ItemRefusal(**one) for one in known.answer)
    return NotAccepted(item, known.reason, Remedy.FIX_RECORD, known.field, answer)


def _id(entity: int | str | None, ids: Mapping[str, int]) -> int | None:
    return ids.get(entity) if isinstance(entity, str) else entity


def _tell_others(applied: Mapping[str, Applied], ids: Mapping[str, int]) -> None:
    """A contact or a lead that several records share and that was refused is a failure of each of them."""
    for one in list(applied.values()):
        for refused in list(one.refused):
            for key in (sharers(refused) - {one.plan.key}) & applied.keys():
                applied[key].refused.append(refused)
    for one in applied.values():
        contact = one.plan.contact
        if isinstance(contact, str) and contact not in ids and contact != contact_ref(one.plan.key):
            owner = applied.get(contact.removeprefix("@contact:"))
            one.refused += [no for no in owner.refused if no.item.request_id.startswith("contact-")] if owner else []


def sharers(refused: NotAccepted) -> set[str]:
    """The keys of the records whose lead an item was to make or change; none for another item."""
    return {key for name, slot, _ in refused.item.facts if slot == "said_lead" and (key := key_of(name)) is not None}


def torn(applied: Iterable[Applied]) -> list[str]:
    """The keys of the records that were refused for what several of them wanted of one lead: each by itself may go
    through, and one bad record stops nobody."""
    wrong = [no for one in applied for no in one.refused if no.remedy is Remedy.FIX_RECORD]
    return list(dict.fromkeys(key for no in wrong if len(keys := sharers(no)) > 1 for key in sorted(keys)))


def bind(step: Step, ids: Mapping[str, int]) -> JournalItem | None:
    """The step with ids in place of references; None when what it hangs on was refused."""
    if not step.references:
        return JournalItem(step.key, step.request_id, step.change.payload, step.facts)
    payload = dict(step.change.payload)
    for name in ("entity_id", "to_entity_id"):
        if isinstance(payload.get(name), str):
            if payload[name] not in ids:
                return None
            payload[name] = ids[payload[name]]
    if "contacts" in payload.get("_embedded", {}):
        payload["_embedded"] = _embedded(payload["_embedded"], ids)
    facts = [bound for fact in step.facts if (bound := _bound(fact, ids)) is not None]
    return JournalItem(step.key, step.request_id, payload, facts)


def _bound(fact: Fact, ids: Mapping[str, int]) -> Fact | None:
    """A fact with ids in place of references; None when it hangs on what was refused."""
    name, slot, value = fact
    contact = contact_of(name)
    if contact is not None and is_ref(contact):
        if contact not in ids:
            return None
        name = leads_hash(ids[contact])
    return (name, slot, _value(value, ids)) if _known(value, ids) else None


def _embedded(embedded: Mapping[str, Any], ids: Mapping[str, int]) -> dict[str, Any]:
    """A contact that was refused is left out: the lead goes alone."""
    contacts = [one | {"id": found} for one in embedded["contacts"] if (found := _id(one["id"], ids)) is not None]
    rest = {name: value for name, value in embedded.items() if name != "contacts"}
    return rest | ({"contacts": contacts} if contacts else {})


def _known(value: str, ids: Mapping[str, int]) -> bool:
    return not is_ref(value) or value in ids


def _value(value: str, ids: Mapping[str, int]) -> str:
    return str(ids[value]) if is_ref(value) else value
