"""`leadsync init`: from an account and a Redis to a project that works as it is."""

from __future__ import annotations

import socket
from collections.abc import Mapping
from pathlib import Path

import httpx
import orjson
import pytest
import yaml

from leadsync.config.loader import load_project
from leadsync.sandbox.starter import ADMIN_ID
from tests.cli.person import at_terminal
from tests.cli.terminal import Ended, on_terminal, run
from tests.cli.test_auth import free_port, visit
from tests.processes import process
from tests.world import World, talk

FILES = [".env.example", ".gitignore", "leadsync.yaml", "mappings/talks.yaml"]


def settings(folder: Path, values: Mapping[str, str]) -> None:
    folder.mkdir(exist_ok=True)
    (folder / ".env").write_text("".join(f"{name}={value}\n" for name, value in values.items()))


def token(world: World) -> dict[str, str]:
    """What leads to this world's account and Redis."""
    return {
        "AMOCRM_BASE_URL": world.sandbox.url,
        "AMOCRM_SUBDOMAIN": "firm",
        "AMOCRM_ACCESS_TOKEN": world.sandbox.long_lived_token(),
        "REDIS_URL": world.redis_url,
    }


@pytest.fixture
def new(world: World) -> Path:
    """A folder with nothing but a .env that leads to the world."""
    folder = world.folder / "new"
    settings(folder, token(world))
    return folder


def written(folder: Path) -> list[str]:
    """The files that a person sees, without the .env."""
    files = (path for path in folder.rglob("*") if path.is_file() and ".leadsync" not in path.parts)
    return sorted(name for path in files if (name := str(path.relative_to(folder))) != ".env")


def mapping(folder: Path) -> str:
    return (folder / "mappings/talks.yaml").read_text(encoding="utf-8")


async def make(folder: Path, *options: str) -> Ended:
    ended = await run(folder, "init", *options)
    assert (ended.code, ended.err) == (0, "")
    return ended


async def add_fields(world: World, entity: str, *fields: Mapping[str, object]) -> None:
    headers = {"Authorization": f"Bearer {world.sandbox.long_lived_token()}"}
    async with httpx.AsyncClient(base_url=world.sandbox.url, headers=headers, trust_env=False) as http:
        answer = await http.post(f"/api/v4/{entity}/custom_fields", json=list(fields))
    assert answer.status_code == 201


# A project that works


async def test_a_project_of_the_accounts_own_names(world, new):
    """The mapping names the account's pipeline, first working status, fields and users, and nobody needs to edit it."""
    shown = (await make(new)).out
    text = mapping(new)
    assert written(new) == FILES
    for part in ('pipeline: "Воронка"', 'status: "Первичный контакт"', 'key_field: "ID диалога"', "anna@example.com"):
        assert part in text
    assert '    "Источник": "{{ source | lookup(\'source_names\') }}"' in text
    assert '    # "Дата встречи": "{{ metadata.name_it }}"' in text
    assert "vera@example.com" not in text  # she is not active
    assert "leadsync validate" in shown[shown.index("next") :]


async def test_it_passes_validate_and_brings_talks_into_the_crm(world, new):
    """What was written passes every check as it is, and a run makes of a talk what the account has fields for."""
    await make(new)
    checked = await run(new, "validate")
    assert checked.code == 0
    assert "✗" not in checked.out
    brought = talk("7", "Мой номер 8 916 555 01 12", budget=90000, metadata={"city": "Казань", "username": "ivan"})
    await world.store([brought | {"product_interest": "AI Lawyer"}])
    ran = await run(new, "run")
    assert (ran.code, ran.err) == (0, "")
    (lead,), (contact,) = world.leads(), world.contacts()
    filled = {name: lead["fields"][name] for name in ("Источник", "Продукт", "Город", "Бюджет", "ID диалога")}
    assert filled == {
        "Источник": "Telegram Bot",
        "Продукт": "AI Lawyer",
        "Город": "Казань",
        "Бюджет": "90000",
        "ID диалога": "telegram:7",
    }
    assert contact["fields"]["Telegram"] == "ivan"


