"""`leadsync validate`: one line per check, all that is wrong at once, and the exit code of the first failure."""

from __future__ import annotations

import asyncio
import json
import socket
import time
from typing import Any

import pytest
from cryptography.fernet import Fernet

from leadsync.amocrm.tokens import Tokens, TokenStore
from leadsync.sandbox.starter import ADMIN_ID
from tests.cli.terminal import Ended, run, running
from tests.world import MAPPING, World, talk

GOOD, WARNING, BAD, SKIPPED = "✓", "!", "✗", "-"


def marks(ended: Ended) -> dict[str, str]:
    """The mark of each check by its name, in the order shown."""
    lines = [line.split() for line in ended.out.splitlines() if line[2:3] in (GOOD, WARNING, BAD, SKIPPED)]
    return {words[1]: words[0] for words in lines}


def with_lead(**changes: Any) -> dict[str, Any]:
    return {**MAPPING, "lead": {**MAPPING["lead"], **changes}}


def log_in_with(world: World, **variables: str) -> None:
    lines = [f"{name.upper()}={value}\n" for name, value in variables.items()]
    (world.folder / ".env").write_text(f"AMOCRM_BASE_URL={world.sandbox.url}\n" + "".join(lines))


@pytest.fixture
def lasting(start_valkey: Any) -> str:
    """The URL of a Redis that keeps its data."""
    return str(start_valkey("--appendonly", "yes").url)


async def test_a_good_project_passes_every_check(world, lasting):
    """With good files, a Redis that keeps its data, a login and a talk, every line has its mark, and the code is 0."""
    inbox = {"type": "jsonl", "path": "inbox.jsonl", "mapping": "mapping.yaml"}
    world.write(redis={"url": lasting}, sources={"inbox": inbox})
    (world.folder / "inbox.jsonl").write_text(json.dumps(talk("1")))
    async with running(world.folder, "validate") as command:
        ended = await command.ended()
    names = ["files", "mappings", "names", "values", "redis", "memory", "secrets", "login", "amocrm", "talks"]
    assert (ended.code, ended.err) == (0, "")
    assert list(marks(ended).items()) == [(name, GOOD) for name in names]


async def test_the_levels_are_headings(world, lasting):
    """The checks stand under three headings, in their order, each with its mark; the JSON names the level."""
    world.write({**MAPPING, "tests": [{"record": {"id": "1"}, "expect": {"key": "x"}}]}, redis={"url": lasting})
    text, machine = await run(world.folder, "validate"), await run(world.folder, "validate", "--format", "json")
    shown = [line for line in text.out.splitlines() if "what to do" not in line]
    lines = [line if not line.startswith(" ") else line.split()[1] for line in shown]
    assert lines[-2:] == ["", "everything is in order; next: `leadsync dry-run` shows what a run would do"]
    assert lines[:-2] == [
        *("Files", "files", "mappings", "tests"),
        *("Names against the account", "names", "values"),
        *("Reachability", "redis", "memory", "secrets", "login", "amocrm", "talks"),
    ]
    assert "1 case: `leadsync test` runs them" in text.out
    assert [(one["level"], one["name"]) for one in json.loads(machine.out)["checks"]] == [
        *(("files", name) for name in ("files", "mappings", "tests")),
        *(("names", name) for name in ("names", "values")),
        *(("reachability", name) for name in ("redis", "memory", "secrets", "login", "amocrm", "talks")),
    ]


async def test_mistakes_in_the_cases_are_shown(world):
    """`validate` reads the cases beside a mapping and does not run them: an unknown key in one is a mistake."""
    cases = "tests:\n  - record: {id: 1}\n    expect: {laed: {}}\n"
    (world.folder / "mapping.tests.yaml").write_text(cases, encoding="utf-8")
    ended = await run(world.folder, "validate", "--offline")
    assert (ended.code, marks(ended)) == (78, {"files": GOOD, "mappings": GOOD, "tests": BAD})
    assert "mapping.tests.yaml:3:14: unknown key laed" in ended.out
    assert "did you mean lead?" in ended.out


