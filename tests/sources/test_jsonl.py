"""jsonl: a record a line, read as a stream; a bad line is one refused record."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Redis

from leadsync.errors import ConfigurationError, UnreadableRecord
from leadsync.records import Record
from leadsync.sources import jsonl
from leadsync.sources.jsonl import JsonLines, JsonLinesOptions
from tests.sources.reading import context, found, outcome


def lines(folder: Path, **options: Any) -> JsonLines:
    return JsonLines("inbox", JsonLinesOptions(**{"path": "inbox/*.jsonl", **options}), context(Redis(), folder))


@pytest.fixture
def inbox(tmp_path: Path) -> Path:
    folder = tmp_path / "inbox"
    folder.mkdir()
    return folder


async def test_every_line_is_a_record(tmp_path: Path, inbox: Path) -> None:
    """Files in order of their names, lines with their numbers; blank lines and a byte order mark do not count."""
    (inbox / "b.jsonl").write_bytes(b'\xef\xbb\xbf{"id": 1, "source": "web"}\r\n\n  \n{"id": 2}')
    (inbox / "a.jsonl").write_text('{"id": 3}\n')
    (inbox / "c.txt").write_text("x")
    (inbox / "d.jsonl").mkdir()
    assert await outcome(lines(tmp_path)) == {
        "inbox/a.jsonl:1": Record(id="3", source="inbox"),
        "inbox/b.jsonl:1": Record(id="1", source="web"),
        "inbox/b.jsonl:4": Record(id="2", source="inbox"),
    }


async def test_a_source_for_records_without_one(tmp_path: Path, inbox: Path) -> None:
    """The option, never the file's name: a renamed file must not make new leads."""
    (inbox / "a.jsonl").write_text('{"id": 3}\n')
    [record] = (await outcome(lines(tmp_path, source="avito"))).values()
    assert isinstance(record, Record)
    assert record.source == "avito"


async def test_paths_of_every_kind(tmp_path: Path, inbox: Path) -> None:
    """A list, absolute paths, deep globs, wildcards in the folder's own name; a file that matches twice counts once."""
    deep = inbox / "2026" / "11"
    deep.mkdir(parents=True)
    (deep / "x.jsonl").write_text('{"id": 1}')
    (inbox / "a.jsonl").write_text('{"id": 2}')
    paths = ("inbox/a.jsonl", "inbox/**/*.jsonl", str(inbox / "a.jsonl"), str(inbox / "[a-z].jsonl"))
    assert list(await outcome(lines(tmp_path, path=paths))) == ["inbox/a.jsonl:1", "inbox/2026/11/x.jsonl:1"]
    odd = tmp_path / "[odd]*"
    odd.mkdir()
    (odd / "a.jsonl").write_text('{"id": 4}')
    assert list(await outcome(lines(odd, path="*.jsonl"))) == ["a.jsonl:1"]
    assert list(await outcome(lines(odd, path=str(inbox / "a.jsonl")))) == [f"{inbox}/a.jsonl:1"]


@pytest.mark.parametrize(
    ("line", "reason", "field"),
    [
        (b"{", "not JSON", None),
        ("привет".encode("cp1251"), "not JSON", None),
        (b"[]", "JSON object", None),
        (b'{"source": "web"}', "no `id`", "id"),
        (b'{"id": 1, "phone": []}', "`phone`", "phone"),
        (b"[" * 5000, "nested too deeply", None),
    ],
)
async def test_a_bad_line_is_one_refusal(
    tmp_path: Path, inbox: Path, line: bytes, reason: str, field: str | None
) -> None:
    """With file, line, field and what to do; the next lines go on."""
    (inbox / "a.jsonl").write_bytes(b'{"id": 1}\n' + line + b'\n{"id": 2}\n')
    results = await outcome(lines(tmp_path))
    error = results["inbox/a.jsonl:2"]
    assert isinstance(error, UnreadableRecord)
    assert reason in error.what
    assert error.field == field
    assert error.where == "inbox/a.jsonl:2"
    assert error.do
    assert isinstance(results["inbox/a.jsonl:3"], Record)


async def test_a_line_without_end_is_not_held(tmp_path: Path, inbox: Path) -> None:
    """A file of another kind is one refusal, whatever its size; what follows the line is read."""
    (inbox / "a.jsonl").write_bytes(b"x" * (jsonl.LONGEST_LINE * 2 + 5) + b'\n{"id": 2}\n' + b"y" * jsonl.LONGEST_LINE)
    results = await outcome(lines(tmp_path))
    assert [type(result) for result in results.values()] == [UnreadableRecord, Record, UnreadableRecord]
    assert "longer than" in str(results["inbox/a.jsonl:1"])
    assert list(results) == ["inbox/a.jsonl:1", "inbox/a.jsonl:2", "inbox/a.jsonl:3"]


async def test_a_file_of_many_batches(tmp_path: Path, inbox: Path) -> None:
    """Nothing is lost where one batch ends and the next begins, and stopping half-way closes the file."""
    text = "".join(json.dumps({"id": number, "x": "y" * 500}) + "\n" for number in range(6000))
    (inbox / "a.jsonl").write_text(text)
    records = await outcome(lines(tmp_path))
    assert [record.id for record in records.values() if isinstance(record, Record)] == [str(n) for n in range(6000)]
    reading = lines(tmp_path).raw_records()
    assert (await anext(reading)).place == "inbox/a.jsonl:1"
    await reading.aclose()  # type: ignore[attr-defined]


async def test_a_fingerprint_is_the_lines(tmp_path: Path, inbox: Path) -> None:
    """It changes with any byte, and not with the place of the line."""
    (inbox / "a.jsonl").write_text('{"id": 1}\n{"id": 2}\n\n  {"id": 1}  \n')
    first, second, again = [raw.fingerprint() for raw in await found(lines(tmp_path))]
    assert first == again != second
    assert len(first) == 16


async def test_an_empty_inbox_is_no_mistake(tmp_path: Path, inbox: Path) -> None:
    """A glob may match nothing today."""
    assert await found(lines(tmp_path)) == []


@pytest.mark.parametrize("path", ["nowhere/*.jsonl", "nowhere.jsonl", "inbox", ["inbox/*.jsonl", "nowhere.jsonl"]])
async def test_a_path_that_leads_nowhere_is_a_mistake(tmp_path: Path, inbox: Path, path: Any) -> None:
    """A plain path must be a file, and the folder of a glob must be there."""
    with pytest.raises(ConfigurationError) as caught:
        await found(lines(tmp_path, path=path))
    assert caught.value.where == "sources.inbox.path"
    assert caught.value.do


async def test_a_file_that_goes_away_is_a_mistake(tmp_path: Path, inbox: Path) -> None:
    """Told with the file and the reason of the system."""
    (inbox / "a.jsonl").write_text('{"id": 1}')
    (inbox / "b.jsonl").write_text('{"id": 2}')
    reading = lines(tmp_path).raw_records()
    await anext(reading)
    (inbox / "b.jsonl").unlink()
    with pytest.raises(ConfigurationError, match="cannot be read") as caught:
        await anext(reading)
    assert caught.value.where == "inbox/b.jsonl"
