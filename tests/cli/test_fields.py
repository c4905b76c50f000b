"""`leadsync fields`: what the account has, for eyes, for pipes and for programs."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from tests.cli.terminal import on_terminal, run, running
from tests.world import World


async def test_everything_a_mapping_can_name_is_listed(world):
    """Fields with code, id, type and options, pipelines with statuses, and users stand on stdout, nothing on stderr."""
    ended = await run(world.folder, "fields")
    assert ended.code == 0
    assert ended.err == ""
    for part in ("UTM_SOURCE", "838401", "multiselect", "Telegram Bot, Avito Messenger, Веб-чат"):
        assert part in ended.out
    for part in ("Custom fields of contacts", "Воронка", "Первичный контакт", "58962658", "anna@example.com"):
        assert part in ended.out
    assert "Custom fields of companies" not in ended.out


async def test_a_pipe_gets_aligned_text(world):
    """In a pipe every column begins at the same place in every line, and nothing is coloured or wrapped."""
    async with running(world.folder, "fields") as command:
        out = (await command.ended()).out
    section = out.split("\n\n")[0].split("\n")
    header, rows = section[1], section[2:]
    assert header.split()[-4:] == ["CODE", "ID", "TYPE", "TAKES"]
    start = header.index("ID")
    assert "\x1b" not in out
    assert len(rows) == 35
    assert all(row[start - 1] == " " and row[start : start + 6].isdigit() for row in rows)


async def test_a_terminal_of_80_columns_is_enough(world):
    """On a terminal no line is wider than it, ids and codes stay whole, and long options wrap in their column."""
    lines = await on_terminal(world.folder, "fields", "--companies", columns=80)
    assert max(map(len, lines)) <= 80
    assert any("OPENSTAT_CAMPAIGN  838381" in line for line in lines)
    (first,) = (number for number, line in enumerate(lines) if line.startswith('"Продукт"'))
    assert lines[first + 1].startswith(" " * 40)
    assert "Другое" in lines[first + 1] + lines[first + 2]


async def test_companies_are_listed_when_asked_for(world):
    """`--companies` adds the fields of companies, in text and in JSON."""
    text = await run(world.folder, "fields", "--companies")
    machine = await run(world.folder, "fields", "--companies", "--format", "json")
    assert "Custom fields of companies" in text.out
    assert list(json.loads(machine.out)["fields"]) == ["leads", "contacts", "companies"]


COPIED = {
    "город": """
lead:
  fields:
    "Город": "text"  # text
""",
    "продукт": """
lead:
  fields:
    "Продукт": "AI Manager"  # select, or AI Lawyer, AI Analyst, Другое
""",
    "встречи": """
lead:
  fields:
    "Дата встречи": "31.12.2025"  # date
""",
    "телефон": """
contact:
  phone: "{{ phone }}"
""",
    "telegram": """
contact:
  fields:
    "Telegram": "text"  # text
""",
    "Подготовка": """
lead:
  pipeline: "Повторные продажи"
  status: "Подготовка предложения"
""",
    "boris": """
lead:
  responsible: "boris@example.com"  # Борис
