"""The environment and `.env`: the environment wins, empty is unset, nothing is written, and no value is ever shown."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from base64 import urlsafe_b64encode
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import SecretStr

from leadsync.errors import ConfigurationError
from leadsync.settings import MAX_BYTES, Settings, variables

SECRET = "qX7-do-not-show-4Zt"
KEYS = [urlsafe_b64encode(bytes([number] * 32)).decode() for number in (7, 8)]


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No variable of the person who runs the tests reaches them."""
    for name in os.environ:
        if name.upper().startswith(("AMOCRM_", "REDIS_", "LEADSYNC_")):
            monkeypatch.delenv(name)


def problems(folder: Path) -> list[tuple[str, str]]:
    with pytest.raises(ConfigurationError) as caught:
        Settings.load(folder)
    assert SECRET not in str(caught.value) + repr(caught.value.problems)
    return [(str(problem.place), problem.what) for problem in caught.value.problems]


def test_nothing_set_is_no_mistake(tmp_path: Path) -> None:
    """The sandbox needs no variable: each setting is none."""
    assert set(Settings.load(tmp_path).model_dump().values()) == {None}


def test_every_setting_is_read_from_either_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By its name in upper case, in the environment as in .env; a .env written by Notepad reads the same."""
    values = {name: f"https://{name.replace('_', '-')}.ru" for name in Settings.model_fields}
    values["leadsync_secret_key"] = ",".join(KEYS)
    (tmp_path / ".env").write_text("\ufeff" + "".join(f"{name.upper()}={values[name]}\n" for name in values))
    of_file = Settings.load(tmp_path)
    (tmp_path / ".env").unlink()
    for name, value in values.items():
        monkeypatch.setenv(name.upper(), value)
    of_environment = Settings.load(tmp_path)
    assert of_file == of_environment
    assert {name: plain(getattr(of_file, name)) for name in values} == {
        **values,
        "leadsync_config": str(Path(values["leadsync_config"])),
    }


def plain(value: object) -> str:
    return value.get_secret_value() if isinstance(value, SecretStr) else str(value)


def test_the_environment_wins_and_an_empty_value_counts_as_unset(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same for the settings and for `${NAME}`."""
    (tmp_path / ".env").write_text(
        "AMOCRM_CLIENT_ID=file\nREDIS_URL=file\nAMOCRM_SUBDOMAIN=\n# A=1\nexport OTHER='a b'\n"
    )
    monkeypatch.setenv("AMOCRM_CLIENT_ID", "environment")
    monkeypatch.setenv("REDIS_URL", "")
    monkeypatch.setenv("LEADSYNC_CONFIG", "")
    loaded, read = Settings.load(tmp_path), variables(tmp_path)
    assert (loaded.amocrm_client_id, read["AMOCRM_CLIENT_ID"]) == ("environment", "environment")
    assert (loaded.redis_url, read["REDIS_URL"]) == ("file", "file")
    assert (loaded.amocrm_subdomain, loaded.leadsync_config) == (None, None)
    assert not {"AMOCRM_SUBDOMAIN", "LEADSYNC_CONFIG", "A"} & read.keys()
    assert read["OTHER"] == "a b"


def test_a_key_of_blanks_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever set it so would open the service to everybody who shows an empty key."""
    monkeypatch.setenv("LEADSYNC_API_KEY", " \n")
    (tmp_path / ".env").write_text("AMOCRM_ACCESS_TOKEN='  '\n")
    assert set(Settings.load(tmp_path).model_dump().values()) == {None}


def test_secrets_are_stripped_and_hidden(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The line break that a mounted secret ends with does not reach a header, and printing shows stars."""
    for name in ("AMOCRM_CLIENT_SECRET", "AMOCRM_ACCESS_TOKEN", "LEADSYNC_API_KEY"):
        monkeypatch.setenv(name, f"{SECRET}\n")
    monkeypatch.setenv("LEADSYNC_SECRET_KEY", f"{KEYS[0]}\n")
    loaded = Settings.load(tmp_path)
    assert (plain(loaded.amocrm_access_token), plain(loaded.leadsync_secret_key)) == (SECRET, KEYS[0])
    shown = repr(loaded) + str(loaded) + str(loaded.model_dump()) + loaded.model_dump_json()
    assert SECRET not in shown
    assert KEYS[0] not in shown


