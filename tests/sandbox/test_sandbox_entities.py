"""Creating and changing leads, contacts and companies."""

from __future__ import annotations

from typing import Any

import pytest
from crm import Api, Clock

from leadsync.sandbox import Sandbox
from leadsync.sandbox.settings import LOST, WON
from leadsync.sandbox.starter import ADMIN_ID


async def read(api: Api, kind: str, id: int) -> dict[str, Any]:
    body: dict[str, Any] = (await api.get(f"{kind}/{id}")).json()
    return body


async def test_a_new_lead_gets_the_defaults(api: Api, clock: Clock) -> None:
    """Without anything said a lead lands in the first working stage of the main pipeline, named after its id."""
    (id,) = await api.make("leads", {})
    lead = await read(api, "leads", id)
    status = api.sandbox.account.status("Первичный контакт")
    assert lead["name"] == f"Сделка #{id}"
    assert lead["status_id"] == status.id
    assert lead["price"] == 0
    assert lead["responsible_user_id"] == lead["created_by"] == ADMIN_ID
    assert lead["created_at"] == lead["updated_at"] == int(clock.now)
    assert lead["closed_at"] is None


async def test_a_pipeline_alone_means_its_first_working_stage(api: Api) -> None:
    """A new lead with pipeline_id alone does not land among the unsorted."""
    status = api.sandbox.account.status("Новое обращение", "Повторные продажи")
    (id,) = await api.make("leads", {"pipeline_id": 7_055_602})
    assert (await read(api, "leads", id))["status_id"] == status.id


async def test_a_status_alone_finds_its_pipeline(api: Api) -> None:
    """A status of the second pipeline takes the lead there."""
    status = api.sandbox.account.status("Ждём оплату", "Повторные продажи")
    (id,) = await api.make("leads", {"status_id": status.id})
    assert (await read(api, "leads", id))["pipeline_id"] == 7_055_602


async def test_won_and_lost_exist_in_every_pipeline(api: Api, clock: Clock) -> None:
    """142 keeps the lead in its pipeline and closes it; going back opens it again."""
    working = api.sandbox.account.status("Ждём оплату", "Повторные продажи")
    (id,) = await api.make("leads", {"pipeline_id": 7_055_602, "status_id": WON})
    lead = await read(api, "leads", id)
    assert (lead["pipeline_id"], lead["closed_at"]) == (7_055_602, int(clock.now))
    await api.patch(f"leads/{id}", {"status_id": working.id})
    assert (await read(api, "leads", id))["closed_at"] is None
    await api.patch(f"leads/{id}", {"status_id": LOST, "loss_reason_id": 18_764_247})
    lead = await read(api, "leads", id)
    assert (lead["pipeline_id"], lead["status_id"], lead["loss_reason_id"]) == (7_055_602, LOST, 18_764_247)


async def test_request_ids_are_echoed_as_strings(api: Api) -> None:
    """A request_id comes back as a string; without one the index does."""
    answer = await api.post("leads", [{"request_id": 77}, {"request_id": "k"}, {}])
    assert [item["request_id"] for item in answer.json()["_embedded"]["leads"]] == ["77", "k", "2"]


async def test_names_of_a_contact_are_joined(api: Api) -> None:
    """first_name and last_name make the name when none is sent, on creation and on change."""
    (id,) = await api.make("contacts", {"first_name": "Иван", "last_name": "Громов"})
    assert (await read(api, "contacts", id))["name"] == "Иван Громов"
    await api.patch(f"contacts/{id}", {"first_name": "Пётр"})
    assert (await read(api, "contacts", id))["name"] == "Пётр Громов"


async def test_what_is_not_sent_stays(api: Api, clock: Clock) -> None:
    """A PATCH touches what it names, and who and when."""
    (id,) = await api.make("leads", {"name": "Сделка", "price": 5})
    clock.move(60)
    await api.patch("leads", [{"id": id, "price": 7, "updated_by": 0}])
    lead = await read(api, "leads", id)
    assert (lead["name"], lead["price"], lead["updated_by"]) == ("Сделка", 7, 0)
    assert lead["updated_at"] == lead["created_at"] + 60


