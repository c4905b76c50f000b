"""The files of a new project: their texts, what lies there already, and the writing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import chain, count
from pathlib import Path
from shutil import copy2

from leadsync.amocrm.catalogue import Catalogue
from leadsync.config.loader import FILE_NAME
from leadsync.config.schema import schema_files
from leadsync.errors import ConfigurationError
from leadsync.newproject.found_talks import FoundTalks
from leadsync.newproject.guesses import guess
from leadsync.newproject.mapping_file import mapping_text
from leadsync.newproject.project_file import MAPPING_PATH, ProjectFacts, project_text
from leadsync.newproject.side_files import env_example, gitignore
from leadsync.newproject.wording import wording_of
from leadsync.servers import private_folder

ENV_EXAMPLE, GITIGNORE = ".env.example", ".gitignore"

ASKED = (FILE_NAME, MAPPING_PATH, ENV_EXAMPLE)
"""Files that are a person's once they exist: they are not written over without asking."""


@dataclass(frozen=True, slots=True)
class ProjectTexts:
    """The texts by path, and what they hold: fields that are filled, and fields that are only listed."""

    texts: Mapping[str, str]
    filled: int
    has_key_field: bool


def project_texts(facts: ProjectFacts, catalogue: Catalogue, talks: FoundTalks) -> ProjectTexts:
    """Everything that is made of the account and of the talks; pure. The tables of `facts` are not looked at."""
    wording = wording_of(facts.domain)
    guesses = guess(catalogue, talks, wording)
    named = bool(talks.sources) or talks.match is None
    whole = replace(facts, tables=guesses.tables, names_its_source=named)
    texts = {
        FILE_NAME: project_text(whole),
        MAPPING_PATH: mapping_text(catalogue, guesses, wording),
        ENV_EXAMPLE: env_example(),
    }
    return ProjectTexts(texts, len(guesses.templates), guesses.key_field is not None)


def existing(folder: Path) -> list[str]:
    """The files of a person that lie there already."""
    return [name for name in ASKED if (folder / name).exists() or (folder / name).is_symlink()]


def keep_copies(folder: Path, texts: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Copy each file that is about to become another to NAME.bak, or NAME.bak.2 and so on; its name and the copy's.

    Raises ConfigurationError, with the path, for what cannot be copied.
    """
    for name, text in texts.items():
        path = folder / name
        with explained(path):
            old = path.read_bytes() if path.is_file() else b""
            if old and old != text.encode("utf-8", "surrogateescape"):
                copy = _free(path)
                copy2(path, copy)
                yield name, str(copy.relative_to(folder))


def _free(path: Path) -> Path:
    names = chain([f"{path.name}.bak"], (f"{path.name}.bak.{number}" for number in count(2)))
    return next(one for one in map(path.with_name, names) if not (one.exists() or one.is_symlink()))


def write_project(folder: Path, texts: Mapping[str, str], catalogue: Catalogue) -> Iterator[str]:
    """Write the texts, the lines of `.gitignore` and the schemas; the path of each thing that was written.

    Raises ConfigurationError, with the path, for what cannot be written.
    """
    for name, text in texts.items():
        write_text(folder / name, text)
        yield name
    path = folder / GITIGNORE
    with explained(path):
        ignored = gitignore(path.read_text(encoding="utf-8", errors="surrogateescape") if path.exists() else "")
    if ignored is not None:
        write_text(path, ignored)
        yield GITIGNORE
    yield from write_schemas(folder, catalogue)


def write_schemas(folder: Path, catalogue: Catalogue | None) -> Iterator[str]:
    """Write the JSON Schemas that editors read; the path of each. Raises ConfigurationError, StateUnavailable."""
    private_folder(folder)
    for name, schema in schema_files(catalogue).items():
        write_text(folder / name, schema)
        yield name


def write_text(path: Path, text: str) -> None:
    """Write a file, its folder made when missing. Raises ConfigurationError with the path."""
    with explained(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8", errors="surrogateescape", newline="\n")


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """Turn an OSError into a ConfigurationError with its path."""
    try:
        yield
    except OSError as error:
        what = f"the file cannot be written: {(error.strerror or 'no reason given').lower()}"
        do = "let this user write there, or choose another folder"
        raise ConfigurationError(what, where=str(error.filename or path), do=do) from None
