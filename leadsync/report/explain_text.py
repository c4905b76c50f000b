"""One record explained for the terminal: found, read, rendered, planned, remembered, refused."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime, tzinfo
from typing import Any

import orjson

from leadsync.explaining.explanation import Compared, Explanation, Remembered, Rendered
from leadsync.report import words
from leadsync.report.line import Line
from leadsync.report.plan_text import diff_lines
from leadsync.report.record_diff import record_diffs
from leadsync.state.refused import Refused

LONGEST_RAW = 4000
"""Characters of what a source found that are shown of a talk that could not be read; `--format json` has all of it."""

READ_RAW = 300
"""The same of one that could: all of it stands below once more, as it was read."""

LONGEST_TEXT = 600
MOST_MESSAGES = 30
"""Messages that are shown: the last ones."""

COLUMNS = ("value", "we wrote last", "in amoCRM now", "the talk says")


def told_lines(explained: Explanation, zone: tzinfo) -> Iterator[Line]:
    """What was found, what was read, what the mapping makes of it, and what a run would do."""
    yield Line(words.one_line(explained.key), style="bold").append(_where(explained), style="not bold dim")
    if explained.raw is not None:
        yield from _title("found")
        most = LONGEST_RAW if explained.record is None else READ_RAW
        yield from _indented(words.cut(words.visible(explained.raw), most))
    if explained.record is not None:
        yield from _title("read")
        yield from _record(explained.record)
    if explained.rendered or explained.skipped:
        yield from _title("the mapping says")
        for one in explained.rendered or filter(None, [explained.skipped]):
            yield from _rendered(one)
    if explained.missing:
        yield Line(f"  asked for and not found in the data: {', '.join(explained.missing)}", style="dim")
    yield from _planned(explained, zone)


def remembered_lines(remembered: Remembered) -> Iterator[Line]:
    """What we remember of the key, but for its values."""
    yield from _title("remembered")
    if remembered.is_empty:
        yield Line("  nothing: no run has brought this record into the CRM", style="dim")
        return
    yield Line(f"  lead {_id(remembered.lead_id)}, contact {_id(remembered.contact_id or remembered.linked)}")
    if remembered.gone:
        yield Line("  a person deleted the lead in amoCRM: it is not made again", style="yellow")
    if remembered.restored:
        yield Line("  found again by the `key_field` after Redis forgot it", style="dim")
    if remembered.noted:
        yield Line(f"  {words.counted(remembered.noted, 'message')} stand in notes")
    said = {"contact": remembered.contact_said, "lead": remembered.lead_said}
    for same, told, style in ((True, "the same as", ""), (False, "something else than", "yellow")):
        if names := [name for name, one in said.items() if one is same]:
            yield Line(f"  of the {' and the '.join(names)} the talk says {told} last time", style=style)


def value_rows(remembered: Remembered) -> list[tuple[str, ...]]:
    """The values three times, as rows under COLUMNS."""
    return [
        (f"{one.entity} {words.one_line(one.name)}", one.wrote, _cell(one.now), _wanted(one))
        for one in remembered.values
    ]


def trouble_lines(explained: Explanation, zone: tzinfo) -> Iterator[Line]:
    """What went wrong with the record last time, and what kept us from asking amoCRM now."""
    if explained.refused is not None:
        yield from _refused(explained.refused, zone)
    if explained.trouble is not None:
        yield from _title("amoCRM could not be asked: nothing is known of the plan and of what stands there now")
        yield from _indented(explained.trouble, "yellow")


def _where(explained: Explanation) -> str:
    if explained.place is None:
        return "  no source holds this record (any more)"
    place = words.one_line(explained.place)
    return f"  {place}, pushed" if explained.source is None else f"  {place} in {explained.source}"


def _title(text: str) -> Iterator[Line]:
    yield Line()
    yield Line(text, style="bold cyan")


def _indented(text: str, style: str = "") -> Iterator[Line]:
    for line in text.splitlines():
        yield Line(f"  {line}", style=style)


def _record(record: Mapping[str, Any]) -> Iterator[Line]:
    """The fields that are there, the messages last."""
    for name, value in record.items():
        if name not in ("messages", "extra") and value not in (None, "", [], {}):
            yield Line(f"  {words.one_line(name)}: ", style="dim").append(_plain(value), style="not dim")
    messages = record.get("messages") or []
    if messages:
        yield Line(f"  {words.counted(len(messages), 'message')}:", style="dim")
    left = max(0, len(messages) - MOST_MESSAGES)
    if left:
        yield Line(f"    … {words.counted(left, 'earlier message')}", style="dim")
    for number, one in enumerate(messages[left:], left + 1):
        line = Line(f"    {number:>3}  ", style="dim")
        yield line.append(f"{one.get('role')}: {_plain(one.get('text'))}", style="not dim")


def _plain(value: Any) -> str:
    text = value if isinstance(value, str) else orjson.dumps(value, option=orjson.OPT_NON_STR_KEYS).decode()
    return words.cut(words.visible(text), LONGEST_TEXT).replace("\n", "\n      ")


def _rendered(one: Rendered) -> Iterator[Line]:
    line = Line(f"  {words.one_line(one.target)}: ")
    if one.text is None:
        yield line.append(one.why, style="yellow" if one.target == "when" else "dim")
    else:
        text = words.cut(words.visible(one.text), LONGEST_TEXT).replace("\n", "\n      ")
        line.append(text, style="green")
        yield line.append(f"  ({one.write})", style="dim") if one.write not in (None, "update") else line
    yield Line(f"      {words.one_line(words.source_of(one.origin))}", style="dim")


def _planned(explained: Explanation, zone: tzinfo) -> Iterator[Line]:
    if explained.stopped is not None:
        yield from _title("stopped")
        yield Line(f"  {explained.stopped.reason}", style="red")
        for name in ("field", "where", "do"):
            if value := getattr(explained.stopped, name):
                yield Line(f"  {'what to do' if name == 'do' else name}: {value}", style="dim")
    elif explained.plan is not None:
        yield from _title("planned")
        diffs = record_diffs(explained.plan)
        for diff in diffs:
            yield from list(diff_lines(diff, zone=zone))[0 if diff.refused else 1 :]
        if not diffs:
            yield Line("  = nothing to do", style="green")


def _refused(refused: Refused, zone: tzinfo) -> Iterator[Line]:
    yield from _title("last error")
    yield Line(f"  {refused.reason}", style="red")
    told = {
        "field": refused.field,
        "at": refused.where,
        "request": refused.request,
        "tried": f"{refused.tries}×, last {datetime.fromtimestamp(refused.at, zone):%d.%m.%Y %H:%M}",
        "what to do": refused.do,
    }
    for name, value in told.items():
        if value:
            yield Line(f"  {name}: ", style="dim").append(words.one_line(value), style="not dim")
    for name, document in (("sent", refused.payload), ("answer", refused.answer)):
        if document:
            yield Line(f"  {name}:", style="dim")
            yield from _indented("\n".join(_json(document)))


def _json(document: Mapping[str, Any]) -> list[str]:
    text = orjson.dumps(document, option=orjson.OPT_INDENT_2).decode()
    return [f"  {words.visible(line)}" for line in text.splitlines()]


def _wanted(one: Compared) -> str:
    return "the same" if one.wanted is not None and one.wanted == one.now else _cell(one.wanted)


def _cell(value: str | None) -> str:
    return "–" if value is None else words.cut(" ".join(words.one_line(value).split()), LONGEST_TEXT)


def _id(number: int | None) -> str:
    return "none" if number is None else str(number)
