"""A plan in the terminal: every kind of thing with its sign and its reason; nothing in a talk steers the terminal."""

from __future__ import annotations

from dataclasses import replace
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leadsync.report.plan_text import plan_lines, summary_lines
from leadsync.report.record_diff import record_diffs
from leadsync.report.words import one_line
from leadsync.sync.changes import Change, FieldChange
from leadsync.sync.results import Plan
from tests.report.plans import rich_plan

MOSCOW = ZoneInfo("Europe/Moscow")


def shown(plan: Plan, *, verbose: bool = False) -> list[str]:
    """The plan's lines without their styles."""
    return [line.plain for line in plan_lines(plan, requests_per_second=6.5, zone=MOSCOW, verbose=verbose)]


def test_a_record_stands_under_its_key():
    """All that happens to one record stands together: what is made with its reason, its values, its note."""
    lines = shown(rich_plan())
    begin = lines.index("telegram:1")
    assert lines[begin : lines.index("", begin)] == [
        "telegram:1",
        "  + contact  (new person)",
        "      name: Иван",
        "      phone: +79161234567  (phone appeared in message 7)",
        "  + lead  (new talk)",
        "      price: 5000",
        "  + note  (the talk)",
        "      + user: Иван",
        "      + bot: да",
    ]


def test_every_kind_has_its_sign():
    """An update shows before and after, a link is told in words, a kept value with who changed it, a refusal with what
    to do."""
    lines = shown(rich_plan())
    for line in (
        "  ~ lead 31205  (the record changed)",
        "      price: 5000 → 7000",
        "  + lead 31205 gets the new contact  (the talk's contact appeared)",
        "  ! lead 31206  (the lead was last changed by Иван on 24.11.2026 10:00)",
        "      price: Иван stays; the talk says Иван  (somebody changed it)",
        "  → joins lead 31207  (their open lead)",
        "  → joins the new lead of telegram:4  (same)",
        "  = the lead was deleted in amoCRM; it is not made again",
        "  ✗ telegram:7  lead.price",
        "      at mappings/telegram.yaml:14:11",
        "      what to do: correct the price in the talk",
    ):
        assert line in lines


def test_the_end_counts_and_tells_the_cost():
    """Unchanged records are only counted; the last lines are the counts, the cost and the warnings."""
    assert shown(rich_plan())[-4:] == [
        "  = 187 unchanged",
        "192 records: 1 to create, 2 to update, 187 unchanged, 1 skipped, 1 refused",
        "212 requests (12 reads, 200 writes), about 33 s at 6.5 per second",
        "warning: this Redis may forget",
    ]


def test_origins_only_when_asked_for():
    """A value's expression, place and message stand under it with `verbose`, and nowhere without."""
    origin = "          message 7, mappings/telegram.yaml:7: {{ phone or messages | find_phone }}"
    assert origin in shown(rich_plan(), verbose=True)
    assert not [line for line in shown(rich_plan()) if "mappings/telegram.yaml:7" in line]


def test_a_long_note_is_cut_for_the_eye():
    """Six lines of a note are shown and the others counted; with `verbose` all of them."""
    text = "\n".join(f"строка {number}" for number in range(10))
    note = Change("telegram:1", "note", "create", None, "the talk", (FieldChange("text", None, text),), {})
    plan = Plan("redis-dialogs", changes=[note])
    assert "      … and 4 more lines" in shown(plan)
    assert "      + строка 9" not in shown(plan)
    assert "      + строка 9" in shown(plan, verbose=True)


def test_a_new_lead_tells_whose_it_is():
    """A lead for a contact that is there already, or that another record makes, names that contact."""
    lead = Change("t:1", "lead", "create", None, "new talk", (), {"_embedded": {"contacts": [{"id": 4411}]}})
    other = replace(lead, key="t:2", payload={"_embedded": {"contacts": [{"id": "@contact:t:1"}]}})
    own = replace(other, key="t:1")
    assert "      contact: contact 4411" in shown(Plan("s", changes=[lead]))
    assert "      contact: the new contact of t:1" in shown(Plan("s", changes=[other]))
    assert not [line for line in shown(Plan("s", changes=[own])) if "      contact" in line]


@pytest.mark.parametrize("evil", ["\x1b[2J", "\x9b31m", "a\rb", "\u202eabc", "\x07", "\x7f", "\x00"])
def test_a_talk_does_not_steer_the_terminal(evil: str):
    """Control characters and marks that turn text around are shown as signs, wherever they stand."""
    for line in shown(rich_plan(evil, f"telegram:{evil}"), verbose=True):
        assert not set(evil) & set(line) & set("\x1b\x9b\r\u202e\x07\x7f\x00")


@given(st.text(), st.text(min_size=1))
def test_any_text_is_one_line_or_set_in(value: str, key: str):
    """Whatever a value or a key holds, nothing but a record's heading begins at the left edge."""
    plan = rich_plan(value, key)
    summary = [line.plain for line in summary_lines(plan, 6.5)]
    lines = "\n".join(shown(plan, verbose=True)).split("\n")
    headings = {one_line(one.key) for one in record_diffs(plan)}
    assert lines[-len(summary) :] == summary
    assert [one for one in lines[: -len(summary)] if one and not one.startswith("  ") and one not in headings] == []


def test_records_are_sorted_as_people_count():
    """`t:9` stands before `t:10`, and refused records come last, whatever the order of the source."""
    changes = [Change(f"t:{number}", "lead", "create", None, "new talk", (), {}) for number in (10, 9, 100, 1)]
    plan = replace(rich_plan(), changes=changes, kept=[], joined=[], reasons={})
    assert [one.key for one in record_diffs(plan)] == ["t:1", "t:9", "t:10", "t:100", "telegram:7"]