@pytest.mark.parametrize(
    ("keys", "which"),
    [
        (SECRET, "this"),
        (",", "this"),
        (f"{KEYS[0]},{SECRET}", "key 2 of 2"),
        (f"{KEYS[0][:-1]},{KEYS[1]}", "key 1 of 2"),
        ("ключ", "this"),
    ],
)
def test_a_malformed_key_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, keys: str, which: str) -> None:
    """Which one it is, where it stands, and the command that makes one that works; never the key."""
    monkeypatch.setenv("LEADSYNC_SECRET_KEY", keys)
    said = f"LEADSYNC_SECRET_KEY: {which} is no key for Fernet: 32 bytes in URL-safe Base64, 44 characters"
    assert problems(tmp_path) == [("the environment", said)]
    with pytest.raises(ConfigurationError) as caught:
        Settings.load(tmp_path)
    command = shlex.split(str(caught.value.problems[0].do).removeprefix("make one with ").partition(";  ")[0])
    made = subprocess.run([sys.executable, *command[1:3]], capture_output=True, text=True, check=True).stdout
    monkeypatch.setenv("LEADSYNC_SECRET_KEY", f"{made},{KEYS[0]},")
    assert Settings.load(tmp_path).leadsync_secret_key is not None


@pytest.mark.parametrize(
    ("url", "kept"),
    [
        ("https://proxy.example.com", "https://proxy.example.com"),
        ("https://proxy.example.com/amo/", "https://proxy.example.com/amo"),
        ("http://localhost:8000", "http://localhost:8000"),
        ("http://crm.localhost", "http://crm.localhost"),
        ("http://127.0.0.1:1", "http://127.0.0.1:1"),
        ("http://127.8.8.8/", "http://127.8.8.8"),
        ("http://[::1]:8000", "http://[::1]:8000"),
    ],
)
def test_a_base_url_is_https_or_on_this_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, url: str, kept: str
) -> None:
    """Plain http for a loopback host only; a slash at the end is dropped."""
    monkeypatch.setenv("AMOCRM_BASE_URL", url)
    assert Settings.load(tmp_path).amocrm_base_url == kept


@pytest.mark.parametrize(
    "url",
    ["http://example.com", "http://10.0.0.1", "http://localhost.example.com", "http://128.0.0.1", "http://[::2]"],
)
def test_plain_http_elsewhere_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    """The message says that http is for a loopback host, and why."""
    monkeypatch.setenv("AMOCRM_BASE_URL", url)
    what = "AMOCRM_BASE_URL: plain http is allowed for a loopback host only: tokens would travel open"
    assert problems(tmp_path) == [("the environment", what)]


@pytest.mark.parametrize(
    "url",
    [
        "example.com",
        "ftp://example.com",
        "https://",
        "https://[",
        "https://a:b",
        "https://a:99999",
        "https://a:0",
        SECRET,
    ],
)
def test_what_is_no_address_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    """For the base as for the redirect, each with its own name."""
    monkeypatch.setenv("AMOCRM_BASE_URL", url)
    monkeypatch.setenv("AMOCRM_REDIRECT_URI", url)
    what = "this is no address such as https://example.amocrm.ru"
    assert {told for _, told in problems(tmp_path)} == {f"AMOCRM_BASE_URL: {what}", f"AMOCRM_REDIRECT_URI: {what}"}