async def test_answers_to_a_change(api: Api) -> None:
    """A batch answers a list (contacts with their names), a single change a flat object."""
    (lead,) = await api.make("leads", {})
    (contact,) = await api.make("contacts", {"name": "Иван"})
    batch = (await api.patch("leads", [{"id": lead}])).json()["_embedded"]["leads"]
    assert [item.keys() for item in batch] == [{"id", "updated_at", "_links"}]
    batch = (await api.patch("contacts", [{"id": contact}])).json()["_embedded"]["contacts"]
    assert [item.keys() for item in batch] == [{"id", "name", "updated_at", "_links"}]
    single = (await api.patch(f"contacts/{contact}", {"name": "Пётр"})).json()
    assert (single["id"], single["name"]) == (contact, "Пётр")


async def test_good_items_of_a_change_are_applied_beside_unknown_ids(api: Api) -> None:
    """An unknown id answers 400 with the errors map, but its neighbours are changed."""
    (id,) = await api.make("companies", {"name": "ООО"})
    answer = await api.patch("companies", [{"id": 1, "name": "нет"}, {"id": id, "name": "АО"}])
    assert (answer.status_code, answer.json()) == (400, {"errors": {"1": "Company not found"}})
    assert (await read(api, "companies", id))["name"] == "АО"
    assert api.sandbox.requests[-2].applied


async def test_a_batch_change_without_an_id_creates(api: Api) -> None:
    """One integrator saw it: PATCH makes an entity of an item that names none."""
    answer = await api.patch("leads", [{"name": "Новая"}])
    id = answer.json()["_embedded"]["leads"][0]["id"]
    assert (await read(api, "leads", id))["name"] == "Новая"


async def test_a_single_change_of_nobody_is_404(api: Api) -> None:
    """PATCH of one entity that does not exist answers 404."""
    answer = await api.patch("contacts/1", {"name": "нет"})
    assert (answer.status_code, answer.json()["detail"]) == (404, "Contact not found")


async def test_one_bad_item_refuses_the_whole_batch(api: Api) -> None:
    """Validation comes first: nothing of the batch is written, on creation and on change."""
    (id,) = await api.make("leads", {"name": "Была"})
    before = len(api.sandbox.account.leads)
    assert (await api.post("leads", [{"name": "Хорошая"}, {"name": 5}])).status_code == 400
    assert (await api.patch("leads", [{"id": id, "name": "Стала"}, {"id": id, "price": "5"}])).status_code == 400
    assert len(api.sandbox.account.leads) == before
    assert (await read(api, "leads", id))["name"] == "Была"
    assert not api.sandbox.requests[-2].applied


async def test_a_pipeline_without_a_status_is_ignored_on_change(api: Api) -> None:
    """pipeline_id alone in a PATCH answers 200 and moves nothing."""
    (id,) = await api.make("leads", {})
    before = (await read(api, "leads", id))["pipeline_id"]
    assert (await api.patch(f"leads/{id}", {"pipeline_id": 7_055_602})).status_code == 200
    assert (await read(api, "leads", id))["pipeline_id"] == before


async def test_embedded_contacts_are_ignored_on_change(api: Api) -> None:
    """A PATCH links nobody and checks nobody; `/link` does."""
    (contact,) = await api.make("contacts", {})
    (id,) = await api.make("leads", {})
    linked = {"contacts": [{"id": contact}, {"id": 1}], "companies": [{"id": 1}]}
    assert (await api.patch(f"leads/{id}", {"_embedded": linked})).status_code == 200
    assert api.sandbox.account.links.of(("leads", id)) == []


async def test_tags_are_added_taken_away_and_replaced(api: Api) -> None:
    """tags_to_add and tags_to_delete change the set, `_embedded.tags` replaces it, [] clears it, null does nothing."""

    async def tags() -> list[str]:
        return [tag["name"] for tag in (await read(api, "leads", id))["_embedded"]["tags"]]

    (id,) = await api.make("leads", {"tags_to_add": [{"name": "а"}], "_embedded": {"tags": [{"name": "б"}]}})
    assert await tags() == ["б", "а"]
    await api.patch(f"leads/{id}", {"tags_to_add": [{"name": "в"}], "tags_to_delete": [{"name": "б"}, {"name": "г"}]})
    assert await tags() == ["а", "в"]
    await api.patch(f"leads/{id}", {"_embedded": {"tags": None, "tags_to_add": [{"name": "д"}]}})
    assert await tags() == ["а", "в"]
    first = (await read(api, "leads", id))["_embedded"]["tags"][0]["id"]
    await api.patch(f"leads/{id}", {"_embedded": {"tags": [{"id": first}]}})
    assert await tags() == ["а"]
    await api.patch(f"leads/{id}", {"tags_to_delete": [{"id": first}]})
    assert await tags() == []
    await api.patch(f"leads/{id}", {"_embedded": {"tags": [{"name": "е"}]}})
    await api.patch(f"leads/{id}", {"_embedded": {"tags": []}})
    assert await tags() == []