async def test_names_that_mean_something_to_yaml(world, new):
    """Fields called with quotes, colons, braces and emoji are listed so that the file is read, and one works."""
    names = ['Бюджет: "большой" # да', "{{ phone }}", "${HOME}", "Строка\nвторая", "Смех 😀", "- нет", "'"]
    await add_fields(world, "leads", *({"name": name, "type": "text"} for name in names))
    await make(new)
    text = mapping(new)
    for number, name in enumerate(names):
        field = world.sandbox.account.fields["leads"].named(name)
        line = next(one for one in text.splitlines() if yaml_key(one) in (name, field.id))
        text = text.replace(line, line.replace("# ", "", 1).replace("name_it", f"n{number}"))
    (new / "mappings/talks.yaml").write_text(text, encoding="utf-8")
    assert (await run(new, "validate")).code == 0
    await world.store([talk("1", metadata={"n0": "one", "n1": "two", "n6": "six"})])
    await run(new, "run")
    fields = world.leads()[0]["fields"]
    assert (fields[names[0]], fields[names[1]], fields[names[6]]) == ("one", "two", "six")


def yaml_key(line: str) -> object:
    """The key of a commented line, as YAML reads it."""
    if not line.startswith("    # ") or '": "' not in line + '": "':
        return None
    try:
        found = yaml.safe_load(line.removeprefix("    # "))
    except yaml.YAMLError:
        return None
    return next(iter(found)) if isinstance(found, dict) else None


async def test_shared_names_are_written_by_id(world, new):
    """Two fields of one name stand there by their ids, with the name behind them."""
    await add_fields(world, "leads", {"name": "Дубль", "type": "text"}, {"name": "Дубль", "type": "numeric"})
    await make(new)
    ids = [one.id for one in world.sandbox.account.fields["leads"] if one.name == "Дубль"]
    for number, kind in zip(ids, ("text", "numeric"), strict=True):
        assert any(f"# {number}: " in line and f"{kind}, «Дубль»" in line for line in mapping(new).splitlines())


async def test_without_a_field_for_the_key_it_says_how_to_make_one(world, new):
    """An account without such a field gets the key as a comment, and the hint on the screen."""
    fields = world.sandbox.account.fields["leads"]
    world.sandbox.account.remove_field(fields.named("ID диалога"))
    shown = (await make(new)).out
    assert '# key_field: "ID диалога"' in mapping(new)
    assert "key_field" in shown
    assert (await run(new, "validate")).code == 0


async def test_zone_and_country_are_the_accounts(world, new):
    """Phones and times are read as where the account is."""
    info = world.sandbox.account.info
    info.update(country="KZ", timezone="Asia/Almaty")
    await make(new)
    project = load_project(new / "leadsync.yaml")
    assert (project.file.defaults.country, project.file.defaults.timezone) == ("KZ", "Asia/Almaty")


async def test_no_secret_is_written_or_shown(world, new):
    """The token stands in .env alone, and every variable in .env.example is empty."""
    shown = await make(new)
    secret = world.sandbox.long_lived_token()
    for path in (path for path in new.rglob("*") if path.is_file() and path.name != ".env"):
        assert secret not in path.read_text(encoding="utf-8")
    assert secret not in shown.out
    lines = (new / ".env.example").read_text(encoding="utf-8").splitlines()
    assert all(line.startswith("#") or line.endswith("=") for line in lines if line)


# The sandbox


async def test_sample_talks_from_nothing(tmp_path: Path) -> None:
    """In an empty folder, `--sample-talks` makes a project that validates, shows its talks and runs."""
    made = await process(tmp_path, "init", "mine", "--sample-talks")
    assert (made.code, made.err) == (0, "")
    assert "cd mine" in made.out
    assert "AMOCRM_SUBDOMAIN" in made.out
    project = tmp_path / "mine"
    assert written(project) == FILES
    assert (await process(project, "validate")).code == 0
    plan = orjson.loads((await process(project, "dry-run", "--format", "json")).out)
    assert plan["summary"]["create"] == 24
    ran = await process(project, "run")
    assert ran.code == 0
    assert "24 leads, 24 notes" in ran.out


async def test_sample_talks_in_files(tmp_path: Path) -> None:
    """With `--source-type jsonl` they lie in inbox/, and no Redis is looked at."""
    made = await process(tmp_path, "init", "--source-type", "jsonl", "--sample-talks")
    assert (made.code, made.err) == (0, "")
    assert (tmp_path / "inbox/sample.jsonl").exists()
    plan = orjson.loads((await process(tmp_path, "dry-run", "--format", "json")).out)
    assert plan["summary"]["create"] == 24


