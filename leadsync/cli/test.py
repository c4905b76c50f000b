"""`leadsync test`: the mappings' own tests; `--record` writes one from a real talk, masked."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
from rich.text import Text

from leadsync.cli.benches import MappingBench, benches_of, chosen
from leadsync.cli.differences import difference_json, difference_lines
from leadsync.cli.main_task import run_async
from leadsync.cli.options import format_option, project_options
from leadsync.cli.output import print_json, print_lines
from leadsync.cli.projects import open_project
from leadsync.cli.recording import Recorded, record_case
from leadsync.config.cases import cases_path, load_cases
from leadsync.config.loader import Project
from leadsync.config.reading import shown_path
from leadsync.errors import ConfigurationError, Problem
from leadsync.mapping.selftest import Result, run_case
from leadsync.settings import read_environment

SOME_FAILED = 1


@dataclass(frozen=True, slots=True)
class Tested:
    """The results of one mapping's cases, in their order."""

    mapping: str
    default_source: str
    results: tuple[Result, ...]


@click.command("test")
@click.argument("mappings", nargs=-1, metavar="[MAPPING]...")
@click.option("--record", metavar="KEY", help="Write a case from the talk with this key, with what is personal masked.")
@click.option("--source", metavar="NAME", help="Where --record looks for the talk.  [default: every source]")
@format_option("text", "json")
@project_options
def command(mappings: Sequence[str], record: str | None, source: str | None, format_: str, config: str | None) -> int:
    """Run the mappings' own tests; neither the network nor Redis is needed.

    Cases stand in a mapping under `tests:`, or beside it in NAME.tests.yaml:

    \b
      tests:
        - name: a phone in the text is found
          record:
            id: 1
            source: telegram
            messages: [{role: user, text: "мой номер 8 916 123-45-67"}]
          expect:
            contact: {phone: "+79161234567"}
            lead: {price: null}

    What `expect` does not name is not compared; null means not sent. There are `skipped: true`, `refused: REASON`,
    `contact: none` and `absent: [lead.price]`, too; `after: 2` beside `record` says that earlier notes hold its first
    two messages. Templates see no clock, so a case comes out the same on every day. Ends with 1 when a case failed,
    with 78 for mistakes in the files.

    \b
    Examples:
      leadsync test
      leadsync test mappings/telegram.yaml
      leadsync test --record telegram:42
    """
    project = open_project(config)
    if record is not None:
        return _tell_recorded(run_async(record_case(project, record, source, mappings)), format_)
    if source is not None:
        raise ConfigurationError("--source goes with --record only", where="--source", do="leave it out")
    tested = [_tested(project, bench) for bench in _checked(project, chosen(benches_of(project), mappings))]
    if format_ == "json":
        print_json(_json(tested))
    else:
        print_lines(_lines(tested, project))
    return SOME_FAILED if any(not one.passed for each in tested for one in each.results) else 0


def _checked(project: Project, benches: Sequence[MappingBench]) -> Sequence[MappingBench]:
    """The benches, when no case has a mistake. Raises ConfigurationError with all of them."""
    variables, _ = read_environment(project.folder)
    problems: list[Problem] = []
    for bench in benches:
        bench.cases = load_cases(bench.loaded, variables)
        problems += bench.cases.problems
    if problems:
        what = f"{len(problems)} mistake{'s' if len(problems) > 1 else ''} in the cases"
        raise ConfigurationError(what, do="correct what stands below", problems=problems)
    return benches


def _tested(project: Project, bench: MappingBench) -> Tested:
    country = project.file.defaults.country
    results = (run_case(one, bench.bench, bench.loaded.document, country) for one in bench.cases.cases)
    return Tested(bench.name, bench.bench.default_source, tuple(results))


def _lines(tested: Sequence[Tested], project: Project) -> Iterator[Text]:
    with_cases = [one for one in tested if one.results]
    for each in with_cases:
        yield Text(each.mapping, style="bold")
        for result in each.results:
            yield from _result_lines(result)
        yield Text()
    yield from _summary(tested)
    without = [one.mapping for one in tested if not one.results]
    if with_cases and without:
        yield Text(f"without cases: {', '.join(without)}", style="dim")
    if not with_cases:
        yield from _first_steps(tested)
    yield from _strays(project)


def _result_lines(result: Result) -> Iterator[Text]:
    sign, style = ("✓", "green") if result.passed else ("✗", "bold red")
    line = Text(f"  {sign} ", style=style).append(_title(result), style="default" if result.passed else "bold")
    place = result.written.place()
    yield line if result.passed else line.append(f"  {place.file}:{place.line}", style="not bold dim")
    for difference in result.differences:
        yield from difference_lines(difference)


def _title(result: Result) -> str:
    place = result.written.place()
    return result.written.case.name or f"the case in line {place.line} of {place.file}"


def _summary(tested: Sequence[Tested]) -> Iterator[Text]:
    results = [one for each in tested for one in each.results]
    failed = sum(not one.passed for one in results)
    if results:
        said = f"{len(results)} case{'s' if len(results) > 1 else ''}: {len(results) - failed} passed, {failed} failed"
        yield Text(said, style="bold red" if failed else "green")


def _first_steps(tested: Sequence[Tested]) -> Iterator[Text]:
    yield Text("there are no cases yet")
    if tested:
        path = cases_path(Path(tested[0].mapping))
        yield Text(f"  write the first one in {path}, or under `tests:` of {tested[0].mapping}:", style="dim")
        for line in _EXAMPLE.format(source=tested[0].default_source).splitlines():
            yield Text(f"    {line}")
        yield Text(
            "  or make one of a real talk, with what is personal masked: leadsync test --record KEY", style="dim"
        )


_EXAMPLE = """\
tests:
  - name: a new talk makes a lead
    record: {{id: 1, source: {source}, user_name: Пример, phone: 8 900 000-00-01}}
    expect:
      contact: {{phone: "+79000000001"}}
      lead: {{price: null}}
"""


def _strays(project: Project) -> Iterator[Text]:
    """Files of cases that belong to no mapping: a slip in a name would silence them."""
    known = {cases_path(one.path) for source in project.sources.values() for one in source.mappings.values()}
    for path in sorted({stray for one in known for stray in one.parent.glob("*.tests.yaml")} - known):
        yield Text(f"warning: {shown_path(path)} belongs to no mapping of leadsync.yaml", style="yellow")


def _json(tested: Sequence[Tested]) -> dict[str, Any]:
    results = [one for each in tested for one in each.results]
    passed = sum(one.passed for one in results)
    return {
        "format_version": 1,
        "summary": {"cases": len(results), "passed": passed, "failed": len(results) - passed},
        "cases": [_result_json(each.mapping, one) for each in tested for one in each.results],
    }


def _result_json(mapping: str, result: Result) -> dict[str, Any]:
    place = result.written.place()
    return {
        "mapping": mapping,
        "file": place.file,
        "line": place.line,
        "name": result.written.case.name,
        "passed": result.passed,
        "differences": [difference_json(one) for one in result.differences],
    }


def _tell_recorded(recorded: Recorded, format_: str) -> int:
    if format_ == "json":
        place = recorded.place
        print_json({"format_version": 1, "file": place.file, "line": place.line, "mapping": recorded.mapping})
        return 0
    lines = [
        Text(f"a case of {recorded.mapping} was written: {recorded.place}", style="green"),
        Text("Names, phones, e-mails and the like are masked as far as they can be recognised."),
        Text("Read it before you commit it: what nobody can recognise by its look may still be there.", style="yellow"),
    ]
    print_lines(lines)
    return 0
