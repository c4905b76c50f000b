"""Flow: items of different routes under way at once; whatever ends first, fails or is broken off, nobody waits for ever
and nothing goes before what it hangs on."""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from random import Random
from types import MappingProxyType
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leadsync.errors import Remedy
from leadsync.state.journal import JournalItem
from leadsync.state.links import leads_hash, link_hash
from leadsync.state.refused import RefusedItem
from leadsync.sync.applied import Applied
from leadsync.sync.apply import Applier, bind
from leadsync.sync.batch_sizes import BatchSizes
from leadsync.sync.changes import Change, RecordPlan, Route, Step, contact_ref, is_ref, lead_ref
from leadsync.sync.flow import Signals, batch_end
from leadsync.sync.not_accepted import NotAccepted
from leadsync.sync.payload import content
from leadsync.sync.send import Sender, Sent

KNOWN = 7
"""The id of a contact or a lead that was there before."""

MAKES = {Route.CREATE_CONTACTS: contact_ref, Route.CREATE_LEADS: lead_ref}

CONTACTS, LEADS = ("-", "new", "new", "known", "changed", "other"), ("-", "new", "new", "known", "other")
"""A record's contact and lead: none, one it makes, one that was there (and changes), what an earlier record makes."""

RECORD = st.tuples(st.sampled_from(CONTACTS), st.sampled_from(LEADS), st.integers(0, 3))
"""One record, with the number of parts of its note."""

RECORDS = st.integers(0, 60).flatmap(lambda count: st.lists(RECORD, min_size=count, max_size=count))

SIZES = st.lists(st.integers(1, 12), min_size=1, max_size=3)
"""How many items a request holds: each answer makes it the next of these."""


class Trouble(Exception):
    """What stops a run."""


@dataclass
class Crm:
    """A sender's part: takes batches, and answers after a while of its own; `fails_at` that many batches it raises."""

    dice: Random
    sizes: Sequence[int]
    fails_at: int = 1_000_000
    refuses: float = 0.0
    calls: list[tuple[Route, list[JournalItem]]] = field(default_factory=list)
    decided: dict[str, int | None] = field(default_factory=dict)
    failed: bool = False
    _trying: dict[Route, asyncio.Lock] = field(default_factory=lambda: defaultdict(asyncio.Lock))
    _answers: int = 0

    def of(self, route: Route) -> int:
        """How many items a request may hold now."""
        return self.sizes[self._answers % len(self.sizes)]

    @asynccontextmanager
    async def turn(self, route: Route, waiting: Callable[[], int]) -> AsyncGenerator[None]:
        """Now and then one batch at a time."""
        if len(self.sizes) > 1 and self.dice.random() < 0.5 and waiting() > self.of(route):
            async with self._trying[route]:
                yield
        else:
            yield

    async def prepare(self, route: Route, signals: Signals) -> None:
        """Wait for the first batch."""
        await signals.began.wait()

    async def send(self, route: Route, items: Sequence[JournalItem], signals: Signals, *, more: bool) -> Sent:
        """Take a batch."""
        sent = Sent()
        if not items or signals.stop.is_set():
            return sent
        assert not self.failed, "a request was begun after an error"
        assert all(not is_ref(one) for item in items for one in _values(item))
        self.calls.append((route, list(items)))
        number = len(self.calls)
        signals.began.set()
        for _ in range(self.dice.randrange(12)):
            await asyncio.sleep(0)
        if number >= self.fails_at:
            self.failed = True
            raise Trouble
        for item in items:
            if self.dice.random() < self.refuses:
                sent.refused[item.request_id] = NotAccepted(item, "no", Remedy.FIX_RECORD)
            else:
                sent.ids[item.request_id] = 1000 + len(self.decided)
            self.decided[item.request_id] = sent.ids.get(item.request_id)
        self._answers += 1
        return sent

    def sent(self, route: Route) -> list[str]:
        """The names of what was sent by a route, in order."""
        return [item.request_id for one, items in self.calls for item in items if one is route]

    async def apply(
        self, plans: Sequence[RecordPlan], before: Mapping[str, RefusedItem] = MappingProxyType({})
    ) -> list[Applied]:
        """Send plans here."""
        return await Applier(cast(Sender, self), cast(BatchSizes, self)).apply(plans, before)


def _values(item: JournalItem) -> list[Any]:
    payload = item.payload
    contacts = [one["id"] for one in payload.get("_embedded", {}).get("contacts", ())]
    facts = [part for name, _, value in item.facts for part in (name.partition(":")[2], value)]
    return [payload.get("entity_id"), payload.get("to_entity_id"), *contacts, *facts]