async def test_values_that_do_not_fit_are_shown_beside_names(world):
    """Wrong names and values that no field takes are two checks, each with its own mistakes and places."""
    fields = {"Продукты": "x", "Источник": "Авито", "Бюджет": "много", "Город": "д" * 257}
    world.write(with_lead(fields=fields, responsible="vera@example.com"))
    ended = await run(world.folder, "validate")
    found = marks(ended)
    assert (ended.code, found["names"], found["values"], found["amocrm"]) == (78, BAD, BAD, GOOD)
    assert "2 names that cannot be used" in ended.out
    assert "3 values that do not fit" in ended.out
    for told in (
        "mapping.yaml:14:15: the field «Источник» (select) has no such option",
        "mapping.yaml:15:13: the field «Бюджет» (numeric) takes a number",
        "mapping.yaml:16:12: the field «Город» (text) takes 256 characters, not 257",
        "mapping.yaml:17:16: this user is not active any more and cannot be responsible",
    ):
        assert told in ended.out, ended.out


async def test_a_run_tells_the_same_before_it_reads_a_record(world):
    """`run` and `dry-run` refuse a mapping that does not fit the account, with the same words, and ask for no lead."""
    world.write(with_lead(fields={"Источник": "{{ source | lookup('source_names') }}"}, pipeline="Повторные продажи"))
    await world.store([talk("1")])
    for name in ("run", "dry-run"):
        ended = await run(world.folder, name)
        assert (ended.code, ended.out) == (78, "")
        assert ended.err.startswith("leadsync: the mappings do not fit the account\n")
        assert "«Первичный контакт» is a status of «Воронка», not of «Повторные продажи»" in ended.err
    assert not world.requests(path="/api/v4/leads")


async def test_the_built_in_sandbox_passes(world):
    """A new project, with the built-in sandbox and the embedded Redis, passes without any account."""
    world.write(amocrm={"subdomain": "sandbox"}, redis={"url": "embedded"})
    (world.folder / ".env").unlink()
    ended = await run(world.folder, "validate")
    assert ended.code == 0
    assert {name for name, mark in marks(ended).items() if mark != GOOD} == {"talks"}  # there are none yet


async def test_mistakes_in_the_files_are_all_shown(world):
    """A file with mistakes ends with 78 and every one of them, before anything else is looked at."""
    path = world.write(amocrm={"subdomian": "firm", "batch_size": 0})
    ended = await run(world.folder, "validate")
    assert ended.code == 78
    assert marks(ended) == {"files": BAD}
    assert "subdomian" in ended.out
    assert "batch_size" in ended.out
    assert f"{path.name}:" in ended.out
    assert world.requests() == []


async def test_without_a_project_the_next_step_is_told(world):
    """In a folder without leadsync.yaml it ends with 78 and says what to do."""
    (world.folder / "leadsync.yaml").unlink()
    ended = await run(world.folder, "validate")
    assert ended.code == 78
    assert "what to do: `leadsync init`" in ended.out


async def test_templates_and_names_are_checked_together(world):
    """Mistakes of templates and names the account lacks are all shown in one go, each with its place and a hint."""
    world.write(
        with_lead(name="{{ user_name | phon }}", price="{{ budget", status="Первичный контак", fields={"Продукты": "x"})
    )
    ended = await run(world.folder, "validate")
    found = marks(ended)
    assert ended.code == 78
    assert (found["files"], found["mappings"], found["names"]) == (GOOD, BAD, BAD)
    assert (found["redis"], found["amocrm"]) == (GOOD, GOOD)
    assert "2 mistakes" in ended.out
    assert "2 names that cannot be used" in ended.out
    assert ended.out.count("mapping.yaml:") == 4
    assert "did you mean «Продукт» (leads, select, id 838403)?" in ended.out


async def test_offline_asks_nobody(world):
    """`--offline` checks files and templates only: no Redis needs to be there, and amoCRM hears nothing."""
    world.write(redis={"url": f"unix://{world.folder}/nobody.sock"})
    good = await run(world.folder, "validate", "--offline")
    world.write(with_lead(name="{{ user_name"), redis={"url": f"unix://{world.folder}/nobody.sock"})
    bad = await run(world.folder, "validate", "--offline")
    assert (good.code, marks(good)) == (0, {"files": GOOD, "mappings": GOOD})
    assert (bad.code, marks(bad)) == (78, {"files": GOOD, "mappings": BAD})
    assert world.requests() == []


