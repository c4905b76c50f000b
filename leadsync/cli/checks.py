"""The checks of `leadsync validate`: the files, the account's names, and what can be reached."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any
from zoneinfo import ZoneInfo

from leadsync.amocrm.catalogue import Catalogue
from leadsync.amocrm.retry import RetryPolicy
from leadsync.cli.benches import benches_of
from leadsync.cli.error_document import problem_json
from leadsync.cli.logins import DAY, WORDS, Login, Way, login_of, span
from leadsync.cli.projects import open_project
from leadsync.cli.tried_talks import TriedTalks, try_talks
from leadsync.config.cases import load_cases
from leadsync.config.loader import Project
from leadsync.errors import AmoCRMAPIError, AuthorizationRequired, ConfigurationError, LeadsyncError, Problem
from leadsync.events import ignore
from leadsync.forgetting.unreadable import SealedValues, sealed_values
from leadsync.intake import account_zone, compile_mappings
from leadsync.mapping.doubtful_names import doubtful_names
from leadsync.project import Connections, connect
from leadsync.sealing import WAY_OUT
from leadsync.settings import read_environment
from leadsync.state.persistence import persistence_warnings
from leadsync.state.redis import state_errors
from leadsync.sync.account_names import read_catalogue
from leadsync.sync.fixed_values import value_problems
from leadsync.sync.names import name_problems, name_warnings
from leadsync.sync.spots import mappings_of

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


class Level(StrEnum):
    """How far a check has to go: into the files, to the account's names, or to everything a run needs."""

    FILES = "files"
    NAMES = "names"
    REACH = "reachability"


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

    @classmethod
    def of_problems(cls, name: str, problems: Sequence[Problem], bad: str, good: str) -> Check:
        """The check that found these mistakes in the files, or none; `bad` goes on after their number."""
        if not problems:
            return cls(name, Mark.GOOD, good)
        what = f"{_counted(len(problems), bad)}"
        return cls(name, Mark.BAD, what, tuple(problems), exit_code=ConfigurationError.exit_code)

    @property
    def level(self) -> Level:
        """Where it belongs."""
        return LEVELS[self.name]


LEVELS = {
    **dict.fromkeys(("files", "mappings", "tests"), Level.FILES),
    **dict.fromkeys(("names", "values"), Level.NAMES),
    **dict.fromkeys(("redis", "memory", "secrets", "login", "amocrm", "talks"), Level.REACH),
}
"""The level of each check; the checks are shown in this order."""


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
        number = len(mappings_of(project))
        self._add(Check("files", Mark.GOOD, f"{project.path.name} and {_counted(number, 'mapping')}"))
        problems: Sequence[Problem] = ()
        try:
            compile_mappings(project)
        except ConfigurationError as error:
            problems = error.problems
        self._add(Check.of_problems("mappings", problems, "mistake in the templates", "every template can be read"))
        tables = project.file.tables
        doubts = [problem for one in mappings_of(project) for problem in doubtful_names(one, tables)]
        if doubts and not problems:
            self._add(Check("mappings", Mark.WARNING, _counted(len(doubts), "name in doubt"), tuple(doubts)))
        self._check_cases(project)

    def _check_cases(self, project: Project) -> None:
        """Whether `leadsync test` can read the mappings' own tests; it alone runs them."""
        variables, _ = read_environment(project.folder)
        cases = [load_cases(one, variables) for one in mappings_of(project)]
        problems = [problem for one in cases for problem in one.problems]
        number = sum(len(one.cases) for one in cases)
        if number or problems:
            good = f"{_counted(number, 'case')}: `leadsync test` runs them"
            self._add(Check.of_problems("tests", problems, "mistake in the cases", good))

    async def _check_world(self, project: Project) -> None:
        # The names need Redis, a login and amoCRM, and still stand before them.
        for name in (name for name, level in LEVELS.items() if level is not Level.FILES):
            self._add(Check(name, Mark.SKIPPED, "not checked: something else is in the way"))
        try:
            async with connect(project, ignore, retry=IMPATIENT) as connections:
                self._add(Check("redis", Mark.GOOD, f"answers ({connections.place})"))
                await self._check_memory(connections)
                await self._check_seal(connections)
                await self._check_talks(connections, await self._check_account(connections))
        except LeadsyncError as error:
            self._add(Check.failed("redis", error))

    async def _check_memory(self, connections: Connections) -> None:
        async with state_errors(connections.place):
            warnings = await persistence_warnings(connections.redis)
        if warnings:
            self._add(Check("memory", Mark.WARNING, "; ".join(warnings)))
        else:
            self._add(Check("memory", Mark.GOOD, "this Redis keeps its data"))

    async def _check_seal(self, connections: Connections) -> None:
        """Whether what lies in Redis is encrypted, and can be read."""
        self._add(_seal_check(connections.seal.is_on, await sealed_values(connections)))

    async def _check_account(self, connections: Connections) -> Catalogue | None:
        """The account's login and names; what the account has, where it tells and the files fit it."""
        catalogue = None
        try:
            catalogue = await read_catalogue(connections.client, connections.redis, connections.names)
        except (AuthorizationRequired, ConfigurationError) as error:
            self._add(Check.failed("login", error))
            return None
        except AmoCRMAPIError as error:
            self._add(Check.failed("amocrm", error))
        else:
            self._add(Check("amocrm", Mark.GOOD, f"answers as account {catalogue.account.subdomain}"))
            self._check_names(connections.project, catalogue)
        self._add(_login_check(await login_of(connections), time.time()))
        fits = Mark.BAD not in (self.done["names"].mark, self.done["values"].mark)
        return catalogue if fits else None

    async def _check_talks(self, connections: Connections, catalogue: Catalogue | None) -> None:
        """Whether the mappings get along with talks that are there now."""
        if self.done["mappings"].mark is not Mark.BAD:
            try:
                self._add(_talks_check(await try_talks(connections, benches_of(connections.project, catalogue))))
            except ConfigurationError as error:
                self._add(Check.failed("talks", error))

    def _check_names(self, project: Project, catalogue: Catalogue) -> None:
        good = "the account has everything the mappings name"
        self._add(Check.of_problems("names", name_problems(project, catalogue), "name that cannot be used", good))
        warnings = name_warnings(project, catalogue)
        if warnings and self.done["names"].mark is Mark.GOOD:
            self._add(Check("names", Mark.WARNING, _counted(len(warnings), "name in doubt"), tuple(warnings)))
        zone = account_zone(catalogue, ZoneInfo(project.file.defaults.timezone))
        problems = value_problems(project, catalogue, zone)
        self._add(
            Check.of_problems("values", problems, "value that does not fit", "what the mappings always write fits")
        )