def _step(route: Route, key: str, name: str, *facts: tuple[str, str, str], **payload: Any) -> Step:
    payload["request_id"] = f"{name}-{key}"
    return Step(Change(key, "note", "create", None, "", (), payload), route, facts)


def plans_of(records: Sequence[tuple[str, str, int]]) -> list[RecordPlan]:
    """Plans as the planner makes them."""
    plans: list[RecordPlan] = []
    made: dict[str, str] = {}
    for number, (contact, lead, parts) in enumerate(records):
        key, steps = f"t:{number}", list[Step]()
        person = {"-": None, "new": contact_ref(key), "other": made.get("contact", KNOWN)}.get(contact, KNOWN)
        deal = {"-": None, "new": lead_ref(key), "other": made.get("lead", KNOWN)}.get(lead, KNOWN)
        if contact == "new":
            steps.append(_step(Route.CREATE_CONTACTS, key, "contact"))
            made["contact"] = contact_ref(key)
        if contact == "changed":
            steps.append(_step(Route.UPDATE_CONTACTS, key, "contact"))
        ours = [(leads_hash(person), "1", lead_ref(key))] if person is not None and lead == "new" else []
        tied = [(link_hash(key), "contact", str(person))] if person is not None else []
        if lead == "new":
            contacts = {"contacts": [{"id": person}]} if person is not None else {}
            steps.append(_step(Route.CREATE_LEADS, key, "lead", *ours, *tied, _embedded=contacts))
            made["lead"] = lead_ref(key)
        if lead == "known":
            steps.append(_step(Route.UPDATE_LEADS, key, "lead"))
        if lead in ("known", "other") and person is not None:
            ends = {"entity_id": deal, "to_entity_id": person}
            steps.append(_step(Route.LINK_LEADS, key, "link", *tied, **ends))
        target = deal if deal is not None else person
        notes = Route.NOTE_CONTACTS if deal is None else Route.NOTE_LEADS
        for part in range(parts if target is not None else 0):
            steps.append(_step(notes, key, f"note{part}", entity_id=target))
        plans.append(RecordPlan(key, key, "create", tuple(steps), lead=deal, contact=person))
    return plans


def steps_of(plans: Sequence[RecordPlan], route: Route) -> list[Step]:
    """The steps of a route, in the order of the plan."""
    return [step for plan in plans for step in plan.steps if step.route is route]


def in_order(some: Sequence[str], of: Sequence[str]) -> bool:
    """Whether some are among the others, each once and in their order."""
    left = iter(of)
    return all(one in left for one in some)


def at_least(steps: Sequence[Step], size: int) -> int:
    """How many requests carry these steps, where a record's own stay together."""
    count, left = 0, list(steps)
    while left:
        left, count = left[batch_end(left, size) :], count + 1
    return count


def check_order(crm: Crm, plans: Sequence[RecordPlan]) -> None:
    """What was sent went once, in the order of the plan, the parts of a note together."""
    for route in Route:
        assert in_order(crm.sent(route), [one.request_id for one in steps_of(plans, route)])
    batches = Counter((route, key) for route, items in crm.calls for key in {item.key for item in items})
    assert set(batches.values()) <= {1}


def check_references(crm: Crm, plans: Sequence[RecordPlan]) -> None:
    """Whatever an item hangs on was sent in a request that ended before its own began."""
    steps = [step for plan in plans for step in plan.steps if step.route in MAKES]
    made = {MAKES[step.route](step.key): step.request_id for step in steps}
    for route in Route:
        names = set(crm.sent(route))
        for step in steps_of(plans, route):
            needs = {made[one] for one in step.references if one in made} - {step.request_id}
            assert step.request_id not in names or needs <= crm.decided.keys()


def work(main: Callable[[], Any]) -> Any:
    """Run something; nobody of it may be left when it ends, and it may not last for ever."""

    async def alone() -> Any:
        try:
            async with asyncio.timeout(5):
                return await main()
        finally:
            assert asyncio.all_tasks() == {asyncio.current_task()}

    return asyncio.run(alone())


