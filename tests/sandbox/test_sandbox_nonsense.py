"""Whatever is sent, the sandbox answers in amoCRM's words; it never falls over."""

from __future__ import annotations

import time
from typing import Any

import orjson
from hypothesis import given, settings
from hypothesis import strategies as st

from leadsync.sandbox import Switches
from leadsync.sandbox import routes_entities as entities
from leadsync.sandbox import routes_fields as fields
from leadsync.sandbox import routes_links as links
from leadsync.sandbox import routes_notes as notes
from leadsync.sandbox.calls import Call
from leadsync.sandbox.note_rules import REQUIRED
from leadsync.sandbox.refusals import Refused
from leadsync.sandbox.replica import Replica
from leadsync.sandbox.routes import Handler
from leadsync.sandbox.seeding import seed

REPLICA = Replica.build(None, Switches(), time.time)
CONTACTS, LEADS = seed(REPLICA.account, 2, 2)

# fmt: off
KEYS = [
    "id", "name", "price", "status_id", "pipeline_id", "loss_reason_id", "custom_fields_values", "field_id",
    "field_code", "values", "value", "enum_id", "enum_code", "tags_to_add", "tags_to_delete", "_embedded", "tags",
    "contacts", "companies", "metadata", "request_id", "responsible_user_id", "created_by", "created_at",
    "first_name", "entity_id", "note_type", "params", "text", "to_entity_id", "to_entity_type", "is_main",
    "enums", "type", "code", "sort", "leads", "common", "select", "PHONE", "UTM_SOURCE", "WORK",
]
PARAMETERS = [
    "page", "limit", "query", "with", "order[id]", "order[updated_at]", "filter[id]", "filter[id][]",
    "filter[price][from]", "filter[statuses]", "filter[statuses][0][status_id]",
    "filter[statuses][][pipeline_id]", "filter[updated_at][to]", "filter[custom_fields_values]",
    "filter[custom_fields_values][838401][]", "filter[name]", "filter[entity_id]",
    "filter[custom_fields_values][838363][from]", "filter[note_type]", "filter[x][y][z]",
]
# fmt: on
WORDS = st.sampled_from(KEYS)
LEAVES = st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False) | st.text() | WORDS
KNOWN = st.sampled_from([*LEADS, *CONTACTS, 142, 143, 7_028_886, 58_962_658, 10_450_722, 0])
ANYTHING = st.recursive(
    LEAVES | KNOWN, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=5), max_leaves=20
)
FIELDS = st.sampled_from([field.id for book in REPLICA.account.fields.values() for field in book])
VALUES = st.lists(st.fixed_dictionaries({}, optional={"value": ANYTHING, "enum_id": ANYTHING, "enum_code": ANYTHING}))
FILLED = st.fixed_dictionaries({"field_id": FIELDS, "values": VALUES})
NEARLY_GOOD = st.fixed_dictionaries(
    {},
    optional={
        **dict.fromkeys(("id", "name", "price", "status_id", "pipeline_id", "to_entity_id"), LEAVES | KNOWN),
        "custom_fields_values": st.lists(FILLED, max_size=2),
        "tags_to_add": st.lists(st.fixed_dictionaries({"name": st.text()}), max_size=2),
        "note_type": st.sampled_from(sorted(REQUIRED)),
        "params": st.dictionaries(st.sampled_from(["text", "service", "phone"]), LEAVES),
        "to_entity_type": st.sampled_from(["leads", "contacts", "companies"]),
        "entity_id": KNOWN,
    },
)
BATCHES = st.lists(NEARLY_GOOD | st.dictionaries(WORDS, ANYTHING, max_size=6), max_size=3) | NEARLY_GOOD | ANYTHING
WRITES: list[Handler] = [
    entities.create_entities,
    entities.change_entities,
    entities.change_entity,
    entities.create_compounds,
    notes.create_notes,
    notes.change_notes,
    links.link,
    links.unlink,
    links.create_tags,
    fields.create_fields,
    fields.change_fields,
]
READS: list[Handler] = [entities.list_entities, notes.list_notes, links.list_tags, links.list_mass_links]


def call(body: bytes = b"", query: str = "", **parts: Any) -> Call:
    made = Call("POST", "/api/v4/x", "http://127.0.0.1", query, {}, body, user_id=10_450_722)
    made.parts = parts
    return made


def status_of(handler: Handler, made: Call) -> int:
    try:
        return handler(REPLICA, made).status_code
    except Refused as refused:
        return refused.status


@settings(max_examples=300)
@given(st.sampled_from(WRITES), st.sampled_from(["leads", "contacts", "companies"]), BATCHES)
def test_any_json_is_written_or_refused(handler: Handler, kind: str, body: Any) -> None:
    """A write of any JSON ends in success or in a refusal below 500, and what was written can be read."""
    assert status_of(handler, call(orjson.dumps(body), kind=kind, id=LEADS[0])) in (200, 201, 204, 400, 404, 422)
    assert entities.list_entities(REPLICA, call(query="limit=250&with=contacts,leads,loss_reason", kind=kind))


@given(
    st.sampled_from(READS),
    st.sampled_from(["leads", "contacts"]),
    st.lists(
        st.tuples(
            st.sampled_from(PARAMETERS),
            st.text(st.characters(exclude_characters="&", codec="utf-8")) | st.integers().map(str),
        ),
        max_size=4,
    ),
)
def test_any_query_is_answered(handler: Handler, kind: str, query: list[tuple[str, str]]) -> None:
    """A list with any parameters is a page or 204."""
    raw = "&".join(f"{key}={value}" for key, value in query)
    assert handler(REPLICA, call(query=raw, kind=kind)).status_code in (200, 204)
