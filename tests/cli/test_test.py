"""`leadsync test`: cases pass or fail with both their lines, mistakes have their place, and a talk becomes a case."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.cli.terminal import Ended, run, running
from tests.world import MAPPING, REPOSITORY, World, talk

PHONE, OTHER_PHONE = "8 (916) 123-45-67", "+79035550011"
SECRETS = ("Мария", "Марии", "Петров", "916", "9161234567", "maria", "masha", "9035550011", "4276")


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project whose Redis and CRM nobody can reach."""
    return write(tmp_path)


def write(folder: Path, **mapping: Any) -> Path:
    source = {"type": "redis-dialogs", "mapping": {"telegram": "mapping.yaml"}}
    data = {
        "version": 1,
        "amocrm": {"subdomain": "nobody"},
        "redis": {"url": "redis://127.0.0.1:1/0"},
        "tables": {"source_names": {"telegram": "Telegram Bot"}},
        "sources": {"talks": source},
    }
    (folder / "leadsync.yaml").write_text(yaml.safe_dump(data), encoding="utf-8")
    dumped = yaml.safe_dump({**MAPPING, **mapping}, allow_unicode=True, sort_keys=False)
    (folder / "mapping.yaml").write_text(dumped, encoding="utf-8")
    return folder


def cases(folder: Path, text: str) -> Path:
    path = folder / "mapping.tests.yaml"
    path.write_text(text, encoding="utf-8")
    return path


async def expected(folder: Path, expect: str, record: str = "", more: str = "") -> Ended:
    """How one case ends; its record has the name Иван, a phone, and a budget."""
    base = f"id: 1, user_name: Иван, phone: {PHONE}, budget: 150000, messages: [привет, пока]"
    text = f"- name: one\n  record: {{{record or base}}}\n{more}  expect: {{{expect}}}\n"
    cases(folder, text)
    return await run(folder, "test")


@pytest.mark.parametrize(
    "expect",
    [
        "key: 'telegram:1'",
        "contact: {phone: '+7 916 1234567'}",
        "contact: {phone: [89161234567], email: null, name: ' Иван '}",
        "lead: {price: '150 000'}",
        "lead: {price: 150000.0, status: Первичный контакт, fields: {Продукт: null, Источник: Telegram Bot}}",
        "note: 'user: привет'",
        "note: ['user: привет', 'user: пока']",
        "skipped: false",
        "absent: [contact.email, lead.fields.Продукт, lead.responsible]",
    ],
)
async def test_values_are_compared_by_their_meaning(project, expect):
    """A phone in any spelling, a number in any, a text without the spaces around it: the case passes, without a
    network, a Redis or a CRM, and what it does not name does not matter."""
    ended = await expected(project, expect)
    assert (ended.code, ended.err) == (0, "")
    assert "✓ one" in ended.out
    assert "1 case: 1 passed, 0 failed" in ended.out


@pytest.mark.parametrize(
    ("expect", "name", "wanted", "got"),
    [
        ("key: 'web:1'", "key", "web:1", "telegram:1"),
        ("contact: {phone: 89161234568}", "contact.phone", "89161234568", PHONE),
        ("contact: none", "contact", "no contact", "there is a contact"),
        ("contact: {email: a@b.ru}", "contact.email", "a@b.ru", "(not sent)"),
        ("lead: {price: null}", "lead.price", "(not sent)", "150000"),
        ("lead: {tags: [web]}", "lead.tags", "web", "(not sent)"),
        ("lead: {fields: {Источник: Telegram}}", "lead.fields.Источник", "Telegram", "Telegram Bot"),
        ("absent: [lead.name]", "lead.name", "(not sent)", "Заявка от Иван"),
        ("absent: [contact]", "contact", "(not sent)", "there is a contact"),
        ("skipped: true", "skipped", "the record is skipped (`when` says no)", "the record is not skipped"),
        ("refused: lead.price", "refused", "lead.price", "the record is not refused"),
    ],
)
async def test_a_failure_shows_both_sides(project, expect, name, wanted, got):
    """What was expected stands with the line of the case, what came with the line of the mapping; it ends with 1."""
    ended = await expected(project, expect)
    assert ended.code == 1
    lines = [line.strip() for line in ended.out.splitlines()]
    at = lines.index(name)
    assert lines[at + 1].startswith(f"expected  {wanted}")
    assert lines[at + 1].endswith("mapping.tests.yaml:3")
    assert lines[at + 2].startswith(f"got       {got}")
    assert "1 case: 0 passed, 1 failed" in lines


