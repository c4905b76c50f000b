"""Bad files, one bad thing each: told with place and next step by every command, before anything is read or asked."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.cli.terminal import Ended, run, running

PROJECT = """\
version: 1
amocrm:
  subdomain: firm
redis:
  url: ${REDIS_URL}
tables:
  source_names: {telegram: Telegram Bot}
sources:
  talks:
    type: redis-dialogs
    match: "dialog:*"
    mapping: mapping.yaml
"""

MAPPING = """\
key: "{{ source }}:{{ id }}"
contact:
  name: "{{ user_name }}"
  phone: "{{ phone }}"
lead:
  name: Заявка
  price: "{{ budget }}"
  fields:
    Продукт: "{{ product_interest }}"
note: |
  {% for m in messages %}
  {{ m.text }}
  {% endfor %}
"""

COMMANDS = (("validate", "--offline"), ("dry-run",), ("dry-run", "--offline"), ("run",), ("test",))

MEBIBYTE = 1 << 20


@dataclass(frozen=True, slots=True)
class Bad:
    """What is done to a good project, and what every command must say: the problems, first to last."""

    spoil: Callable[[Path], object]
    told: tuple[str, ...]


def line(number: int, text: str, file: str = "mapping.yaml") -> Callable[[Path], object]:
    """One line of a file replaced."""

    def spoil(folder: Path) -> None:
        lines = (folder / file).read_text(encoding="utf-8").split("\n")
        lines[number - 1] = text
        (folder / file).write_text("\n".join(lines), encoding="utf-8")

    return spoil


def whole(content: bytes | str, file: str = "mapping.yaml") -> Callable[[Path], object]:
    """A whole file replaced."""
    raw = content.encode() if isinstance(content, str) else content
    return lambda folder: (folder / file).write_bytes(raw)


def project(number: int, text: str) -> Callable[[Path], object]:
    return line(number, text, "leadsync.yaml")


def gone(file: str) -> Callable[[Path], object]:
    return lambda folder: (folder / file).unlink()


def a_folder(file: str) -> Callable[[Path], object]:
    def spoil(folder: Path) -> None:
        (folder / file).unlink()
        (folder / file).mkdir()

    return spoil


def a_pipe(file: str) -> Callable[[Path], object]:
    def spoil(folder: Path) -> None:
        (folder / file).unlink()
        os.mkfifo(folder / file)

    return spoil


def a_link_to_itself(file: str) -> Callable[[Path], object]:
    def spoil(folder: Path) -> None:
        (folder / file).unlink()
        (folder / file).symlink_to(folder / file)

    return spoil


def fifty_megabytes(file: str) -> Callable[[Path], object]:
    def spoil(folder: Path) -> None:
        with (folder / file).open("wb") as out:
            for _ in range(50):
                out.write(b"# more \n" * (MEBIBYTE // 8))

    return spoil


def bomb() -> str:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 9)]
    return "\n".join(lines)


BAD_FILES = {
    # The file itself
    "a missing leadsync.yaml": Bad(gone("leadsync.yaml"), ("there is no leadsync.yaml",)),
    "a missing mapping": Bad(gone("mapping.yaml"), ("leadsync.yaml:12:14: mapping.yaml: there is no such file",)),
    "a misspelt path": Bad(
        project(12, "    mapping: maping.yaml"),
        ("leadsync.yaml:12:14: maping.yaml: there is no such file", "did you mean mapping.yaml?"),
    ),
    "a folder for leadsync.yaml": Bad(
        a_folder("leadsync.yaml"), ("leadsync.yaml: this is a folder, not a file", "name a file in it")
    ),
    "a folder for a mapping": Bad(
        a_folder("mapping.yaml"), ("leadsync.yaml:12:14: mapping.yaml: this is a folder, not a file",)
    ),
    "a pipe": Bad(a_pipe("mapping.yaml"), ("leadsync.yaml:12:14: mapping.yaml: this is no regular file",)),
    "a link to itself": Bad(
        a_link_to_itself("mapping.yaml"), ("leadsync.yaml:12:14: mapping.yaml: the file cannot be read: ",)
    ),
    "an empty file": Bad(whole(""), ("mapping.yaml:1:1: the file is empty",)),
    "a picture": Bad(whole(b"\x89PNG\r\n\x1a\n\0\0"), ("mapping.yaml:1:1: byte 0x89 is not UTF-8",)),
    "a program": Bad(whole(b"\x7fELF\x02\x01\x01\0"), ("mapping.yaml:1:1: a control character (U+007F) stands here",)),
    "a database": Bad(whole(b"SQLite format 3\0"), ("mapping.yaml:1:16: a zero byte stands here",)),
    "Windows-1251": Bad(
        whole("key: x\nlead: {name: Заявка}\n".encode("cp1251")),
        ("mapping.yaml:2:14: byte 0xC7 is not UTF-8: the file is in another encoding (Windows-1251?)", "as UTF-8"),
    ),
    "KOI8-R": Bad(whole("key: Ключ\n".encode("koi8-r")), ("mapping.yaml:1:6: byte 0xEB is not UTF-8",)),
    "UTF-16": Bad(whole("key: x\n".encode("utf-16")), ("mapping.yaml:1:1: the file is in UTF-16, not in UTF-8",)),
    "half a character": Bad(whole("key: Ы".encode()[:-1]), ("mapping.yaml:1:6: byte 0xD0 is not UTF-8",)),
    "fifty megabytes of YAML": Bad(
        fifty_megabytes("mapping.yaml"),
        ("leadsync.yaml:12:14: mapping.yaml: the file has 52428800 bytes, more than the 1048576 (1 MiB)",),
    ),
    "fifty megabytes of leadsync.yaml": Bad(
        fifty_megabytes("leadsync.yaml"), ("leadsync.yaml: the file has 52428800 bytes", "is it the right file?")
    ),
    "an alias bomb": Bad(whole(bomb()), ("mapping.yaml:5:", "the values here grow to more than 100000")),
    "a tower of brackets": Bad(
        whole("key: " + "[" * 5000), ("mapping.yaml:1:69: this is nested deeper than 64 levels",)
    ),
    # YAML
    "a tab": Bad(line(3, "\tname: x"), ("mapping.yaml:3:1: a tab stands where YAML wants spaces", "with spaces")),
    "a key that stands twice": Bad(
        line(7, "  name: Другая"), ("mapping.yaml:7:3: the key name stands twice: first in line 6, column 3",)
    ),
    "an unknown key": Bad(
        line(7, "  prise: 5"), ("mapping.yaml:7:3: unknown key prise in lead", "did you mean price?")
    ),
    "a list for a text": Bad(
        line(6, "  name: [a, b]"), ("mapping.yaml:6:9: lead.name: expected a text, found a list",)
    ),
    "a text for a number": Bad(
        project(3, "  subdomain: firm\n  batch_size: many"),
        ("leadsync.yaml:4:15: amocrm.batch_size: expected a whole number, found a text",),
    ),
    "a brace that is not closed": Bad(
        project(7, "  source_names: {telegram: Bot"),
        ("leadsync.yaml:7:17: the { opened here is not closed, or a comma is missing", "close it with }"),
    ),
    "a quote that is not closed": Bad(line(6, '  name: "Заявка'), ("mapping.yaml:", "quote")),
    "a template without quotes": Bad(
        line(6, "  name: {{ user_name }}"),
        ("mapping.yaml:6:9: ",),
    ),
    "an alias of itself": Bad(
        project(7, "  source_names: &n {telegram: *n}"), ("leadsync.yaml:7:31: *n stands inside the value it names",)
    ),
    "an alias of nothing": Bad(line(6, "  name: *title"), ("mapping.yaml:6:9: *title names nothing above it",)),
    "a tag that runs something": Bad(
        line(6, "  name: !!python/object/apply:os.system [exit]"), ("mapping.yaml:6:9: tags are not read here",)
    ),
    "two documents": Bad(line(5, "---\nlead:"), ("mapping.yaml:5:1: ",)),
    "a variable that is not set": Bad(
        project(3, "  subdomain: ${SUBDOMIAN}"),
        ("leadsync.yaml:3:14: the variable SUBDOMIAN is not set", "set it in the environment or in .env"),
    ),
    "a variable that is not closed": Bad(project(3, "  subdomain: ${SUBDOMAIN"), ("leadsync.yaml:3:14: ",)),
    "a line of .env that is none": Bad(
        whole("AMOCRM_ACCESS_TOKEN=secret-token\njust words\n", ".env"),
        (".env:2", "this line is not NAME=value", "put # before it"),
    ),
    "an unknown plugin": Bad(
        project(10, "    type: redis-dialog"),
        ("leadsync.yaml:10:11: no source plugin is named redis-dialog", "did you mean redis-dialogs?"),
    ),
    # Templates
    "a template that is not closed": Bad(
        line(3, '  name: "{{ user_name"'), ("mapping.yaml:3:10: the template cannot be read: ",)
    ),
    "a block that is not closed": Bad(
        line(13, ""), ("mapping.yaml:12: the template cannot be read: Unexpected end of template", "endfor")
    ),
    "an unknown filter": Bad(
        line(4, '  phone: "{{ phone | phon }}"'),
        ("mapping.yaml:4:11: there is no filter `phon`", "did you mean phone?"),
    ),
    "an unknown test": Bad(
        line(4, '  phone: "{{ phone if phone is definde }}"'),
        ("mapping.yaml:4:11: there is no test `definde`", "did you mean defined?"),
    ),
    "an unknown table": Bad(
        line(9, "    Продукт: \"{{ source | lookup('sorce_names') }}\""),
        ("mapping.yaml:9:15: there is no table `sorce_names`", "did you mean source_names?"),
    ),
    "a template that includes itself": Bad(
        line(6, "  name: \"{% include 'mapping.yaml' %}\""),
        ("mapping.yaml:6:10: `include` does not work here: a value of a mapping stands alone", "write it out"),
    ),
    "a template that extends itself": Bad(
        line(6, "  name: \"{% extends 'mapping.yaml' %}\""), ("mapping.yaml:6:10: `extends` does not work here",)
    ),
    "a template that imports itself": Bad(
        line(6, "  name: \"{% import 'mapping.yaml' as m %}\""), ("mapping.yaml:6:10: `import` does not work here",)
    ),
    "a template without bottom": Bad(
        line(6, '  name: "{{ ' + "(" * 3000 + "1" + ")" * 3000 + ' }}"'),
        ("mapping.yaml:6:10: the template is nested too deeply",),
    ),
    "a mapper that is not installed": Bad(
        line(1, 'key: x\nmapper: "no_such_package:Mapper"'),
        ("mapping.yaml:2:10: the mapper `no_such_package:Mapper` cannot be imported",),
    ),
    "a mapping that makes nothing": Bad(whole("key: x\nnote: y\n"), ("mapping.yaml:1:1: this mapping makes nothing",)),
}


CASES = "mapping.tests.yaml"

BAD_CASES = {
    "a folder": Bad(lambda folder: (folder / CASES).mkdir(), (f"{CASES}: this is a folder, not a file",)),
    "a picture": Bad(whole(b"\x89PNG\r\n\x1a\n\0\0", CASES), (f"{CASES}:1:1: byte 0x89 is not UTF-8",)),
    "Windows-1251": Bad(whole("tests: Заявка\n".encode("cp1251"), CASES), (f"{CASES}:1:8: byte 0xC7 is not UTF-8",)),
    "fifty megabytes": Bad(fifty_megabytes(CASES), (f"{CASES}: the file has 52428800 bytes",)),
    "an alias bomb": Bad(whole(bomb(), CASES), (f"{CASES}:5:", "the values here grow to more than 100000")),
    "a tab": Bad(whole("tests:\n\t- name: x\n", CASES), (f"{CASES}:2:1: a tab stands where YAML wants spaces",)),
    "a key that stands twice": Bad(
        whole("tests:\n- name: a\n  name: b\n", CASES), (f"{CASES}:3:3: the key name stands twice",)
    ),
    "a variable that is not set": Bad(
        whole('tests:\n- record: {id: "${NOBODY}"}\n  expect: {key: x}\n', CASES),
        (f"{CASES}:2:17: the variable NOBODY is not set",),
    ),
}


@dataclass(frozen=True, slots=True)
class Listening:
    """A project whose Redis and amoCRM are sockets that hear who knocks."""

    folder: Path
    redis: socket.socket
    amocrm: socket.socket

    def knocked(self) -> list[str]:
        """Which of the two somebody has connected to."""
        return [name for name, one in (("Redis", self.redis), ("amoCRM", self.amocrm)) if _knocked(one)]

    def files(self) -> dict[str, object]:
        """Every file with its size and the time of its last change."""
        found = (self.folder, *self.folder.rglob("*"))
        return {str(one): (one.lstat().st_size, one.lstat().st_mtime_ns) for one in found}


def _knocked(listener: socket.socket) -> bool:
    try:
        listener.accept()[0].close()
    except BlockingIOError:
        return False
    return True


def _listener() -> socket.socket:
    listener = socket.create_server(("127.0.0.1", 0), backlog=16)
    listener.setblocking(False)
    return listener


@pytest.fixture
def listening(tmp_path: Path) -> Iterator[Listening]:
    """A good project, and nobody who answers behind it."""
    with closing(_listener()) as redis, closing(_listener()) as amocrm:
        lines = {
            "REDIS_URL": f"redis://127.0.0.1:{redis.getsockname()[1]}",
            "AMOCRM_BASE_URL": f"http://127.0.0.1:{amocrm.getsockname()[1]}",
            "AMOCRM_ACCESS_TOKEN": "secret-token",
        }
        (tmp_path / ".env").write_text("".join(f"{name}={value}\n" for name, value in lines.items()))
        (tmp_path / "leadsync.yaml").write_text(PROJECT, encoding="utf-8")
        (tmp_path / "mapping.yaml").write_text(MAPPING, encoding="utf-8")
        yield Listening(tmp_path, redis, amocrm)


def check(ended: Ended, bad: Bad, listening: Listening, before: dict[str, object]) -> None:
    """It ended with 78, said what is expected in this order, showed no stack trace, and touched nothing."""
    said = " ".join((ended.out + ended.err).split())
    assert ended.code == 78, said
    at = 0
    for told in bad.told:
        assert told in said[at:], f"{told!r} is missing in: {said}"
        at = said.index(told, at)
    assert "what to do: " in said or "^" in said
    assert "Traceback" not in said
    assert 'File "' not in said
    assert "secret-token" not in said
    assert listening.knocked() == []
    assert listening.files() == before


@pytest.mark.parametrize("name", BAD_FILES)
async def test_a_bad_file_is_told_and_nothing_is_asked(name: str, listening: Listening) -> None:
    """Every command ends with 78 and tells place and next step; neither Redis nor amoCRM hears of it, no file moves."""
    bad = BAD_FILES[name]
    bad.spoil(listening.folder)
    before = listening.files()
    for arguments in COMMANDS:
        check(await run(listening.folder, *arguments), bad, listening, before)


@pytest.mark.parametrize("name", BAD_CASES)
async def test_a_bad_file_of_cases_is_told(name: str, listening: Listening) -> None:
    """The file beside a mapping is read as carefully: by the commands that read it, and nothing else is touched."""
    BAD_CASES[name].spoil(listening.folder)
    before = listening.files()
    for arguments in (("validate", "--offline"), ("test",)):
        check(await run(listening.folder, *arguments), BAD_CASES[name], listening, before)


@pytest.mark.parametrize("name", ["fifty megabytes of YAML", "an alias bomb", "a template that includes itself"])
async def test_the_installed_command_does_the_same(name: str, listening: Listening) -> None:
    """As a process of its own, too: no warning of Python, no half-started server."""
    bad = BAD_FILES[name]
    bad.spoil(listening.folder)
    before = listening.files()
    async with running(listening.folder, "run") as command:
        check(await command.ended(), bad, listening, before)


async def test_a_good_project_does_knock(listening: Listening) -> None:
    """The listeners hear a command that has nothing to complain about, so that their silence means something."""
    async with running(listening.folder, "run"):
        knocking, _ = await asyncio.get_running_loop().sock_accept(listening.redis)
        knocking.close()


def test_there_are_enough_of_them() -> None:
    """At least thirty kinds."""
    assert len(BAD_FILES) >= 40