""",
}
"""What a search shows to be copied."""


@pytest.mark.parametrize("search", COPIED)
async def test_what_is_found_can_be_copied(world, search):
    """Below few hits stand lines of a mapping; copied into one as they are, they pass `validate`."""
    ended = await run(world.folder, "fields", search)
    copied = ended.out.partition("\nTo copy into a mapping")[2]
    assert copied == COPIED[search]
    (world.folder / "mapping.yaml").write_text(f'key: "{{{{ id }}}}"\n{copied}', encoding="utf-8")
    checked = await run(world.folder, "validate")
    assert checked.code == 0, checked.out


async def test_many_hits_are_only_listed(world):
    """Nobody copies nineteen fields at once, or what cannot be filled: then there are no such lines."""
    for search in ("utm", "документ"):
        ended = await run(world.folder, "fields", search)
        assert ended.out
        assert "To copy" not in ended.out


async def test_one_entity_alone(world):
    """`--entity` lists the fields of that entity and nothing else, in text and in JSON; it may be repeated."""
    text = await run(world.folder, "fields", "--entity", "contacts")
    machine = await run(world.folder, "fields", "--entity", "contacts", "--entity", "companies", "--format", "json")
    document = json.loads(machine.out)
    assert text.out.startswith("Custom fields of contacts (under contact.fields)\n")
    assert text.out.count("\n\n") == 0
    assert list(document["fields"]) == ["contacts", "companies"]
    assert (document["pipelines"], document["users"]) == ([], [])
    nothing = await run(world.folder, "fields", "город", "--entity", "contacts")
    assert (nothing.code, nothing.out) == (0, "")
    assert nothing.err == "nothing in the fields of contacts has 'город' in its name, code or id\n"


async def test_a_name_that_stands_twice_is_written_by_id(world):
    """The first column always names one field: an id with its name beside it, where the name alone is not enough."""
    fields = world.sandbox.account.fields["leads"]
    fields.put(replace(fields.named("Город"), id=990_002, type="numeric"))
    ended = await run(world.folder, "fields", "город")
    machine = json.loads((await run(world.folder, "fields", "город", "--format", "json")).out)
    assert [line.split()[:3] for line in ended.out.splitlines()[2:4]] == [
        ["838405", "#", "«Город»"],
        ["990002", "#", "«Город»"],
    ]
    assert '    990002: "150000"  # «Город», numeric\n' in ended.out
    assert [one["write_as"] for one in machine["fields"]["leads"]] == ["838405", "990002"]


async def test_what_cannot_be_used_is_marked(world):
    """Fields that no text fills, users who are gone and stages with a meaning of their own say so."""
    lines = (await run(world.folder, "fields")).out.splitlines()
    marked = {line.split("  ")[0].strip('"'): line for line in lines if line}
    assert marked["Документ"].endswith("cannot be filled")
    assert marked["Вера"].endswith("not active: cannot be responsible")
    assert [line.split()[-1] for line in lines if '"Успешно реализовано"' in line] == ["won", "won"]
    assert [line.split()[-1] for line in lines if '"Неразобранное"' in line] == ["unsorted", "unsorted"]


async def found(world: World, search: str) -> tuple[set[str], set[str], set[str]]:
    """The names of fields, statuses and users that a search finds."""
    document = json.loads((await run(world.folder, "fields", search, "--format", "json")).out)
    fields = {one["name"] for entity in document["fields"].values() for one in entity}
    statuses = {one["name"] for pipeline in document["pipelines"] for one in pipeline["statuses"]}
    return fields, statuses, {one["name"] for one in document["users"]}


async def test_a_search_keeps_what_has_it(world):
    """A part of a name, a code, an id or an e-mail finds a thing, in any case; a pipeline brings all its statuses."""
    assert await found(world, "ИСТОЧ") == ({"Источник"}, set(), set())
    assert await found(world, "Utm_S") == ({"utm_source"}, set(), set())
    assert await found(world, "838405") == ({"Город"}, set(), set())
    assert await found(world, "первичный") == (set(), {"Первичный контакт"}, set())
    assert await found(world, "boris@") == (set(), set(), {"Борис"})
    assert len((await found(world, "воронка"))[1]) == 7


async def test_a_search_without_a_hit_is_said(world):
    """When nothing is found stdout stays empty, and stderr says so."""
    ended = await run(world.folder, "fields", "zzz")
    assert (ended.code, ended.out) == (0, "")
    assert "'zzz'" in ended.err


async def test_programs_get_ids_codes_and_options(world):
    """The JSON holds for a field its id, code, type and options, and for the rest what the catalogue knows."""
    document = json.loads((await run(world.folder, "fields", "--format", "json")).out)
    (phone,) = (one for one in document["fields"]["contacts"] if one["code"] == "PHONE")
    main, other = document["pipelines"]
    assert document["format_version"] == 1
    assert document["account"]["subdomain"] == "sandbox"
    assert phone["type"] == "multitext"
    assert phone["options"][0]["code"] == "WORK"
    assert (main["main"], other["main"]) == (True, False)
    assert main["statuses"][1] == {"id": 58962658, "name": "Первичный контакт", "write_as": '"Первичный контакт"'}
    assert (phone["write_as"], main["write_as"]) == ('"Телефон"', '"Воронка"')
    assert [one["active"] for one in document["users"]] == [True, True, False]


async def test_users_that_are_not_shown_are_missed(world):
    """A token of somebody who is no administrator lists no users; stderr says why, and the rest is there."""
    token = world.sandbox.oauth.long_lived(10_450_986)
    (world.folder / ".env").write_text(f"AMOCRM_BASE_URL={world.sandbox.url}\nAMOCRM_ACCESS_TOKEN={token}\n")
    ended = await run(world.folder, "fields")
    assert ended.code == 0
    assert "Custom fields of leads" in ended.out
    assert "administrator" in ended.err


async def test_an_account_that_does_not_let_us_in_ends_with_77(world):
    """A token that amoCRM does not take ends with 77 and the next step, without a stack trace."""
    (world.folder / ".env").write_text(f"AMOCRM_BASE_URL={world.sandbox.url}\nAMOCRM_ACCESS_TOKEN=nobody\n")
    async with running(world.folder, "fields") as command:
        ended = await command.ended()
    assert (ended.code, ended.out) == (77, "")
    assert "leadsync auth login" in ended.err
    assert "Traceback" not in ended.err