async def test_the_lines_of_case_and_mapping_are_told(project):
    """A value is placed where it stands in the case, and by the expression that made it, not by its section."""
    lines = (project / "mapping.yaml").read_text(encoding="utf-8").splitlines()
    price = next(number for number, line in enumerate(lines, 1) if "price:" in line)
    cases(project, "tests:\n- record: {id: 1, budget: 5}\n  expect:\n    lead:\n      price: 6\n")
    ended = await run(project, "test")
    assert "the case in line 2 of mapping.tests.yaml" in ended.out
    assert "expected  6  mapping.tests.yaml:5" in ended.out
    assert f"got       5  mapping.yaml:{price}: {{{{ budget }}}}" in ended.out


async def test_a_note_that_differs_is_shown_as_a_diff(project):
    """Of a text of several lines only the lines that differ are shown with a sign."""
    cases(
        project,
        "- record: {id: 1, messages: [раз, два, три]}\n  expect:\n    note: |\n"
        "      user: раз\n      user: ДВА\n      user: три\n",
    )
    ended = await run(project, "test")
    assert ended.code == 1
    assert "- user: ДВА" in ended.out
    assert "+ user: два" in ended.out
    assert "- user: раз" not in ended.out


async def test_what_earlier_notes_hold_is_not_said_again(tmp_path):
    """`after` counts messages that are noted already: the note holds the others, and knows that it goes on."""
    write(tmp_path, note="{{ 'далее' if continued else 'сначала' }}: {{ messages }}")
    ended = await expected(tmp_path, "note: 'далее: user: пока'", more="  after: 1\n")
    assert ended.code == 0
    ended = await expected(tmp_path, "note: none", more="  after: 2\n")
    assert ended.code == 0
    ended = await expected(tmp_path, "note: 'сначала: user: привет'")
    assert ended.code == 0


async def test_after_more_messages_than_there_are_is_a_mistake(project):
    """A case cannot begin after its own end."""
    ended = await expected(project, "note: none", more="  after: 3\n")
    assert ended.code == 78
    assert "mapping.tests.yaml:3:10: after: the record has only 2 messages" in ended.err


async def test_skipped_and_refused_records_are_outcomes_too(tmp_path):
    """A record that `when` leaves out, and one that is refused, are what a case may expect; the reason in part."""
    write(tmp_path, when="{{ phone }}")
    assert (await expected(tmp_path, "skipped: true", "id: 1")).code == 0
    assert (await expected(tmp_path, "contact: none", "id: 1")).code == 1
    assert (await expected(tmp_path, "refused: 'LEAD.PRICE: not a number'", "id: 1, phone: 1, budget: x")).code == 1
    assert (await expected(tmp_path, "refused: contact.phone", "id: 1, phone: 12")).code == 0
    assert (await expected(tmp_path, "refused: no `id`", "phone: 12")).code == 0


async def test_a_refusal_nobody_expected_is_a_failure(project):
    """It is told with its reason and with the line of the mapping that asked for the value."""
    ended = await expected(project, "key: 'telegram:1'", "id: 1, budget: x")
    assert ended.code == 1
    assert "expected  the record goes through" in ended.out
    assert "got       lead.price: not a number" in ended.out


