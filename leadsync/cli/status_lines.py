"""What `leadsync status` shows, as lines for people and as plain data."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from rich.text import Text

from leadsync.amounts import Waiting
from leadsync.cli.logins import WORDS, Login, login_json, span
from leadsync.figures import Figures
from leadsync.state.sizes import Size
from leadsync.state.standing import Standing
from leadsync.state.workers import Worker
from leadsync.troubles import State

KINDS = {
    "link": "links of records to leads",
    "wrote": "what was written into contacts and leads",
    "leads": "open leads by contact",
    "people": "phones and e-mails of contacts",
    "index": "index of the account's contacts",
    "seen": "marks of unchanged talks",
    "refused": "refused records",
    "journal": "batches on the wire",
    "runs": "reports of past runs",
    "catalogue": "names of the account",
}
"""What people call the kinds of our keys; the others are counted together."""

MOST_KINDS = 5


@dataclass(frozen=True, slots=True)
class Status:
    """Everything that is shown. `place` is where Redis is; `sealed`: encryption is on."""

    account: str
    login: Login
    figures: Figures
    runs: Sequence[Mapping[str, Any]]
    sizes: Sequence[Size]
    place: str
    sealed: bool
    warnings: Sequence[str]


def status_lines(status: Status, zone: ZoneInfo) -> Iterator[Text]:
    """The whole status, line by line."""
    figures = status.figures
    yield _row("account", status.account)
    yield _row("login", _login(status), "red" if status.login.is_needed(figures.at) else "")
    if figures.standing is not None:
        yield _row("service", *_standing(figures.standing, zone))
    yield _row("pace", *_pace(figures))
    yield _row("workers", _workers(figures.workers))
    yield _row("contacts", _index(figures))
    for name, queue in figures.queues.items():
        yield _row("queue", *_queue(name, queue, zone))
    yield _row("batches", *_batches(figures.batches, zone))
    yield _row("refused", *_refused(figures.refused, figures.held_back, zone))
    yield _row("redis", f"{status.place}, {'encrypted' if status.sealed else 'not encrypted'}")
    yield from _sizes(status.sizes)
    yield _row("runs", "the last ones" if status.runs else "none yet")
    for run in status.runs:
        yield from _run(run, zone)
    for warning in status.warnings:
        yield Text(f"warning: {warning}", style="yellow")


def _row(name: str, text: str, style: str = "") -> Text:
    return Text(f"{name:<10}", style="bold").append(text, style=style)


def _login(status: Status) -> str:
    login, figures = status.login, status.figures
    if login.is_needed(figures.at):
        return f"{WORDS[login.way]}: somebody has to log in"
    text = WORDS[login.way]
    if login.ends_at is not None:
        text += f", good for {span(login.ends_at - figures.at)}"
    if figures.token_issued is not None:
        text += f"; the token is {span(figures.at - figures.token_issued)} old"
    return text


def _standing(standing: Standing, zone: ZoneInfo) -> tuple[str, str]:
    text = f"{standing.state} since {_when(standing.since, zone)}"
    return f"{text}: {standing.why}" if standing.why else text, "" if standing.state == State.WORKING else "red"


def _queue(name: str, queue: Waiting | None, zone: ZoneInfo) -> tuple[str, str]:
    if queue is None:
        return f"{name} does not answer", "red"
    if queue.since is None:
        return f"{name}: nothing waits", ""
    return f"{name}: {_number(queue.count)} waiting, the oldest since {_when(queue.since, zone)}", ""


def _pace(figures: Figures) -> tuple[str, str]:
    pace = figures.pace
    if pace.quiet:
        return f"nothing is sent for {span(pace.quiet)} more, as amoCRM asked", "yellow"
    if pace.slowed is not None:
        return f"{pace.share:.0%} of the rate: amoCRM put us off {span(pace.slowed)} ago", "yellow"
    return f"the whole rate, {figures.used:.0%} of it used" if figures.used >= 0.01 else "the whole rate", ""


def _workers(workers: Sequence[Worker]) -> str:
    here = [str(one.pid) for one in workers if one.here]
    elsewhere = [one for one in workers if not one.here]
    parts = [f"{len(here)} here (process {', '.join(here)})"] if here else []
    if elsewhere:
        machines = len({one.machine for one in elsewhere})
        parts.append(f"{len(elsewhere)} on {machines} other machine{'' if machines == 1 else 's'}")
    return ", ".join(parts) or "none at work"


def _index(figures: Figures) -> str:
    if not figures.index.whole:
        return "searched for one by one; they are listed when that is cheaper"
    age = span(max(0.0, figures.index.now - figures.index.checked))
    return f"{_number(figures.entries)} phones and e-mails listed, up to date {age} ago"


def _batches(batches: Waiting, zone: ZoneInfo) -> tuple[str, str]:
    if batches.since is None:
        return "none under way", ""
    since = _when(batches.since, zone)
    return f"{batches.count} under way, or left by who died; the oldest since {since}", "yellow"


def _refused(refused: Waiting, held_back: int, zone: ZoneInfo) -> tuple[str, str]:
    if refused.since is None:
        return "none", ""
    held = f", {held_back} of them until amoCRM takes pushes again" if held_back else ""
    since = _when(refused.since, zone)
    return f"{refused.count} waiting{held}, the oldest since {since}: `leadsync failed list`", "red"


def _sizes(sizes: Sequence[Size]) -> Iterator[Text]:
    named = [one for one in sizes if one.kind in KINDS][:MOST_KINDS]
    rest = [one for one in sizes if one not in named]
    rows = [(KINDS[one.kind], one.keys, one.weight) for one in named]
    if rest:
        rows.append(("everything else", sum(one.keys for one in rest), _sum(rest)))
    for name, keys, weight in rows:
        told = f"{_number(keys):>9} {'key' if keys == 1 else 'keys':<4}  {_weight(weight):>8}"
        yield Text(f"          {told}  {name}", style="dim")


def _sum(sizes: Sequence[Size]) -> int | None:
    known = [one.weight for one in sizes if one.weight is not None]
    return sum(known) if len(known) == len(sizes) else None


def _run(run: Mapping[str, Any], zone: ZoneInfo) -> Iterator[Text]:
    ended = run.get("ended", "ok")
    refused = run["summary"]["failed"]
    head = f"  {_when(run['started_at'], zone)}  {run['source']}  "
    style = "red" if ended == "failed" else "yellow" if refused or ended != "ok" else ""
    spent = f"{_counted(run['requests']['total'], 'request')}, {run['seconds']:.1f} s"
    if ended == "failed":
        error = run.get("error") or {}
        yield Text(head).append(f"failed: {error.get('class', 'an error')}", style=style).append(f"  {spent}", "dim")
        if error.get("what"):
            yield Text(f"      {error['what']}")
    else:
        said = f"interrupted, {_done(run)}" if ended == "interrupted" else _done(run)
        yield Text(head).append(said, style=style).append(f"  {spent}", "dim")


def _done(run: Mapping[str, Any]) -> str:
    new, changed = run["created"]["leads"], run["updated"]["leads"]
    parts = [_counted(run["summary"]["records"], "record")]
    parts += [f"{new} new"] if new else []
    parts += [f"{changed} changed"] if changed else []
    parts += [f"{run['summary']['failed']} refused"] if run["summary"]["failed"] else []
    return ", ".join(parts)


def _counted(count: int, noun: str) -> str:
    return f"{_number(count)} {noun}{'' if count == 1 else 's'}"


def _number(count: int) -> str:
    return f"{count:,}".replace(",", " ")


def _weight(weight: int | None) -> str:
    if weight is None:
        return "?"
    for unit, size in (("MB", 1_000_000), ("kB", 1_000)):
        if weight >= size:
            return f"{weight / size:.1f} {unit}"
    return f"{weight} B"


def _when(at: float, zone: ZoneInfo) -> str:
    return f"{datetime.fromtimestamp(at, zone):%d.%m.%Y %H:%M}"


def status_json(status: Status) -> dict[str, Any]:
    """The same as plain data; times in unix seconds, lengths in seconds."""
    figures = status.figures
    return {
        "format_version": 1,
        "account": status.account,
        "login": login_json(status.login, figures.at)
        | {"token_age": None if figures.token_issued is None else round(figures.at - figures.token_issued)},
        "service": None if figures.standing is None else asdict(figures.standing),
        "pace": {**asdict(figures.pace), "rate": figures.rate, "used": round(figures.used, 4)},
        "workers": [asdict(one) for one in figures.workers],
        "contact_index": {
            "whole": figures.index.whole,
            "entries": figures.entries,
            "checked_ago": round(figures.index.now - figures.index.checked, 3) if figures.index.whole else None,
        },
        "queues": {name: None if queue is None else asdict(queue) for name, queue in figures.queues.items()},
        "batches": asdict(figures.batches),
        "refused": asdict(figures.refused) | {"held_back": figures.held_back},
        "redis": {
            "place": status.place,
            "encrypted": status.sealed,
            "sizes": [{"kind": one.kind, "keys": one.keys, "bytes": one.weight} for one in status.sizes],
        },
        "runs": list(status.runs),
        "warnings": list(status.warnings),
    }
