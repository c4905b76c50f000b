"""`dry-run --offline`: the items of every talk as if it were new, printed as they are made."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, aclosing
from math import ceil
from zoneinfo import ZoneInfo

from rich.text import Text

from leadsync.cli.output import ProgressBar, console, print_document, print_lines
from leadsync.cli.pieces import dumped, print_pieces
from leadsync.cli.projects import open_project
from leadsync.config.loader import Project
from leadsync.events import RecordsDone
from leadsync.mapping.missing_keys import MissingKeys
from leadsync.offline import AS_IF_NEW, OfflineRecord, open_offline
from leadsync.report import words
from leadsync.report.line import Line
from leadsync.report.plan_html import plan_html
from leadsync.report.plan_json import change_json, plan_json
from leadsync.report.plan_markdown import plan_markdown
from leadsync.report.plan_text import Told, change_lines, refused_lines
from leadsync.selection import Selection
from leadsync.sync.results import MOST_ROWS, Plan

PAGE = 200
"""Records that are printed at a time."""


async def offline_plan(
    source: str | None, selection: Selection, format_: str, config: str | None, *, verbose: bool
) -> Plan:
    """Print what would be sent if every talk were new. The plan that comes back counts; its items are printed already.

    Raises ConfigurationError, StateUnavailable.
    """
    project = open_project(config)
    async with AsyncExitStack() as stack:
        offline = await stack.enter_async_context(open_offline(project, source))
        # Where results appear on the terminal they show by themselves how far it is, and a bar would be in their way.
        progress = None if sys.stdout.isatty() else stack.enter_context(ProgressBar("dry-run --offline"))
        printer = PRINTERS[format_](Plan(offline.source), project, verbose)
        printer.begin(offline.notes)
        async with aclosing(offline.records(selection)) as records:
            async for page in _pages(records):
                printer.add(page)
                if progress is not None:
                    progress(RecordsDone(len(page)))
        return printer.end(offline.missing)


async def _pages(records: AsyncIterator[OfflineRecord]) -> AsyncIterator[list[OfflineRecord]]:
    page: list[OfflineRecord] = []
    async for one in records:
        page.append(one)
        if len(page) == PAGE:
            yield page
            page = []
    if page:
        yield page


class Printer:
    """Counts records into a plan, and keeps their items: for the formats that need all of them at once."""

    def __init__(self, plan: Plan, project: Project, verbose: bool) -> None:
        self.plan = plan
        self.verbose = verbose
        self.zone = ZoneInfo(project.file.defaults.timezone)
        self.rate = project.file.amocrm.requests_per_second
        self._batch_size = project.file.amocrm.batch_size
        self._items: Counter[str] = Counter()

    def begin(self, notes: Sequence[str]) -> None:
        """Say what the items are made with, before the first of them."""
        self.plan.warnings += notes

    def add(self, page: Sequence[OfflineRecord]) -> None:
        """Count and show some records."""
        for one in page:
            self.plan.outcomes[one.outcome] += 1
            for change in one.changes:
                self._items[change.entity] += 1
            if one.refused is not None and len(self.plan.refused) < MOST_ROWS:
                self.plan.refused.append(one.refused)
        self.show(page)

    def show(self, page: Sequence[OfflineRecord]) -> None:
        """Print the records, or keep them until the end."""
        self.plan.changes += [change for one in page for change in one.changes]

    def end(self, missing: MissingKeys) -> Plan:
        """Print what is left; what has been counted."""
        self.plan.warnings += missing.warnings()
        self.plan.missing = missing.counts
        self.plan.writes = sum(ceil(number / self._batch_size) for number in self._items.values())
        self.finish()
        return self.plan

    def finish(self) -> None:
        """Print what comes after the last record."""


class TextPrinter(Printer):
    """The diff for the terminal, as it is made."""

    def begin(self, notes: Sequence[str]) -> None:
        self._has_styles = console().is_terminal
        self._told: Told = {}
        print_lines(Text(note, style="cyan" if note == AS_IF_NEW else "dim") for note in notes)

    def show(self, page: Sequence[OfflineRecord]) -> None:
        if self._has_styles:
            print_lines(line for one in page for line in self._lines(one))
        else:  # a file or a pipe takes no styles, and working them out would take most of the time
            print_pieces("".join([f"{line.plain}\n" for line in self._lines(one)]) for one in page)

    def _lines(self, one: OfflineRecord) -> Iterator[Line]:
        if one.refused is not None:
            yield from refused_lines(one.refused, self._told)
        elif one.changes:
            yield Line(words.visible(one.key), style="bold")
            for change in one.changes:
                yield from change_lines(change, verbose=self.verbose)
            yield Line()

    def finish(self) -> None:
        lines = [Text(words.counts(self.plan)), Text(words.cost(self.plan, self.rate), style="dim")]
        print_lines([*lines, *(Text(f"warning: {one}", style="yellow") for one in self.plan.warnings)])


class JsonPrinter(Printer):
    """The document of `dry-run --format json` with `"offline": true`, one item a line, as they are made."""

    def begin(self, notes: Sequence[str]) -> None:
        super().begin(notes)
        self._between = b"\n"
        head = dumped({"format_version": 1, "source": self.plan.source, "offline": True})
        print_pieces([head[:-1], ',"changes":['])

    def show(self, page: Sequence[OfflineRecord]) -> None:
        items = [dumped(change_json(change)) for one in page for change in one.changes]
        if items:
            print_pieces([self._between, b",\n".join(items)])
            self._between = b",\n"

    def finish(self) -> None:
        rest = plan_json(self.plan, requests_per_second=self.rate)
        for told in ("format_version", "source", "changes"):
            del rest[told]
        print_pieces(["\n],", dumped(rest)[1:], "\n"])


class MarkdownPrinter(Printer):
    """Markdown, once all records are read: it says at the top how many there are."""

    def finish(self) -> None:
        print_document([plan_markdown(self.plan, requests_per_second=self.rate, zone=self.zone)])


class HtmlPrinter(Printer):
    """One HTML page, once all records are read."""

    def finish(self) -> None:
        print_document(plan_html(self.plan, requests_per_second=self.rate, zone=self.zone))


PRINTERS: Mapping[str, type[Printer]] = {
    "text": TextPrinter,
    "json": JsonPrinter,
    "markdown": MarkdownPrinter,
    "html": HtmlPrinter,
}