async def test_a_redis_that_does_not_answer_ends_with_1(world):
    """Without Redis the rest is marked as not checked, and its line says where it was looked for and what to do."""
    world.write(redis={"url": "redis://:pass-word@127.0.0.1:1"})
    ended = await run(world.folder, "validate")
    found = marks(ended)
    assert ended.code == 1
    assert found["redis"] == BAD
    assert [found[name] for name in ("names", "values", "memory", "login", "amocrm")] == [SKIPPED] * 5
    assert "127.0.0.1:1" in ended.out
    assert "what to do" in ended.out
    assert "pass-word" not in ended.out + ended.err


async def test_a_redis_that_forgets_is_a_warning(world, start_valkey):
    """A Redis without persistence, or that evicts keys, is warned about; the exit code stays 0."""
    forgetful = start_valkey("--save", "", "--maxmemory-policy", "allkeys-lru")
    world.write(redis={"url": forgetful.url})
    ended = await run(world.folder, "validate")
    assert ended.code == 0
    assert marks(ended)["memory"] == WARNING
    assert "on disk" in ended.out
    assert "allkeys-lru" in ended.out


async def test_a_missing_login_ends_with_77(world):
    """An integration nobody has logged in to: the login fails with 77, and what needs it was not checked."""
    oauth = world.sandbox.oauth
    log_in_with(
        world,
        amocrm_client_id=oauth.client_id,
        amocrm_client_secret=oauth.client_secret,
        amocrm_redirect_uri=oauth.redirect_uri,
    )
    ended = await run(world.folder, "validate")
    found = marks(ended)
    assert ended.code == 77
    assert (found["login"], found["names"], found["amocrm"]) == (BAD, SKIPPED, SKIPPED)
    assert "leadsync auth login" in ended.out


@pytest.mark.parametrize(("left", "mark"), [(80, GOOD), (5, WARNING)])
async def test_the_age_of_the_login_is_told(left, mark, world):
    """A login shows how many days it is good for, and is warned about when it ends within two weeks."""
    oauth = world.sandbox.oauth
    log_in_with(
        world,
        amocrm_client_id=oauth.client_id,
        amocrm_client_secret=oauth.client_secret,
        amocrm_redirect_uri=oauth.redirect_uri,
    )
    pair, now = oauth.pair(ADMIN_ID), time.time()
    prefix = "leadsync:{firm.amocrm.ru}:"
    tokens = Tokens(pair["access_token"], pair["refresh_token"], now, now + pair["expires_in"], "127.0.0.1")
    await TokenStore(world.redis, prefix).save(tokens)
    await world.redis.expire(f"{prefix}token:refresh", left * 86_400 + 60)
    ended = await run(world.folder, "validate")
    assert ended.code == 0
    assert marks(ended)["login"] == mark
    assert f"good for {left} days" in ended.out


async def test_a_refused_token_ends_with_77(world):
    """A token that amoCRM does not take is a failed login, and the token is not repeated."""
    log_in_with(world, amocrm_access_token="not-a-token-of-ours")
    ended = await run(world.folder, "validate")
    assert ended.code == 77
    assert marks(ended)["login"] == BAD
    assert "not-a-token-of-ours" not in ended.out + ended.err


async def test_no_way_to_log_in_is_a_matter_of_configuration(world):
    """Without a token and an integration the login fails with 78 and names the variables."""
    log_in_with(world)
    ended = await run(world.folder, "validate")
    assert ended.code == 78
    assert marks(ended)["login"] == BAD
    assert "AMOCRM_ACCESS_TOKEN" in ended.out


async def test_an_amocrm_that_cannot_be_reached_ends_with_1(world):
    """When nobody answers at the account's address, its line fails with 1; Redis and the login were checked."""
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{nobody.getsockname()[1]}"
        (world.folder / ".env").write_text(f"AMOCRM_BASE_URL={address}\nAMOCRM_ACCESS_TOKEN=t\n")
        ended = await run(world.folder, "validate")
    found = marks(ended)
    assert ended.code == 1
    assert (found["redis"], found["login"], found["amocrm"], found["names"]) == (GOOD, GOOD, BAD, SKIPPED)


