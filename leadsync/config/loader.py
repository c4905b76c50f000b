"""From a path to a Project: leadsync.yaml, its mappings and its plugins' options, checked whole."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from os.path import normpath
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from leadsync import plugins
from leadsync.config.complaints import Complaints
from leadsync.config.document import Document, scan_document
from leadsync.config.models import MappingFile, ProjectFile, SourceSection
from leadsync.config.nearest import advice, nearest
from leadsync.config.nodes import Key, Node, shortened
from leadsync.config.reading import shown_path
from leadsync.errors import ConfigurationError, Problem
from leadsync.settings import ENVIRONMENT, Settings, read_environment

FILE_NAME = "leadsync.yaml"

_NEVER_IN_YAML = {
    name.replace("_", ".", 1): name.upper()
    for name in Settings.model_fields
    if name.startswith("amocrm_") and name != "amocrm_subdomain"
}

Model = TypeVar("Model", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class LoadedMapping:
    """A mapping file as it was read; `document` knows where each of its templates stands."""

    path: Path
    file: MappingFile
    document: Document


_SourceParts = tuple[BaseModel, Mapping[str | None, LoadedMapping]]


@dataclass(frozen=True, slots=True)
class ConfiguredSource:
    """A source ready to be made. `options` is its plugin's own validated model; `mappings` goes by the record's
    `source`, or holds one mapping under None when all records share it."""

    name: str
    section: SourceSection
    options: BaseModel
    mappings: Mapping[str | None, LoadedMapping]


@dataclass(frozen=True, slots=True)
class Project:
    """Everything a person wrote, valid. `folder` is absolute: relative paths in the files begin there."""

    path: Path
    folder: Path
    file: ProjectFile
    document: Document
    sources: Mapping[str, ConfiguredSource]
    settings: Settings


def find_project(path: Path | None = None) -> Path:
    """The absolute path of leadsync.yaml: the one given, else LEADSYNC_CONFIG, else the current folder's.

    Raises ConfigurationError, with the next step, when there is no such file.
    """
    here = Path.cwd()
    environment, _ = read_environment(Path())  # what is wrong with a .env is told when the project's own is read
    chosen = path or Path(environment.get("LEADSYNC_CONFIG", FILE_NAME))
    found = here / chosen
    if not found.exists():
        raise ConfigurationError(
            f"there is no {chosen}",
            where=f"the folder {here}",
            do="`leadsync init` makes a project, `leadsync demo` one to play with; `--config FILE` names another",
        )
    return found


def load_project(path: Path | None = None) -> Project:
    """Read and check everything. Raises one ConfigurationError that holds every problem of every file."""
    found = find_project(path)
    folder = found.parent
    shown_folder = Path(shown_path(folder))
    environment, problems = read_environment(shown_folder)
    settings = None
    try:
        settings = Settings.load(shown_folder)
    except ConfigurationError as error:
        problems = list(error.problems)
    first = [*(problem.place.file for problem in problems), shown_path(found)]
    loading = _Loading(folder, environment, problems)
    project = loading.project(found, settings)
    if project is None:
        problems = _in_reading_order(loading.problems, first)
        what = f"{_place_of(problems, found)} cannot be used: {len(problems)} problem{'s' if len(problems) > 1 else ''}"
        raise ConfigurationError(what, problems=problems)
    return project


class _Loading:
    """One load: every file is read once, and `problems` grows."""

    def __init__(self, folder: Path, environment: Mapping[str, str], problems: list[Problem]) -> None:
        self.problems = problems
        self._folder = folder
        self._environment = environment
        self._mappings: dict[Path, LoadedMapping | None] = {}

    def project(self, path: Path, settings: Settings | None) -> Project | None:
        """The project, or None when there is any problem."""
        reading = scan_document(path, self._environment)
        self.problems += reading.problems
        document = reading.document
        if document is None:
            return None
        complaints = Complaints(document, ProjectFile, never_in_yaml=_NEVER_IN_YAML)
        file = self._valid(ProjectFile, document.data, complaints)
        sources = self._sources(document)
        if self.problems or file is None or settings is None:
            return None
        configured = {name: ConfiguredSource(name, part, *sources[name]) for name, part in file.sources.items()}
        return Project(path, self._folder, file, document, configured, settings)

    def _valid(self, model: type[Model], data: Any, complaints: Complaints) -> Model | None:
        try:
            return model.model_validate(data)
        except ValidationError as error:
            self.problems += complaints.problems(error)
            return None

    def _sources(self, document: Document) -> dict[str, _SourceParts]:
        """Each source's options and mappings, by name; read even when leadsync.yaml is wrong elsewhere."""
        found: dict[str, _SourceParts] = {}
        for name, node in document.node("sources")[0].children.items() if _is_dict(document.data) else ():
            if _is_dict(node.value):
                options = self._options(document, ("sources", name))
                mappings = self._mappings_of(document, ("sources", name, "mapping"))
                found |= {str(name): (options, mappings)} if options is not None else {}
        return found

    def _options(self, document: Document, at: tuple[Key, ...]) -> BaseModel | None:
        section = document.node(*at)[0].value
        model = self._options_model(document, (*at, "type")) if "type" in section else None
        if model is None:
            return None
        own = {key: value for key, value in section.items() if key not in SourceSection.model_fields}
        return self._valid(model, own, Complaints(document, model, at, also_valid=tuple(SourceSection.model_fields)))

    def _options_model(self, document: Document, at: tuple[Key, ...]) -> type[BaseModel] | None:
        """The model of a plugin's keys, found by its `Options`: config knows sources by their entry points only."""
        node, _ = document.node(*at)
        kind = node.value
        if document.is_broken(*at) or not isinstance(kind, str):
            return None
        installed = plugins.installed("sources")
        if kind not in installed:
            what, do = f"no source plugin is named {shortened(kind)}", advice(kind, installed, "installed are")
            if node.from_variable:
                what, do = "no source plugin has the name this variable holds", advice(None, installed, "installed are")
            self.problems.append(document.problem(what, node.place, do))
            return None
        try:
            options = getattr(plugins.load("sources", kind), "Options", None)
        except ConfigurationError as error:
            self.problems.append(document.problem(error.what, node.place, error.do))
            return None
        if isinstance(options, type) and issubclass(options, BaseModel):
            return options
        what = f"the plugin {kind} says nothing about its keys: it has no Options model"
        self.problems.append(document.problem(what, node.place, "repair the package that brings it"))
        return None

    def _mappings_of(self, document: Document, at: tuple[Key, ...]) -> dict[str | None, LoadedMapping]:
        section, _ = document.node(*at[:-1])
        node = section.children.get("mapping")
        if node is None:
            return {}
        paths: dict[str | None, tuple[Key, ...]] = {None: at}
        if _is_dict(node.value):
            paths = {str(value): (*at, value) for value in node.children}
        loaded = {value: self._mapping(document, path) for value, path in paths.items()}
        return {value: mapping for value, mapping in loaded.items() if mapping is not None}

    def _mapping(self, document: Document, at: tuple[Key, ...]) -> LoadedMapping | None:
        node, _ = document.node(*at)
        if document.is_broken(*at) or not isinstance(node.value, str):
            return None
        path = Path(normpath(self._folder / node.value))
        if path not in self._mappings:
            reading = scan_document(path, self._environment)
            if reading.document is None and not reading.problems[0].place.line:
                self.problems.append(_unreadable(reading.problems[0], path, document, node))
                return None
            self.problems += reading.problems
            self._mappings[path] = self._checked(path, reading.document)
        return self._mappings[path]

    def _checked(self, path: Path, document: Document | None) -> LoadedMapping | None:
        if document is None:
            return None
        file = self._valid(MappingFile, document.data, Complaints(document, MappingFile))
        if file is None:
            return None
        if file.mapper is None and file.lead is None and file.contact is None and not document.root.partial:
            what = "this mapping makes nothing: it has neither lead nor contact"
            self.problems.append(document.problem(what, document.place(), "add lead: or contact:"))
        known = plugins.installed("mappers")
        if file.mapper is not None and ":" not in file.mapper and file.mapper not in known:
            do = advice(None if document.node("mapper")[0].from_variable else file.mapper, known, "installed are")
            self.problems.append(document.problem("mapper: no plugin has this name", document.place("mapper"), do))
        return LoadedMapping(path, file, document)