@pytest.mark.parametrize(
    "url", [f"https://user:{SECRET}@a.ru", f"https://a.ru?token={SECRET}", f"https://a.ru#{SECRET}"]
)
def test_a_base_url_holds_no_login(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    """What would be logged with every request, or silently dropped, is refused without being repeated."""
    monkeypatch.setenv("AMOCRM_BASE_URL", url)
    ((_, what),) = problems(tmp_path)
    assert what.startswith("AMOCRM_BASE_URL: this address holds a login, a ? or a #")


def test_a_mistake_in_env_has_its_line(tmp_path: Path) -> None:
    """A value of .env is told about at its own line, after comments and empty lines."""
    (tmp_path / ".env").write_text(f"# mine\nAMOCRM_CLIENT_SECRET={SECRET}\n\n\nAMOCRM_BASE_URL=http://{SECRET}.ru\n")
    ((place, _),) = problems(tmp_path)
    assert place == f"{tmp_path / '.env'}:5"


def test_lines_that_are_no_statement_are_told_about_all_at_once(tmp_path: Path) -> None:
    """A pasted line, an open quote: the line's number, never the line; the others still count."""
    (tmp_path / ".env").write_text(f"GOOD=1\n= {SECRET}\n\nA='{SECRET}\n='{SECRET}'\n")
    file = tmp_path / ".env"
    assert problems(tmp_path) == [(f"{file}:{line}", "this line is not NAME=value") for line in (2, 4)]
    with pytest.raises(ConfigurationError):
        variables(tmp_path)


def test_an_env_in_another_encoding_is_told_about(tmp_path: Path) -> None:
    """Windows-1251 is no UTF-8: said once, about the file."""
    (tmp_path / ".env").write_bytes("AMOCRM_CLIENT_ID=Анна\n".encode("cp1251"))
    assert problems(tmp_path) == [(str(tmp_path / ".env"), "the file is not in UTF-8")]


def test_an_env_that_is_a_folder_is_told_about(tmp_path: Path) -> None:
    """A folder in the place of .env is a mistake, but for a virtual environment: that is not read as settings."""
    (tmp_path / ".env").mkdir()
    assert problems(tmp_path) == [(str(tmp_path / ".env"), "this is a folder, not a file")]
    (tmp_path / ".env" / "pyvenv.cfg").touch()
    assert Settings.load(tmp_path).amocrm_client_id is None


@pytest.mark.parametrize(
    ("content", "place", "what"),
    [
        (b"A=1\n" + b"#" * (MAX_BYTES - 3), ".env", "the file has more than the 1048576 bytes (1 MiB) that are read"),
        (b"A=1\nB=\0\n", ".env:2", "a zero byte stands here: this is no text file"),
    ],
    ids=["huge", "binary"],
)
def test_an_env_that_is_no_text_for_people_is_told_about(tmp_path: Path, content: bytes, place: str, what: str) -> None:
    """A file over 1 MiB, and one with a zero byte, is some other file under this name."""
    (tmp_path / ".env").write_bytes(content)
    assert problems(tmp_path) == [(str(tmp_path / place), what)]
    (tmp_path / ".env").write_bytes(b"A=1\n" + b"#" * (MAX_BYTES - 4))
    assert variables(tmp_path)["A"] == "1"


@pytest.mark.skipif(not Path("/proc/self/mem").exists(), reason="needs a file that opens and cannot be read")
def test_an_env_that_cannot_be_read_is_told_about(tmp_path: Path) -> None:
    """A file system's own error is passed on in its words, about the file."""
    (tmp_path / ".env").symlink_to("/proc/self/mem")
    assert problems(tmp_path) == [(str(tmp_path / ".env"), "the file cannot be read: input/output error")]


def test_env_is_never_written(tmp_path: Path) -> None:
    """Reading leaves the bytes, the time and the rights of .env, and makes none where there is none."""
    Settings.load(tmp_path)
    variables(tmp_path)
    assert list(tmp_path.iterdir()) == []
    file = tmp_path / ".env"
    file.write_bytes(b"A=1\r\nB='two'\n\n#")
    file.chmod(0o400)
    before = file.stat()
    Settings.load(tmp_path)
    variables(tmp_path)
    after = file.stat()
    assert file.read_bytes() == b"A=1\r\nB='two'\n\n#"
    assert (after.st_mtime_ns, after.st_ino, after.st_mode) == (before.st_mtime_ns, before.st_ino, before.st_mode)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=st.binary(max_size=40) | st.text("AB='\"\\\n\r #${}x", max_size=30).map(str.encode))
def test_any_env_is_read_or_told_about(tmp_path: Path, content: bytes) -> None:
    """No bytes end in another exception, and the settings and `${NAME}` agree on whether they can be read."""
    (tmp_path / ".env").write_bytes(content)
    outcomes = set()
    for read in (Settings.load, variables):
        try:
            read(tmp_path)
        except ConfigurationError:
            outcomes.add("told")
        else:
            outcomes.add("read")
    assert len(outcomes) == 1
