"""The checks of `leadsync validate`: the files, the account's names, and what can be reached."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any
from zoneinfo import ZoneInfo

from leadsync.amocrm.catalogue import Catalogue, load
from leadsync.amocrm.retry import RetryPolicy
from leadsync.cli.logins import DAY, WORDS, Login, Way, login_of, open_project, span
from leadsync.config.loader import LoadedMapping, Project
from leadsync.errors import AmoCRMAPIError, AuthorizationRequired, ConfigurationError, LeadsyncError, Problem
from leadsync.events import ignore
from leadsync.mapping.environment import MapperContext
from leadsync.mapping.yaml_mapper import load_mapper
from leadsync.project import Connections, connect
from leadsync.state.persistence import persistence_warnings
from leadsync.state.redis import state_errors
from leadsync.sync.names import name_problems

ENDS_SOON = 14 * DAY
"""Seconds before the end of a login from which on it is warned about."""

IMPATIENT = RetryPolicy(attempts=3)
"""Somebody sits in front of it."""


class Mark(StrEnum):
    """How a check came out."""

    GOOD = "ok"
    WARNING = "warning"
    BAD = "failed"
    SKIPPED = "not checked"


@dataclass(frozen=True, slots=True)
class Check:
    """One line of the result. `exit_code` is that of the failure, 0 when there is none."""

    name: str
    mark: Mark
    text: str
    problems: tuple[Problem, ...] = ()
    do: str | None = None
    exit_code: int = 0

    @classmethod
    def failed(cls, name: str, error: LeadsyncError) -> Check:
        """The check that ended in this error."""
        problems = error.problems if isinstance(error, ConfigurationError) else ()
        where = f" (at {error.where})" if error.where else ""
        return cls(name, Mark.BAD, error.what + where, problems, error.do, error.exit_code)


@dataclass(slots=True)
class Checks:
    """Everything that was checked, in the order it is shown: files, names, reachability."""

    offline: bool
    done: dict[str, Check] = field(default_factory=dict)

    @property
    def exit_code(self) -> int:
        """That of the first failure."""
        return next((one.exit_code for one in self.done.values() if one.exit_code), 0)

    async def run(self, config: str | None) -> None:
        """Check as far as one can get."""
        try:
            project = open_project(config)
        except ConfigurationError as error:
            self._add(Check.failed("files", error))
            return
        self._check_files(project)
        if not self.offline:
            await self._check_world(project)

    def _add(self, check: Check) -> None:
        self.done[check.name] = check

    def _check_files(self, project: Project) -> None:
        mappings = _mappings(project)
        self._add(Check("files", Mark.GOOD, f"{project.path.name} and {_counted(len(mappings), 'mapping')}"))
        problems = [problem for one in mappings for problem in _template_problems(project, one)]
        if problems:
            what = f"{_counted(len(problems), 'mistake')} in the templates"
            self._add(Check("mappings", Mark.BAD, what, tuple(problems), exit_code=ConfigurationError.exit_code))
        else:
            self._add(Check("mappings", Mark.GOOD, "every template can be read"))

    async def _check_world(self, project: Project) -> None:
        # The names need Redis, a login and amoCRM, and still stand before them.
        for name in ("names", "redis", "memory", "login", "amocrm"):
            self._add(Check(name, Mark.SKIPPED, "not checked: something else is in the way"))
        try:
            async with connect(project, ignore, retry=IMPATIENT) as connections:
                self._add(Check("redis", Mark.GOOD, f"answers ({_place(connections)})"))
                await self._check_memory(connections)
                await self._check_account(connections)
        except LeadsyncError as error:
            self._add(Check.failed("redis", error))

    async def _check_memory(self, connections: Connections) -> None:
        async with state_errors(_place(connections)):
            warnings = await persistence_warnings(connections.redis)
        if warnings:
            self._add(Check("memory", Mark.WARNING, "; ".join(warnings)))
        else:
            self._add(Check("memory", Mark.GOOD, "this Redis keeps its data"))

    async def _check_account(self, connections: Connections) -> None:
        try:
            catalogue = await load(connections.client)
        except (AuthorizationRequired, ConfigurationError) as error:
            self._add(Check.failed("login", error))
            return
        except AmoCRMAPIError as error:
            self._add(Check.failed("amocrm", error))
        else:
            self._add(Check("amocrm", Mark.GOOD, f"answers as account {catalogue.account.subdomain}"))
            self._add(_names_check(connections.project, catalogue))
        self._add(_login_check(await login_of(connections), time.time()))


def _mappings(project: Project) -> list[LoadedMapping]:
    found = {one.path: one for source in project.sources.values() for one in source.mappings.values()}
    return list(found.values())


def _template_problems(project: Project, mapping: LoadedMapping) -> Iterator[Problem]:
    file = project.file
    context = MapperContext(file.defaults.country, ZoneInfo(file.defaults.timezone), file.tables)
    try:
        load_mapper(mapping, context)
    except ConfigurationError as error:
        yield from error.problems or [Problem(error.what, mapping.document.place(), do=error.do)]


def _names_check(project: Project, catalogue: Catalogue) -> Check:
    problems = name_problems(_mappings(project), catalogue)
    if problems:
        what = f"the account does not have {_counted(len(problems), 'name')} of the mappings"
        return Check("names", Mark.BAD, what, tuple(problems), exit_code=ConfigurationError.exit_code)
    return Check("names", Mark.GOOD, "the account has everything the mappings name")


def _login_check(login: Login, now: float) -> Check:
    ends = login.ends_at
    text = WORDS[login.way] if ends is None else f"{WORDS[login.way]}, good for {span(max(0, ends - now))}"
    if ends is not None and ends - now < ENDS_SOON:
        return Check("login", Mark.WARNING, text, do=_longer(login))
    return Check("login", Mark.GOOD, text)


def _longer(login: Login) -> str:
    if login.way is Way.TOKEN:
        return "make a new long-lived token in the integration's card before that"
    return "every run renews it; after three months without one somebody must log in again"


def _place(connections: Connections) -> str:
    """Where Redis is, without its password."""
    options = connections.redis.connection_pool.connection_kwargs
    return str(options["path"]) if "path" in options else f"{options.get('host')}:{options.get('port')}"


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}" + ("" if number == 1 else "s")


def checks_json(checks: Checks) -> dict[str, Any]:
    """The result as plain data."""
    return {
        "format_version": 1,
        "exit_code": checks.exit_code,
        "checks": [_check_json(one) for one in checks.done.values()],
    }


def _check_json(check: Check) -> dict[str, Any]:
    return {
        "name": check.name,
        "result": check.mark.value,
        "text": check.text,
        "do": check.do,
        "problems": [_problem_json(one) for one in check.problems],
    }


def _problem_json(problem: Problem) -> dict[str, Any]:
    place = problem.place
    return {"what": problem.what, "file": place.file, "line": place.line, "column": place.column, "do": problem.do}