@given(RECORDS, SIZES, st.integers(0, 2**32), st.sampled_from([0.0, 0.3]))
def test_everything_goes_once_and_after_what_it_hangs_on(
    records: list[Any], sizes: list[int], dice: int, refuses: float
) -> None:
    """Whatever is answered first: each item goes once, in the plan's order, bound to what was made for it; only what
    hangs on something refused is left out, and no more requests are taken than needed."""
    plans, crm = plans_of(records), Crm(Random(dice), sizes, refuses=refuses)
    applied = work(lambda: crm.apply(plans))
    check_order(crm, plans)
    check_references(crm, plans)
    for plan, one in zip(plans, applied, strict=True):
        sent = {step.request_id for step in plan.steps if step.request_id in crm.decided}
        accepted = {step.request_id for step in one.accepted}
        assert accepted == {name for name in sent if crm.decided[name] is not None}
        assert sent - accepted <= {no.item.request_id for no in one.refused}
        for step in plan.steps:
            needs = [step.change.payload.get(name) for name in ("entity_id", "to_entity_id")]
            hangs = any(is_ref(need) and _made(crm, need) is None for need in needs)
            assert (step.request_id in sent) == (not hangs)
    for route, items in crm.calls:
        for item in items if route is Route.CREATE_LEADS else ():
            contact = next(plan.contact for plan in plans if plan.key == item.key)
            bound = _made(crm, contact) if is_ref(contact) else contact
            assert [one["id"] for one in item.payload["_embedded"].get("contacts", ())] == ([bound] if bound else [])
    if len(sizes) == 1 and not refuses:
        for route in Route:
            batches = sum(one is route for one, _ in crm.calls)
            assert batches == at_least(steps_of(plans, route), sizes[0])


def _made(crm: Crm, ref: Any) -> int | None:
    """The id that a reference got; None when what makes it was refused."""
    kind, _, key = ref.removeprefix("@").partition(":")
    return crm.decided[f"{kind}-{key}"]


@given(RECORDS, SIZES, st.integers(0, 2**32), st.integers(1, 12))
def test_an_error_stops_everybody(records: list[Any], sizes: list[int], dice: int, fails_at: int) -> None:
    """After an error no request is begun, what is under way comes to its end, and nobody is left waiting."""
    plans, crm = plans_of(records), Crm(Random(dice), sizes, fails_at)
    try:
        work(lambda: crm.apply(plans))
    except Trouble:
        assert crm.failed
    else:
        assert not crm.failed
    check_order(crm, plans)
    check_references(crm, plans)


@given(RECORDS, SIZES, st.integers(0, 2**32), st.integers(0, 60))
def test_a_run_that_is_broken_off(records: list[Any], sizes: list[int], dice: int, moments: int) -> None:
    """Cancelled at any moment, it ends, and nothing of it goes on."""
    plans, crm = plans_of(records), Crm(Random(dice), sizes)

    async def broken_off() -> None:
        task = asyncio.create_task(crm.apply(plans))
        for _ in range(moments):
            await asyncio.sleep(0)
        task.cancel()
        (ended,) = await asyncio.gather(task, return_exceptions=True)
        before = len(crm.calls)
        await asyncio.sleep(0)
        assert len(crm.calls) == before
        assert isinstance(ended, asyncio.CancelledError | list)

    work(broken_off)
    check_order(crm, plans)
    check_references(crm, plans)


@pytest.mark.parametrize("fails", [False, True])
def test_asking_ahead_is_part_of_the_run(fails: bool) -> None:
    """What fails while the newest ids are asked for stops the run as a batch would: no other is begun."""

    class Asking(Crm):
        async def prepare(self, route: Route, signals: Signals) -> None:
            await signals.began.wait()
            if fails:
                self.failed = True
                raise Trouble

    plans = plans_of([("new", "new", 1)] * 30)
    crm = Asking(Random(1), [1])
    if not fails:
        work(lambda: crm.apply(plans))
        assert len(crm.calls) == 90
        return
    with pytest.raises(Trouble):
        work(lambda: crm.apply(plans))
    assert len(crm.calls) <= 4


def test_nothing_of_it_is_sent_again() -> None:
    """Where amoCRM refused everything before, nothing is sent, and nobody waits for a first batch."""
    plans, crm = plans_of([("-", "new", 0), ("new", "-", 0)]), Crm(Random(1), [5])
    items = [item for plan in plans for step in plan.steps if (item := bind(step, {})) is not None]
    before = {one.request_id: RefusedItem(one.request_id, content(one.payload), "no", None) for one in items}
    applied = work(lambda: crm.apply(plans, before))
    assert [len(one.refused) for one in applied] == [1, 1]
    assert crm.calls == []