async def test_the_same_record_comes_out_the_same_anywhere(project, monkeypatch):
    """Times without a zone are the project's, whatever the machine's zone: a mapping sees no clock."""
    write(project, note="{{ messages[0].at | datetime }} {{ updated_at | date }}")
    cases(
        project,
        "- record: {id: 1, updated_at: '2026-11-01', messages: [{role: user, text: а, at: '2026-11-01T00:30'}]}\n"
        "  expect: {note: 01.11.2026 00:30 01.11.2026}\n",
    )
    for zone in ("Asia/Kamchatka", "America/Los_Angeles"):
        monkeypatch.setenv("TZ", zone)
        async with running(project, "test") as command:
            ended = await command.ended()
        assert (ended.code, ended.err) == (0, "")


@pytest.mark.parametrize(
    ("text", "place", "said"),
    [
        ("- record: {id: 1}\n  expect: {laed: {}}\n", "2:12", "did you mean lead?"),
        ("- record: {id: 1}\n  expect: {lead: {prise: 1}}\n", "2:19", "did you mean price?"),
        ("- record: {id: 1}\n  expect: {lead: {fields: {Источнек: 1}}}\n", "2:28", "did you mean Источник?"),
        ("- record: {id: 1}\n  expect: {absent: [lead.prise]}\n", "2:21", "did you mean lead.price?"),
        ("- record: {id: 1}\n  expect: {contact: nobody}\n", "2:21", "expected none"),
        ("- record: {id: 1}\n  expect: {}\n", "2:3", "it names nothing"),
        ("- record: {id: 1}\n", "1:3", "the key expect is missing"),
        ("- expect: {key: a}\n", "1:3", "the key record is missing"),
        ("- record: {id: 1}\n  expect: {key: a}\n  now: 1\n", "3:3", "unknown key now"),
        ("tests: {}\n", "1:8", "expected a list"),
        ("- record: {id: 1\n", "1:11", "is never closed"),
        ("hello\n", "1:1", "expected keys with values"),
    ],
)
async def test_mistakes_are_told_with_their_place(project, text, place, said):
    """A case that is written wrongly runs nothing: the exit code is 78, with place and the nearest name."""
    cases(project, text)
    ended = await run(project, "test")
    assert ended.code == 78
    assert f"mapping.tests.yaml:{place}: " in ended.err
    assert said in ended.err
    assert ended.out == ""


async def test_cases_stand_inside_a_mapping_too(tmp_path):
    """Those inside and those beside are all run; a mistake inside is found by every command that reads the file."""
    write(tmp_path, tests=[{"name": "inside", "record": {"id": 1}, "expect": {"key": "telegram:1"}}])
    cases(tmp_path, "tests:\n- {name: beside, record: {id: 2}, expect: {key: 'telegram:2'}}\n")
    ended = await run(tmp_path, "test")
    assert (ended.code, ended.err) == (0, "")
    assert "✓ inside" in ended.out
    assert "✓ beside" in ended.out
    write(tmp_path, tests=[{"record": {"id": 1}, "expect": {"kye": "telegram:1"}}])
    ended = await run(tmp_path, "validate", "--offline")
    assert ended.code == 78
    assert "did you mean key?" in ended.out


async def test_without_cases_the_first_one_is_shown(project):
    """Nothing to run is no failure: it says where the first case goes, and the one it shows passes."""
    ended = await run(project, "test")
    assert ended.code == 0
    assert "there are no cases yet" in ended.out
    assert "mapping.tests.yaml" in ended.out
    shown = ended.out[ended.out.index("    tests:") : ended.out.index("  or make one")]
    cases(project, "\n".join(line[4:] for line in shown.splitlines()) + "\n")
    ended = await run(project, "test")
    assert (ended.code, "1 passed" in ended.out) == (0, True)


async def test_a_file_of_cases_without_a_mapping_is_warned_about(project):
    """A slip in the name of the file would silence its cases."""
    cases(project, "").rename(project / "maping.tests.yaml")
    ended = await run(project, "test")
    assert "warning: maping.tests.yaml belongs to no mapping of leadsync.yaml" in ended.out