def _is_dict(value: Any) -> bool:
    return isinstance(value, dict)


def _unreadable(problem: Problem, path: Path, document: Document, node: Node) -> Problem:
    """A mapping's file that gives no text, placed where leadsync.yaml names it."""
    if node.from_variable:
        return document.problem(f"the mapping file: {problem.what}", node.place, problem.do)
    near = nearest(path.name, (other.name for other in path.parent.glob("*.y*ml")))
    do = f"did you mean {near}? It lies in the same folder" if near and near != path.name else problem.do
    return document.problem(f"{shortened(node.value)}: {problem.what}", node.place, do)


def _place_of(problems: Sequence[Problem], found: Path) -> str:
    """What cannot be used: leadsync.yaml or the environment when nothing else is wrong, else the files."""
    places = {problem.place.file for problem in problems}
    only = places.pop() if len(places) == 1 else None
    return only if only in (shown_path(found), ENVIRONMENT) else "the files"


def _in_reading_order(problems: list[Problem], first: list[str]) -> list[Problem]:
    """Each problem once: those of the `first` files, then the mappings as leadsync.yaml names them; top to bottom."""
    order = list(dict.fromkeys([*first, *(problem.place.file for problem in problems)]))
    return sorted(
        dict.fromkeys(problems), key=lambda one: (order.index(one.place.file), one.place.line, one.place.column)
    )
