"""What `leadsync init` says at its end: what it saw, what it wrote, and what to do next."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from rich.text import Text

from leadsync.amocrm.catalogue import Catalogue
from leadsync.config.loader import FILE_NAME
from leadsync.newproject.files import ENV_EXAMPLE, GITIGNORE
from leadsync.newproject.found_talks import FoundTalks
from leadsync.newproject.project_file import INBOX, MAPPING_PATH, ProjectFacts

_SHOWN_FIELDS = 14

WHAT = {
    FILE_NAME: "the account, the Redis, and where talks come from",
    MAPPING_PATH: "what a talk becomes: edit this one",
    ENV_EXAMPLE: "the variables you may set; copy it to .env",
    GITIGNORE: "keeps .env and .leadsync/ out of git",
}
"""What each file is for; one that is not named here goes without saying."""


@dataclass(frozen=True, slots=True)
class Made:
    """A project that was made. `written` and `kept` are paths in its folder, as are `copies`, by what was replaced."""

    folder: Path
    account: str
    is_sandbox: bool
    has_samples: bool
    facts: ProjectFacts
    catalogue: Catalogue
    talks: FoundTalks
    filled: int
    has_key_field: bool
    written: tuple[str, ...]
    kept: tuple[str, ...]
    copies: Mapping[str, str]


def made_lines(made: Made) -> Iterator[Text]:
    """The whole report, no line longer than it must be."""
    yield from _seen(made)
    yield from _files(made)
    yield from _next(made)


def _seen(made: Made) -> Iterator[Text]:
    known = made.catalogue
    of = {entity: sum(one.entity == entity for one in known.fields) for entity in ("leads", "contacts")}
    name = "the built-in sandbox, an amoCRM look-alike" if made.is_sandbox else made.account
    yield Text("account  ", style="bold").append(name, style="not bold")
    counts = f"{of['leads']} fields of leads, {of['contacts']} of contacts, {len(known.pipelines)} pipelines"
    yield Text(f"         {counts}, {len(known.users)} users")
    yield Text("talks    ", style="bold").append(_talks_said(made), style="not bold")
    if made.talks.fields:
        shown = list(made.talks.fields[:_SHOWN_FIELDS])
        more = len(made.talks.fields) - len(shown)
        yield Text(f"         they hold {', '.join(shown)}" + (f" and {more} more" if more else ""))
    yield Text()


def _talks_said(made: Made) -> str:
    if made.facts.source_type == "jsonl":
        return f"one a line in {INBOX}/*.jsonl"
    found = made.talks
    if found.match is None:
        looked = f"none among {found.keys} keys" if found.keys else "none yet: this Redis is empty"
        return f"{looked}; leadsync.yaml says match: {made.facts.match}"
    return f"{found.match} in Redis ({found.keys} {'key' if found.keys == 1 else 'keys'} looked at)"


def _files(made: Made) -> Iterator[Text]:
    yield Text(f"written to {_folder(made)}", style="bold")
    for name in made.written:
        if name in WHAT:
            yield Text(f"  {name:<22}").append(WHAT[name], style="dim")
    yield Text(f"  {'.leadsync/*.json':<22}").append("by these an editor completes and checks both files", style="dim")
    for name in made.kept:
        yield Text(f"  {name:<22}").append("left as it was", style="dim")
    for name, copy in made.copies.items():
        yield Text(f"  {copy:<22}").append(f"  what {name} was before", style="dim")
    count = f"{made.filled} field{'' if made.filled == 1 else 's'}"
    yield Text(f"The mapping fills {count}; the others stand there behind a #.")
    yield Text("To fill one of those, take its # away and say what goes in.")
    if not made.has_key_field:
        yield Text("Give your leads a text field for the talk's key, and name it in `key_field`: see the mapping.")
    yield Text()


def _folder(made: Made) -> str:
    return "this folder" if made.folder == Path() else f"{made.folder}/"


def _next(made: Made) -> Iterator[Text]:
    yield Text("next", style="bold")
    if made.folder != Path():
        yield Text(f"  cd {made.folder}")
    for line, why in (
        (f"edit {MAPPING_PATH}", "which fields, which pipeline, what the note says"),
        ("leadsync validate", "finds mistakes, with their line"),
        ("leadsync dry-run", "shows what would change; nothing is written"),
        ("leadsync run", "brings it into the CRM"),
    ):
        yield Text(f"  {line:<26}").append(why, style="dim")
    if made.is_sandbox:
        yield Text()
        yield from _from_the_sandbox(made)


def _from_the_sandbox(made: Made) -> Iterator[Text]:
    again = "leadsync init --force" + ("" if made.facts.source_type == "redis-dialogs" else " --source-type jsonl")
    if made.talks.match is None and not made.has_samples:
        yield Text(f"No talks to try it with? `{again} --sample-talks` puts some in.")
    yield Text("For your own account: copy .env.example to .env, fill in AMOCRM_SUBDOMAIN and")
    yield Text("AMOCRM_ACCESS_TOKEN (and REDIS_URL, where your bot keeps its talks). Then make")
    yield Text(f"the mapping anew from its fields: {again}")