async def test_only_the_mappings_named_are_run(world: World):
    """By path, by the path of the cases, or by the bare name; a name nobody has is answered with the nearest."""
    world.use_sample()
    for name in ("mappings/avito.yaml", "mappings/avito.tests.yaml", "avito", "avito.yaml"):
        ended = await run(world.folder, "test", name)
        assert ended.code == 0
        assert "mappings/avito.yaml" in ended.out
        assert "mappings/telegram.yaml" not in ended.out
    ended = await run(world.folder, "test", "mappings/avita.yaml")
    assert ended.code == 78
    assert "did you mean mappings/avito.yaml?" in ended.err


async def test_the_shipped_mappings_pass_their_own_tests():
    """Every mapping of the sample has cases, and they pass."""
    ended = await run(REPOSITORY, "test", "--format", "json")
    assert ended.code == 0
    document = json.loads(ended.out)
    assert {one["mapping"] for one in document["cases"]} == {
        f"mappings/{name}.yaml" for name in ("telegram", "avito", "web")
    }
    assert document["summary"]["failed"] == 0


async def test_json_holds_the_same(project):
    """`--format json` names each case, its place, and what differs."""
    ended = await expected(project, "lead: {price: 1}")
    ended = await run(project, "test", "--format", "json")
    document = json.loads(ended.out)
    assert document["format_version"] == 1
    assert document["summary"] == {"cases": 1, "passed": 0, "failed": 1}
    (case,) = document["cases"]
    assert (case["file"], case["line"], case["name"], case["passed"]) == ("mapping.tests.yaml", 1, "one", False)
    (difference,) = case["differences"]
    assert (difference["name"], difference["expected"], difference["got"]) == ("lead.price", "1", "150000")
    assert difference["made_by"]["expression"] == "{{ budget }}"


# Recording


def personal_talk(id_: str = "42") -> dict[str, Any]:
    texts = (
        f"Я Мария, телефон {PHONE}, почта Maria.P@mail.ru",
        f"Марии Петровой можно и на {OTHER_PHONE}, @masha_p, карта 4276 1234 5678 9010",
        "цена ${НЕ ПЕРЕМЕННАЯ} и ещё\nстрока: да",
    )
    return talk(id_, *texts, user_name="Мария Петрова", phone=PHONE, email="maria.p@mail.ru") | {
        "metadata": {"username": "masha_p", "city": "Москва"},
        "product_interest": "AI Manager",
        "budget": 150000,
    }


async def test_a_real_talk_becomes_a_case(world: World):
    """The case is masked, holds the whole outcome, and passes at once."""
    await world.store([personal_talk()])
    ended = await run(world.folder, "test", "--record", "telegram:42")
    assert ended.code == 0
    assert "mapping.tests.yaml:4" in ended.out
    assert "Read it before you commit it" in ended.out
    written = (world.folder / "mapping.tests.yaml").read_text(encoding="utf-8")
    assert [secret for secret in SECRETS if secret.casefold() in written.casefold()] == []
    (case,) = yaml.safe_load(written)["tests"]
    assert case["expect"]["lead"]["price"] == "150000"
    assert case["expect"]["lead"]["fields"]["Продукт"] == "AI Manager"
    assert case["record"]["phone"] == "8 (900) 000-00-02"
    assert case["expect"]["note"].count("\n") > 2
    assert (await run(world.folder, "test")).code == 0
    assert world.requests() == []


ODD = """\
key: "{{ source }}:{{ id }}"
contact:
  name: "{{ metadata.who | first_name or 'Клиент из Telegram' }}"
  phone: "{{ phone }}"
  fields:
    Telegram: "{{ metadata.tg }}"
lead:
  name: "Заявка от {{ metadata.who }}"
  fields:
    Источник: "{{ metadata.came_from }}"
"""