async def test_the_first_failure_gives_the_exit_code(world):
    """A mistake in a template goes before a refused login: 78, and both are shown."""
    world.write(with_lead(name="{{ user_name"))
    log_in_with(world, amocrm_access_token="nobody")
    ended = await run(world.folder, "validate")
    assert ended.code == 78
    assert (marks(ended)["mappings"], marks(ended)["login"]) == (BAD, BAD)


async def test_programs_get_one_document(world, lasting):
    """The JSON holds every check with its result, its problems with their places, and the exit code."""
    world.write(with_lead(fields={"Продукты": "x"}), redis={"url": lasting})
    ended = await run(world.folder, "validate", "--format", "json")
    document = json.loads(ended.out)
    checks = {one["name"]: one for one in document["checks"]}
    (problem,) = checks["names"]["problems"]
    assert document["format_version"] == 1
    assert document["exit_code"] == ended.code == 78
    assert checks["names"]["result"] == "failed"
    assert checks["redis"]["result"] == "ok"
    assert problem["file"].endswith("mapping.yaml")
    assert problem["line"] > 0
    assert "Продукт" in problem["do"]


async def test_nothing_is_written_to_the_crm(world):
    """A check only reads: no request of it changes anything, and several at once are no trouble."""
    ended = await asyncio.gather(*(run_as_process(world) for _ in range(2)))
    assert [one.code for one in ended] == [0, 0]
    assert world.requests()
    assert world.writes() == []


async def run_as_process(world: World) -> Ended:
    async with running(world.folder, "validate") as command:
        return await command.ended()


async def test_a_doubtful_name_is_a_warning(world):
    """A name that is nearly one of every record is doubted with its place; the run refuses the records without it."""
    world.write(with_lead(name="{{ usr_name }}"))
    await world.store([talk("1")])
    checked = await run(world.folder, "validate", "--offline")
    ended = await run(world.folder, "run")
    assert (checked.code, marks(checked)["mappings"]) == (0, WARNING)
    assert "mapping.yaml:7:10: `usr_name` is no field of every record" in checked.out
    assert "did you mean `user_name`?" in checked.out
    assert ended.code == 3
    assert "mapping.yaml:7:10" in ended.out
    assert "`usr_name` is neither a field of every record nor in this one" in ended.out
    assert world.writes() == []


async def test_doubts_are_counted(world):
    """One name, two names."""
    for fields, said in (
        ({"Город": "{{ usr_name }}"}, "1 name in doubt"),
        ({"Город": "{{ emal }}{{ phon }}"}, "2 names in doubt"),
    ):
        world.write(with_lead(fields=fields))
        ended = await run(world.folder, "validate", "--offline")
        assert f"  ! mappings  {said}" in ended.out.splitlines()


async def test_says_whether_secrets_are_encrypted(world):
    """Without a key as with one, with what is not encrypted yet, and with a key that does not fit: that is 78."""
    keys = [Fernet.generate_key().decode() for _ in range(2)]
    token = world.sandbox.long_lived_token()
    await world.store([talk("1", phone="123")])
    await world.run()
    said = {
        None: "not encrypted in Redis; LEADSYNC_SECRET_KEY turns that on",
        keys[0]: "encrypted, but 1 value not yet under the first key: each is when written next",
    }
    for key, text in said.items():
        log_in_with(world, amocrm_access_token=token, **({"leadsync_secret_key": key} if key else {}))
        ended = await run(world.folder, "validate")
        assert (ended.code, marks(ended)["secrets"]) == (0, GOOD)
        assert f"secrets   {text}" in ended.out
    await world.run()
    assert "secrets   encrypted: tokens, refused records and open batches" in (await run(world.folder, "validate")).out
    log_in_with(world, amocrm_access_token=token, leadsync_secret_key=keys[1])
    ended = await run(world.folder, "validate")
    assert (ended.code, marks(ended)["secrets"], marks(ended)["amocrm"]) == (78, BAD, GOOD)
    assert "1 value in Redis cannot be read with the LEADSYNC_SECRET_KEY of now" in ended.out
    assert "leadsync forget --unreadable" in ended.out