async def test_eighty_columns_are_enough(tmp_path: Path) -> None:
    """On a terminal no line is wider than it."""
    lines = await on_terminal(tmp_path, "init", "mine", "--sample-talks")
    assert max(map(len, lines)) <= 80
    assert "next" in lines


async def test_sample_talks_never_reach_an_account(world, new):
    """With an account of one's own they are refused, before anything is written."""
    ended = await run(new, "init", "--sample-talks")
    assert (ended.code, ended.out) == (78, "")
    assert "--sample-talks" in ended.err
    assert written(new) == []
    assert await world.redis.keys() == []


# What lies in Redis


async def test_the_pattern_of_the_talks_is_found(world, new):
    """Keys of most readable talks give `match`, what they hold is named, and no value of theirs is shown."""
    for number in range(30):
        brought = talk(str(number), "Здравствуйте", phone="+79165550112", metadata={"utm": "x"}, city="Казань")
        await world.redis.set(f"bot:chat:{number}", orjson.dumps(brought))
        await world.redis.set(f"cache:{number}", orjson.dumps({"html": "<p>"}))
        await world.redis.set(f"cache:{number + 100}", b"\xff\xfe")
    shown = (await make(new)).out
    source = load_project(new / "leadsync.yaml").document.data["sources"]["redis-dialogs"]
    assert source["match"] == "bot:chat:*"
    assert "user_name, phone, messages" in shown
    assert "metadata.utm" in shown
    for value in ("Иван", "9165550112", "Казань", "Здравствуйте"):
        assert value not in shown


async def test_a_pattern_that_is_given_stays(world, new):
    """`--match` is written as it is, whatever lies there."""
    await world.store([talk("1")])
    await make(new, "--match", 'x:"*')
    assert load_project(new / "leadsync.yaml").document.data["sources"]["redis-dialogs"]["match"] == 'x:"*'


async def test_a_login_to_redis_stays_out_of_the_file(world, new):
    """A Redis URL with a password is refused as an option; in .env it is fine, and leadsync.yaml names the variable."""
    refused = await run(new, "init", "--redis-url", "redis://:hunter2@127.0.0.1:6379/0")
    assert (refused.code, written(new)) == (78, [])
    assert "hunter2" not in refused.err
    await make(new)
    assert "${REDIS_URL:?" in (new / "leadsync.yaml").read_text(encoding="utf-8")


async def test_a_redis_url_given_is_the_projects(world, new):
    """`--redis-url` without a login is written as it is, and later commands use it."""
    settings(new, {name: value for name, value in token(world).items() if name != "REDIS_URL"})
    await make(new, "--redis-url", world.redis_url)
    assert load_project(new / "leadsync.yaml").file.redis.url == world.redis_url


# What is there already


async def test_nothing_is_written_over_without_a_terminal(world, new):
    """Files that are there are named, the exit code is 78, and not one file is written; `--force` writes them."""
    (new / "mappings").mkdir()
    (new / "mappings/talks.yaml").write_text("mine")
    ended = await run(new, "init")
    assert (ended.code, ended.out) == (78, "")
    assert "mappings/talks.yaml" in ended.err
    assert "--force" in ended.err
    assert (written(new), mapping(new)) == (["mappings/talks.yaml"], "mine")
    assert world.requests() == []
    await make(new, "--force")
    assert "pipeline:" in mapping(new)


async def test_what_is_written_over_is_kept_beside(world, new):
    """`--force` copies an edited file and says where to; no copy is written over, and what stays equal has none."""
    await make(new)
    assert "what mappings/talks.yaml was before" not in (await run(new, "init", "--force")).out
    assert list(new.rglob("*.bak*")) == []
    for words, copy in (("mine", "talks.yaml.bak"), ("mine too", "talks.yaml.bak.2"), ("at last", "talks.yaml.bak.3")):
        (new / "mappings/talks.yaml").write_text(words)
        told = (await run(new, "init", "--force")).out
        assert f"  mappings/{copy}  what mappings/talks.yaml was before" in told
        assert (new / "mappings" / copy).read_text() == words
    assert (new / "mappings/talks.yaml.bak").read_text() == "mine"
    assert "pipeline:" in mapping(new)


