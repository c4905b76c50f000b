"""A valid project loads into what the rest of the house uses, found where somebody keeps it."""

from __future__ import annotations

import dataclasses
import hashlib
from pathlib import Path

import pytest

from leadsync.config.loader import Project, find_project, load_project
from leadsync.config.models import LongValue
from leadsync.errors import ConfigurationError

REPOSITORY = Path(__file__).parents[2]


def test_a_valid_project_loads(folder: Path) -> None:
    """Sections, options, mappings and settings are there, with the folder that relative paths begin in."""
    project = load_project(Path("leadsync.yaml"))
    assert (project.path, project.folder) == (folder / "leadsync.yaml", folder)
    assert project.file.amocrm.subdomain == "example"
    assert project.file.tables == {"names": {"telegram": "Bot"}}
    source = project.sources["talks"]
    assert (source.name, source.section.type) == ("talks", "shelf")
    assert source.options.model_dump(include={"path", "limit"}) == {"path": "talks", "limit": 10}
    mapping = source.mappings[None]
    assert mapping.path == folder / "mapping.yaml"
    assert mapping.file.lead is not None
    assert mapping.file.lead.fields[612345] == "{{ budget }}"
    assert mapping.file.lead.fields["Budget"] == LongValue(value="{{ budget }}", write="overwrite")
    assert mapping.document.text_place("note").line == 17
    assert mapping.file.contact is not None
    assert mapping.file.contact.match == ["phone", "email"]
    assert project.settings.amocrm_subdomain is None


def test_a_project_cannot_be_changed(folder: Path) -> None:
    """What was checked stays what it was."""
    with pytest.raises(dataclasses.FrozenInstanceError):
        load_project().folder = folder  # type: ignore[misc]


def test_the_sample_project_loads() -> None:
    """The files at the top of the repository are valid as they are, with an empty environment."""
    project = load_project(REPOSITORY / "leadsync.yaml")
    assert project.file.amocrm.subdomain == "sandbox"
    assert project.file.redis.url == "embedded"
    (source,) = project.sources.values()
    assert set(source.mappings) == {"telegram", "avito", "web"}
    assert {mapping.path.name for mapping in source.mappings.values()} == {"telegram.yaml", "avito.yaml", "web.yaml"}


def test_a_mapping_used_twice_is_read_once(folder: Path) -> None:
    """Two values, two sources, two spellings of one path: one mapping."""
    text = (folder / "leadsync.yaml").read_text()
    text = text.replace("mapping: mapping.yaml", "mapping: {a: mapping.yaml, 2: ./mapping.yaml}")
    (folder / "leadsync.yaml").write_text(
        text + f"  more:\n    type: shelf\n    path: more\n    mapping: {folder}/mapping.yaml\n"
    )
    sources = load_project().sources
    one, two = sources["talks"].mappings["a"], sources["talks"].mappings["2"]
    assert one is two
    assert sources["more"].mappings[None] is one