def _seal_check(is_on: bool, values: SealedValues) -> Check:
    name = "secrets"
    if values.unreadable:
        what = f"{_counted(values.unreadable, 'value')} in Redis cannot be read with the LEADSYNC_SECRET_KEY of now"
        exit_code = ConfigurationError.exit_code
        return Check(name, Mark.BAD, what, do=f"put the key back that encrypted them; {WAY_OUT}", exit_code=exit_code)
    if not is_on:
        return Check(name, Mark.GOOD, "not encrypted in Redis; LEADSYNC_SECRET_KEY turns that on")
    if values.older:
        text = (
            f"encrypted, but {_counted(values.older, 'value')} not yet under the first key: each is when written next"
        )
        return Check(name, Mark.GOOD, text)
    return Check(name, Mark.GOOD, "encrypted: tokens, refused records and open batches")


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


def _talks_check(tried: TriedTalks) -> Check:
    name, number, refused = "talks", sum(tried.counts.values()), tried.refused.total()
    nothing = f"no talk is found in {' and '.join(tried.empty)}" if tried.empty else ""
    do = "if there should be some, correct its section in leadsync.yaml" if nothing else None
    if not number:
        return Check(name, Mark.SKIPPED, nothing, do=do)
    text = f"{_counted(number, 'talk')} tried, {refused or 'none'} would be refused{nothing and f'; {nothing}'}"
    problems = tuple(tried.problems)
    return Check(name, Mark.WARNING if problems else Mark.GOOD, text, problems, do)


def _counted(number: int, noun: str) -> str:
    """`1 value that does not fit`, `2 values that do not fit`."""
    first, *rest = noun.split(" ", 1)
    if number == 1:
        return f"1 {noun}"
    return " ".join([f"{number} {first}s", *rest]).replace(" that does ", " that do ")


def checks_json(checks: Checks) -> dict[str, Any]:
    """The result as plain data."""
    return {
        "format_version": 1,
        "exit_code": checks.exit_code,
        "checks": [_check_json(one) for one in checks.done.values()],
    }


def _check_json(check: Check) -> dict[str, Any]:
    return {
        "level": check.level.value,
        "name": check.name,
        "result": check.mark.value,
        "text": check.text,
        "do": check.do,
        "problems": [problem_json(one) for one in check.problems],
    }