async def test_on_a_terminal_each_file_is_asked_for(world, new):
    """A file whose owner says no stays, one whose owner says yes is written anew."""
    await make(new)
    (new / "leadsync.yaml").write_text("mine")
    (new / "mappings/talks.yaml").write_text("old")
    async with at_terminal(new, "init") as person:
        for name, answer in (("leadsync.yaml", "n"), ("mappings/talks.yaml", "y"), (".env.example", "")):
            await person.sees(f"{name} is there already")
            person.types(answer)
        assert await person.ended() == 0
    assert "left as it was" in person.seen
    assert (new / "leadsync.yaml").read_text() == "mine"
    assert "pipeline:" in mapping(new)


@pytest.mark.parametrize("before", ["", "*.pyc", ".env\n*.pyc\n", "/.env\n.leadsync\n"])
async def test_gitignore_grows_by_what_is_missing(before, world, new):
    """Lines of one's own stay, ours are added once, and a second project changes nothing."""
    (new / ".gitignore").write_text(before)
    await make(new)
    await make(new, "--force")
    lines = (new / ".gitignore").read_text().splitlines()
    assert lines[: len(before.splitlines())] == before.splitlines()
    assert [line.strip("/") for line in lines].count(".env") == 1
    assert [line.strip("/") for line in lines].count(".leadsync") == 1


async def test_a_file_in_the_place_of_the_folder(world, new):
    """It is told, without a stack trace."""
    (new / "mappings").write_text("")
    ended = await run(new, "init")
    assert ended.code == 78
    assert "mappings" in ended.err


# Who is let in


async def test_an_account_that_is_not_reached(world, new):
    """When nothing answers at the account's address it ends with 1, and no file is written."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound, and nobody listens
        settings(new, token(world) | {"AMOCRM_BASE_URL": f"http://127.0.0.1:{taken.getsockname()[1]}"})
        ended = await run(new, "init")
    assert (ended.code, ended.out) == (1, "")
    assert "what to do" in ended.err
    assert written(new) == []


@pytest.mark.parametrize(
    ("without", "told"),
    [("AMOCRM_ACCESS_TOKEN", "AMOCRM_CLIENT_ID"), ("AMOCRM_SUBDOMAIN", "--subdomain")],
)
async def test_half_of_the_settings_is_told(without, told, world, new):
    """An account without a login, and a login without an account, end with 78 and what is missing."""
    values = {name: value for name, value in token(world).items() if name not in (without, "AMOCRM_BASE_URL")}
    settings(new, values)
    ended = await run(new, "init")
    assert (ended.code, written(new)) == (78, [])
    assert told in ended.err


async def test_a_whole_address_is_no_subdomain(world, new):
    """The commonest slip is told in words."""
    ended = await run(new, "init", "--subdomain", "https://firm.amocrm.ru")
    assert (ended.code, written(new)) == (78, [])
    assert "the first part of the account's address only" in ended.err


async def test_nobody_has_logged_in(world, new):
    """With an integration and no tokens it ends with 77 and what to do; nothing is written, amoCRM is not asked."""
    settings(new, {**token(world), "AMOCRM_ACCESS_TOKEN": "", **world.integration()})
    ended = await run(new, "init")
    assert (ended.code, ended.out, written(new)) == (77, "", [])
    assert "leadsync auth login" in ended.err
    assert world.requests() == []


async def test_on_a_terminal_it_leads_through_the_login(world, new):
    """A newcomer with an integration follows the address that is shown, and the project is written after it."""
    world.sandbox.oauth.redirect_uri = f"http://127.0.0.1:{free_port()}/callback"
    settings(new, {**token(world), "AMOCRM_ACCESS_TOKEN": "", **world.integration()})
    async with at_terminal(new, "init", columns=400) as person:
        await person.sees("waiting")
        await visit(next(word for word in person.seen.split() if "/oauth?" in word))
        assert await person.ended() == 0
    assert "logged in to firm.amocrm.ru" in person.seen
    assert written(new) == FILES


async def test_a_login_that_ends_elsewhere_is_finished_by_its_code(world, new):
    """Where the browser cannot come back to this machine, the code of its address is typed in and not shown."""
    world.sandbox.oauth.redirect_uri = "https://example.com/callback"
    settings(new, {**token(world), "AMOCRM_ACCESS_TOKEN": "", **world.integration()})
    code = world.sandbox.oauth.code(ADMIN_ID)
    async with at_terminal(new, "init") as person:
        await person.sees("give it here")
        person.types(code)
        assert await person.ended() == 0
    assert code not in person.seen
    assert written(new) == FILES