async def test_a_sent_field_has_all_its_values_replaced(api: Api) -> None:
    """Sending one phone drops the others; sending none, or null, empties the field."""
    two = [{"field_code": "PHONE", "values": [{"value": "+71"}, {"value": "+72", "enum_code": "MOB"}]}]
    email = [{"field_code": "EMAIL", "values": [{"value": "a@example.com"}]}]
    (id,) = await api.make("contacts", {"custom_fields_values": two + email})
    one = [{"field_code": "PHONE", "values": [{"value": "+73"}]}]
    await api.patch(f"contacts/{id}", {"custom_fields_values": one})
    phones, mails = (await read(api, "contacts", id))["custom_fields_values"]
    assert [value["value"] for value in phones["values"]] == ["+73"]
    assert mails["field_code"] == "EMAIL"
    await api.patch(f"contacts/{id}", {"custom_fields_values": [{"field_code": "PHONE", "values": None}]})
    await api.patch(f"contacts/{id}", {"custom_fields_values": [{"field_code": "EMAIL", "values": []}]})
    assert (await read(api, "contacts", id))["custom_fields_values"] is None


async def test_values_are_cut_at_the_first_emoji_when_the_account_does_so(sandbox: Sandbox, api: Api) -> None:
    """The switch cuts every text at its first four-byte character; without it texts stay whole."""
    body = {
        "name": "Привет 🙂 мир",
        "custom_fields_values": [{"field_code": "UTM_TERM", "values": [{"value": "а🙂б"}]}],
    }
    (whole,) = await api.make("leads", body)
    sandbox.switches.cut_at_emoji = True
    (cut,) = await api.make("leads", body)
    note = {"note_type": "common", "params": {"text": "да 🙂 нет"}}
    await api.post(f"leads/{cut}/notes", [note])
    assert (await read(api, "leads", whole))["name"] == "Привет 🙂 мир"
    lead = await read(api, "leads", cut)
    assert lead["name"] == "Привет "
    assert lead["custom_fields_values"][0]["values"][0]["value"] == "а"
    assert sandbox.account.notes_of("leads", cut)[0].facts["params"]["text"] == "да "


async def test_a_body_that_was_read_can_be_sent_back(api: Api) -> None:
    """Keys that are only read are paid no attention when they come back."""
    (id,) = await api.make("leads", {"name": "Сделка"})
    body = {**await read(api, "leads", id), "name": "Другая", "is_deleted": True}
    assert (await api.patch(f"leads/{id}", body)).status_code == 200
    lead = await read(api, "leads", id)
    assert (lead["name"], lead["is_deleted"]) == ("Другая", False)


async def test_repeating_a_creation_makes_a_second_entity(api: Api) -> None:
    """There is no idempotency key: the same request_id twice makes two leads."""
    item = {"name": "Сделка", "request_id": "one"}
    assert await api.make("leads", item) != await api.make("leads", item)


@pytest.mark.parametrize("kind", ["leads", "contacts", "companies"])
async def test_nobody_reads_as_204(api: Api, kind: str) -> None:
    """An id that does not exist answers 204 without a body, as does an empty list."""
    for path in (kind, f"{kind}/1", f"{kind}/notes", f"{kind}/1/notes", f"{kind}/notes/1", f"{kind}/tags"):
        answer = await api.get(path)
        assert (answer.status_code, answer.content) == (204, b""), path


async def test_nothing_can_be_deleted(api: Api) -> None:
    """DELETE answers 405 everywhere but for custom fields."""
    (id,) = await api.make("leads", {})
    for path in (f"leads/{id}", "leads", f"leads/{id}/notes"):
        answer = await api.http.delete(f"/api/v4/{path}")
        assert (answer.status_code, answer.json()["title"]) == (405, "Method Not Allowed")


async def test_every_answer_carries_an_id_of_its_own(api: Api) -> None:
    """X-Request-Id differs from answer to answer."""
    first, second = await api.get("account"), await api.get("account")
    assert first.headers["x-request-id"] != second.headers["x-request-id"]