@pytest.mark.parametrize("phone", [PHONE, None])
async def test_what_the_mapping_makes_a_name_of_is_masked(world: World, phone: str | None):
    """A name and a login under keys that say nothing: they go wherever they stand, and the rest stays."""
    (world.folder / "mapping.yaml").write_text(ODD, encoding="utf-8")
    data = {"who": "Аглая Воронцова", "tg": "aglaya99", "came_from": "Telegram Bot"}
    said = ("Это Аглая, для Воронцовой", "aglaya99 в телеграме, я клиент")
    await world.store([talk("42", *said, user_name=None, phone=phone, metadata=data)])
    assert (await run(world.folder, "test", "--record", "telegram:42")).code == 0
    written = (world.folder / "mapping.tests.yaml").read_text(encoding="utf-8")
    assert [secret for secret in ("аглая", "воронцов", "aglaya99") if secret in written.casefold()] == []
    (case,) = yaml.safe_load(written)["tests"]
    assert case["record"]["source"] == "telegram"
    assert case["record"]["metadata"]["came_from"] == "Telegram Bot"
    assert case["record"]["messages"][1]["text"].endswith(" в телеграме, я клиент")
    assert (await run(world.folder, "test")).code == 0


async def test_a_case_is_put_behind_what_stands_in_the_file(world: World):
    """Comments and cases that a person wrote stay as they are, byte for byte."""
    await world.store([personal_talk()])
    path = world.folder / "mapping.tests.yaml"
    before = (
        "# mine\ntests:\n    - name: mine   # and this\n      record: {id: 1}\n      expect: {key: 'redis-dialogs:1'}"
    )
    path.write_text(before, encoding="utf-8")
    assert (await run(world.folder, "test", "--record", "dialog:42")).code == 0
    recorded = path.read_bytes()
    again = await run(world.folder, "test", "--record", "dialog:42")
    assert (again.code, path.read_bytes()) == (78, recorded)
    assert "already recorded at mapping.tests.yaml:8\n  what to do: delete it to record it anew" in again.err
    assert path.read_text(encoding="utf-8").startswith(before + "\n")
    ended = await run(world.folder, "test")
    assert "2 cases: 2 passed, 0 failed" in ended.out


async def test_a_file_that_cannot_be_gone_on_with_is_left_alone(world: World):
    """Cases in brackets have no end to put one behind: nothing is written, and the remedy is told."""
    await world.store([personal_talk()])
    path = world.folder / "mapping.tests.yaml"
    for text in ("tests: [{record: {id: 1}, expect: {key: 'telegram:1'}}]\n", "tests: []\n", "other: 1\n"):
        path.write_text(text, encoding="utf-8")
        ended = await run(world.folder, "test", "--record", "telegram:42")
        assert ended.code == 78
        assert "each behind a dash; nothing was written" in ended.err
        assert path.read_text(encoding="utf-8") == text


async def test_a_skipped_and_a_refused_talk_become_cases_too(world: World):
    """What came of the talk is what the case expects, whatever it was."""
    await world.store([talk("1"), talk("2", budget="много")])
    world.write({**MAPPING, "when": "{{ budget }}"})
    for key in ("telegram:1", "telegram:2"):
        assert (await run(world.folder, "test", "--record", key)).code == 0
    written = yaml.safe_load((world.folder / "mapping.tests.yaml").read_text(encoding="utf-8"))["tests"]
    assert [one["expect"].get("skipped") for one in written] == [True, None]
    assert written[1]["expect"]["refused"] == "lead.price: not a number"
    assert (await run(world.folder, "test")).code == 0


async def test_a_talk_nobody_has_writes_nothing(world: World):
    """A key that no record has, and a source that is not there, end with 78."""
    await world.store([personal_talk()])
    assert (await run(world.folder, "test", "--record", "telegram:43")).code == 78
    ended = await run(world.folder, "test", "--record", "telegram:42", "--source", "redis-dialog")
    assert ended.code == 78
    assert "did you mean redis-dialogs?" in ended.err
    assert (await run(world.folder, "test", "--source", "redis-dialogs")).code == 78
    assert not (world.folder / "mapping.tests.yaml").exists()
