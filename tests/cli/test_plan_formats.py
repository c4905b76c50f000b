"""`leadsync dry-run` in its four formats, on a terminal and in a pipe."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from tests.cli.terminal import on_terminal, run
from tests.world import MAPPING, World, talk

PHONES = MAPPING | {"contact": {"name": "{{ user_name }}", "phone": "{{ phone or messages | find_phone }}"}}


async def plan_of(world: World) -> dict[str, Any]:
    """The JSON document of a dry-run."""
    ended = await run(world.folder, "dry-run", "--format", "json")
    document: dict[str, Any] = orjson.loads(ended.out)
    return document


async def test_markdown_and_html_are_whole_documents(world: World) -> None:
    """Each is on stdout alone, tells every record, and ends as the text does."""
    await world.store([talk("1", budget=5000), talk("2", phone="123")])
    markdown = await run(world.folder, "dry-run", "--format", "markdown")
    html = await run(world.folder, "dry-run", "--format", "html")
    assert (markdown.code, markdown.err, html.code, html.err) == (3, "", 3, "")
    assert markdown.out.startswith("### leadsync dry-run: ")
    assert html.out.startswith("<!doctype html>\n")
    assert html.out.endswith("</html>\n")
    for part in ("telegram:1", "telegram:2", "5000", "not a phone number (3 digits)"):
        assert part in markdown.out
        assert part in html.out
    assert world.writes() == []


@pytest.mark.parametrize("format_", ["markdown", "html"])
async def test_changes_end_with_2(world: World, format_: str) -> None:
    """`--exit-code` works the same in every format."""
    await world.store([talk("1")])
    assert (await run(world.folder, "dry-run", "--format", format_, "--exit-code")).code == 2
    await run(world.folder, "run")
    assert (await run(world.folder, "dry-run", "--format", format_, "--exit-code")).code == 0


async def test_a_message_that_gave_a_value(world: World) -> None:
    """A phone that a message gave tells which one; with `-v` the expression and its line stand under it."""
    world.write(PHONES)
    await world.store([talk("1", "Здравствуйте", "мой номер 8 916 123-45-67")])
    plain = (await run(world.folder, "dry-run")).out
    assert "message 2" in next(line for line in plain.splitlines() if "phone: +79161234567" in line)
    assert "find_phone" not in plain
    lines = (await run(world.folder, "dry-run", "-v")).out.splitlines()
    phone = next(number for number, line in enumerate(lines) if "phone: +79161234567" in line)
    assert lines[phone + 1] == "          message 2, mapping.yaml:4: {{ phone or messages | find_phone }}"


async def test_json_tells_where_a_value_comes_from(world: World) -> None:
    """Every field of a change has its origin; one that a message gave has that message's number."""
    world.write(PHONES)
    await world.store([talk("1", "Здравствуйте", "мой номер 8 916 123-45-67", budget=5)])
    document = await plan_of(world)
    origins = {
        (change["entity"], one["name"]): one["origin"] for change in document["changes"] for one in change["fields"]
    }
    assert origins["contact", "phone"]["message"] == 2
    assert origins["lead", "price"] == {
        "expression": "{{ budget }}",
        "file": "mapping.yaml",
        "line": 8,
        "message": None,
    }


async def test_a_link_is_told_in_words_and_sent_as_shown(world: World) -> None:
    """A contact that appears after its lead: words on the terminal, and in JSON exactly the item that is sent."""
    world.write(PHONES)
    await world.store([talk("1")])
    await run(world.folder, "run")
    await world.store([talk("1", "Здравствуйте", "мой номер 8 916 123-45-67")])
    (lead,) = world.leads()
    text = (await run(world.folder, "dry-run")).out
    assert f"  + lead {lead['id']} gets the new contact" in text
    (link,) = (one["payload"] for one in (await plan_of(world))["changes"] if one["entity"] == "link")
    await run(world.folder, "run")
    (sent,) = world.requests("POST", "/api/v4/leads/link")
    (contact,) = world.contacts()
    assert sent.body == [link | {"to_entity_id": contact["id"]}]


async def test_unchanged_records_are_counted(world: World) -> None:
    """Records without a change appear as a number only."""
    await world.store([talk(str(number)) for number in range(5)])
    await run(world.folder, "run")
    await world.store([talk("9")])
    lines = (await run(world.folder, "dry-run")).out.splitlines()
    assert "  = 5 unchanged" in lines
    assert [line for line in lines if line.startswith("telegram:")] == ["telegram:9"]


async def test_a_narrow_terminal(world: World) -> None:
    """On 80 columns no line is longer, with origins and long values too; further lines stand under their beginning."""
    await world.store([talk("1", "слово " * 100, user_name="Иван " * 30, phone="+79161234567")])
    shown = await on_terminal(world.folder, "dry-run", "-v")
    assert all(len(line) <= 80 for line in shown)
    begin = next(number for number, line in enumerate(shown) if line.startswith("      name: Иван"))
    assert shown[begin + 1].startswith("        Иван")