def test_names_made_of_digits_are_names(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An account, a table or a source named 123 needs no quotes, and none when a variable holds it."""
    monkeypatch.setenv("AMOCRM_SUBDOMAIN", "77012")
    text = (folder / "leadsync.yaml").read_text()
    text = text.replace("subdomain: example", "subdomain: ${AMOCRM_SUBDOMAIN}").replace("talks:\n", "5:\n")
    text = text.replace("names: {telegram: Bot}", "7: {1: one, two: 2, yes: true}")
    (folder / "leadsync.yaml").write_text(text)
    project = load_project()
    assert project.file.amocrm.subdomain == "77012"
    assert project.file.tables == {"7": {"1": "one", "two": "2", "yes": "true"}}
    assert project.sources["5"].mappings[None].file.key == "{{ id }}"


def test_a_section_whose_keys_are_all_commented_out_has_its_defaults(folder: Path) -> None:
    """`redis:` with nothing below is the same as no `redis:` at all."""
    empty = "redis:\ndefaults:\ntables:\nsafety:\n"
    text = (folder / "leadsync.yaml").read_text()
    begin, end = text.index("redis:"), text.index("sources:")
    (folder / "leadsync.yaml").write_text(text[:begin] + empty + text[end:])
    (folder / "mapping.yaml").write_text("key: x\ncontact: {}\nlead:\n  tags:\n  fields:\ntests:\n")
    project = load_project()
    assert (project.file.redis.url, project.file.defaults.country) == ("embedded", "RU")
    assert (project.file.safety.max_new_leads, project.file.tables) == (5000, {})
    mapping = project.sources["talks"].mappings[None].file
    assert mapping.lead is not None
    assert mapping.contact is not None
    assert mapping.contact.match == ["phone", "email"]
    assert (mapping.lead.tags, mapping.lead.fields, mapping.tests) == ([], {}, [])


def loaded_subdomain(path: Path | None = None) -> str:
    project: Project = load_project(path)
    return project.file.amocrm.subdomain


def other_project(folder: Path, name: str, subdomain: str) -> Path:
    (folder / name).mkdir()
    for file in ("leadsync.yaml", "mapping.yaml"):
        (folder / name / file).write_text((folder / file).read_text().replace(": example", f": {subdomain}"))
    return folder / name / "leadsync.yaml"


def test_the_file_is_the_one_named_else_the_variable_else_the_current_folder(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`--config`, then LEADSYNC_CONFIG, which may stand in the current folder's .env, then ./leadsync.yaml."""
    named, of_variable = other_project(folder, "one", "one"), other_project(folder, "two", "two")
    assert loaded_subdomain() == "example"
    (folder / ".env").write_text("LEADSYNC_CONFIG=one/leadsync.yaml\n")
    assert loaded_subdomain() == "one"
    monkeypatch.setenv("LEADSYNC_CONFIG", str(of_variable))
    assert loaded_subdomain() == "two"
    assert loaded_subdomain(named) == "one"
    assert find_project(Path("one/leadsync.yaml")) == named


def test_a_missing_file_names_the_next_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody in an empty folder learns what to type."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigurationError) as caught:
        load_project()
    assert str(caught.value).splitlines() == [
        "there is no leadsync.yaml",
        f"  at the folder {tmp_path}",
        "  what to do: `leadsync init` makes a project, `leadsync demo` one to play with; "
        "`--config FILE` names another",
    ]
    assert caught.value.exit_code == 78


def test_a_folder_in_the_place_of_the_file_is_told_about(folder: Path) -> None:
    """`--config FOLDER` says that a file is expected."""
    with pytest.raises(ConfigurationError, match="this is a folder, not a file"):
        load_project(folder)


def test_problems_are_counted(folder: Path) -> None:
    """The first line says how many there are, and in which project."""
    (folder / "leadsync.yaml").write_text("version: 1\n")
    with pytest.raises(ConfigurationError) as caught:
        load_project()
    assert caught.value.what == "leadsync.yaml cannot be used: 2 problems"
    (folder / "leadsync.yaml").write_text("a: [")
    with pytest.raises(ConfigurationError) as caught:
        load_project()
    assert caught.value.what == "leadsync.yaml cannot be used: 1 problem"


@pytest.mark.parametrize("name", [".env", "mapping.yaml"])
def test_the_first_line_blames_no_innocent_file(folder: Path, name: str) -> None:
    """A mistake in a mapping or in `.env` is not laid on leadsync.yaml."""
    (folder / name).write_text("just words\n")
    with pytest.raises(ConfigurationError) as caught:
        load_project()
    assert caught.value.what == "the files cannot be used: 1 problem"


def test_a_variable_of_the_environment_is_no_file(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A mistake in the environment is told as one."""
    monkeypatch.setenv("AMOCRM_REDIRECT_URI", "nowhere")
    with pytest.raises(ConfigurationError) as caught:
        load_project()
    assert caught.value.what == "the environment cannot be used: 1 problem"


def test_env_is_read_and_never_touched(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`.env` serves `${NAME}` and the settings, the environment wins, and its bytes and times stay."""
    file = folder / ".env"
    file.write_bytes(b"AMOCRM_SUBDOMAIN=of-env\r\nAMOCRM_CLIENT_ID='id'\r\nREDIS_URL=redis://of-env\r\n")
    text = (folder / "leadsync.yaml").read_text().replace("subdomain: example", "subdomain: ${AMOCRM_SUBDOMAIN}")
    (folder / "leadsync.yaml").write_text(text.replace("url: embedded", "url: ${REDIS_URL}"))
    monkeypatch.setenv("REDIS_URL", "redis://of-environment")
    before = (hashlib.sha256(file.read_bytes()).digest(), file.stat().st_mtime_ns, file.stat().st_mode)
    project = load_project()
    assert project.file.amocrm.subdomain == "of-env"
    assert project.file.redis.url == project.settings.redis_url == "redis://of-environment"
    assert project.settings.amocrm_client_id == "id"
    assert (hashlib.sha256(file.read_bytes()).digest(), file.stat().st_mtime_ns, file.stat().st_mode) == before


def test_a_read_only_folder_is_enough(folder: Path) -> None:
    """Loading makes no file."""
    (folder / ".env").write_text("A=1\n")
    before = sorted(path.name for path in folder.iterdir())
    load_project()
    assert sorted(path.name for path in folder.iterdir()) == before
