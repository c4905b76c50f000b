"""Notes: written, listed, changed, pinned, refused."""

from __future__ import annotations

from typing import Any

import pytest
from crm import Api, Clock

COMMON = {"note_type": "common", "params": {"text": "Здравствуйте"}}


async def test_a_note_reads_back_under_its_entity(api: Api, clock: Clock) -> None:
    """Every address of a note shows the same one, with who wrote it and when."""
    (lead,) = await api.make("leads", {})
    (id,) = await api.make(f"leads/{lead}/notes", {**COMMON, "created_at": 1_600_000_000, "request_id": "n"})
    for path in (f"leads/{lead}/notes", "leads/notes", f"leads/notes?filter[entity_id]={lead}"):
        (note,) = (await api.get(path)).json()["_embedded"]["notes"]
        assert (note["id"], note["entity_id"], note["params"]) == (id, lead, COMMON["params"])
    for path in (f"leads/notes/{id}", f"leads/{lead}/notes/{id}"):
        single = (await api.get(path)).json()
        assert (single["id"], single["created_at"], single["updated_at"]) == (id, 1_600_000_000, int(clock.now))


@pytest.mark.parametrize("kind", ["leads", "contacts", "companies"])
async def test_notes_of_many_entities_in_one_request(api: Api, kind: str) -> None:
    """`POST /{kind}/notes` takes the entity from each item."""
    one, two = await api.make(kind, {}, {})
    answer = await api.post(f"{kind}/notes", [{**COMMON, "entity_id": two}, {**COMMON, "entity_id": one}])
    notes = answer.json()["_embedded"]["notes"]
    assert [(note["entity_id"], note["request_id"]) for note in notes] == [(two, "0"), (one, "1")]
    assert [note.entity_id for note in api.sandbox.account.notes[kind]] == [two, one]


async def test_notes_are_filtered_and_ordered(api: Api, clock: Clock) -> None:
    """id, entity_id, note_type and updated_at filter; id and updated_at order, created_at does not."""
    (lead,) = await api.make("leads", {})
    sms = {"note_type": "sms_in", "params": {"text": "да", "phone": "+7"}}
    first, second, third = await api.make(f"leads/{lead}/notes", COMMON, sms, {**COMMON, "created_at": 5})
    clock.move(10)
    await api.patch(f"leads/{lead}/notes/{first}", COMMON)

    async def ids(query: str, path: str = f"leads/{lead}/notes") -> list[int]:
        answer = await api.http.get(f"/api/v4/{path}?{query}")
        return [note["id"] for note in answer.json()["_embedded"]["notes"]] if answer.status_code == 200 else []

    assert await ids("filter[note_type]=common&order[id]=asc") == [first, third]
    assert await ids(f"filter[id][]={second}") == [second]
    assert await ids(f"filter[updated_at][from]={int(clock.now)}") == [first]
    assert await ids("filter[entity_id]=1", "leads/notes") == []
    assert await ids("order[id]=desc") == [third, second, first]
    assert await ids("order[updated_at]=desc") == [first, third, second]
    assert await ids("order[updated_at]=desc", "leads/notes") == [first, third, second]
    assert await ids("order[created_at]=asc") == await ids("")
    assert await ids("limit=1&page=2&order[id]=asc") == [second]


async def test_notes_can_be_changed_three_ways(api: Api) -> None:
    """In a batch, in a batch of one entity, and alone; unknown ids answer the errors map or 404."""
    (lead,) = await api.make("leads", {})
    (id,) = await api.make(f"leads/{lead}/notes", COMMON)

    def item(text: str) -> dict[str, Any]:
        return {"id": id, "note_type": "common", "params": {"text": text}}

    for path in ("leads/notes", f"leads/{lead}/notes"):
        (changed,) = (await api.patch(path, [item(path)])).json()["_embedded"]["notes"]
        assert changed.keys() == {"id", "entity_id", "updated_at", "_links"}
        assert (await api.get(f"leads/notes/{id}")).json()["params"]["text"] == path
    assert (await api.patch(f"leads/{lead}/notes/{id}", item("одна"))).json()["entity_id"] == lead
    answer = await api.patch("leads/notes", [item("два"), {**item("нет"), "id": 1}])
    assert (answer.status_code, answer.json()) == (400, {"errors": {"1": "Note not found"}})
    assert (await api.get(f"leads/notes/{id}")).json()["params"]["text"] == "два"
    assert (await api.patch("leads/notes/1", COMMON)).status_code == 404


async def test_notes_are_pinned_and_let_go(api: Api) -> None:
    """pin and unpin answer 204, 404 for no note."""
    (lead,) = await api.make("leads", {})
    (id,) = await api.make(f"leads/{lead}/notes", COMMON)
    for action, pinned in (("pin", True), ("unpin", False)):
        assert (await api.post(f"leads/{lead}/notes/{id}/{action}", None)).status_code == 204
        assert (await api.get(f"leads/notes/{id}")).json()["is_pinned"] is pinned
    assert (await api.post("leads/notes/1/pin", None)).status_code == 404


@pytest.mark.parametrize(
    ("item", "mistake"),
    [
        ({}, ("FieldMissing", "note_type")),
        ({"note_type": "telegram", "params": {}}, ("NotSupportedChoice", "note_type")),
        ({"note_type": "common"}, ("FieldMissing", "params")),
        ({"note_type": "common", "params": "text"}, ("InvalidType", "params")),
        ({"note_type": "common", "params": {}}, ("FieldMissing", "params.text")),
        ({"note_type": "common", "params": {"text": 5}}, ("InvalidType", "params.text")),
        ({"note_type": "common", "params": {"text": "а" * 20_001}}, ("TooLong", "params.text")),
        ({"note_type": "service_message", "params": {"text": "а"}}, ("FieldMissing", "params.service")),
        ({**COMMON, "text": "а"}, ("FieldNotExpected", "text")),
        ({**COMMON, "created_by": 1}, ("NotSupportedChoice", "created_by")),
        ({**COMMON, "created_at": "вчера"}, ("InvalidType", "created_at")),
    ],
)
async def test_a_bad_note_is_refused(api: Api, item: dict[str, Any], mistake: tuple[str, str]) -> None:
    """Each mistake has its code and path; 20 000 characters are the most."""
    (lead,) = await api.make("leads", {})
    assert await api.errors(f"leads/{lead}/notes", item) == {mistake}
    assert api.sandbox.account.notes_of("leads", lead) == []


async def test_twenty_thousand_characters_pass(api: Api) -> None:
    """The longest text is accepted, and one bad note refuses its neighbours."""
    (lead,) = await api.make("leads", {})
    longest = {"note_type": "common", "params": {"text": "а" * 20_000}}
    assert (await api.post(f"leads/{lead}/notes", [longest])).status_code == 200
    assert (await api.post(f"leads/{lead}/notes", [longest, {}])).status_code == 400
    assert len(api.sandbox.account.notes_of("leads", lead)) == 1


async def test_a_note_needs_its_entity_and_a_change_its_id(api: Api) -> None:
    """Nobody's notes are refused."""
    assert await api.errors("leads/notes", COMMON) == {("FieldMissing", "entity_id")}
    assert await api.errors("leads/1/notes", COMMON) == {("NotSupportedChoice", "entity_id")}
    assert await api.errors("leads/notes", COMMON, "PATCH") == {("FieldMissing", "id")}
