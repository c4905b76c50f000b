"""`leadsync demo`: the first thing a newcomer runs, in an empty folder on a machine with nothing else."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import orjson
import pytest

from leadsync.cli.demo import sample_talks
from leadsync.sandbox import Sandbox
from tests.processes import process

NOT_FOR_A_DEMO = {
    "AMOCRM_SUBDOMAIN": "real-firm",
    "AMOCRM_BASE_URL": "http://127.0.0.1:9",
    "AMOCRM_ACCESS_TOKEN": "a-real-token",
    "REDIS_URL": "redis://127.0.0.1:9/0",
    "LEADSYNC_CONFIG": "/nowhere/leadsync.yaml",
}
"""What would lead the sample talks into somebody's own account and Redis."""


@dataclass(frozen=True, slots=True)
class Demo:
    """The folder in which the demo ran, and how it ended."""

    folder: Path
    ended: subprocess.CompletedProcess[str]

    @property
    def project(self) -> Path:
        """The folder it made."""
        return self.folder / "leadsync-demo"


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Demo:
    """A demo in an empty folder, on a machine whose settings lead elsewhere."""
    folder = tmp_path_factory.mktemp("empty")
    command = [sys.executable, "-m", "leadsync", "demo"]
    environment = os.environ | NOT_FOR_A_DEMO
    return Demo(
        folder, subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    )


def test_from_nothing_to_leads(demo: Demo) -> None:
    """It ends with 0 and shows a diff, then the counts, then that nothing is left, then three commands to try."""
    assert (demo.ended.returncode, demo.ended.stderr) == (0, "")
    shown = demo.ended.stdout
    places = [shown.index(part) for part in ("+ lead", "created  ", "no changes", "try next")]
    assert places == sorted(places)
    assert "24 leads, 24 notes" in shown
    for command in ("leadsync fields", "leadsync dry-run", "leadsync run"):
        assert command in shown[places[-1] :]
    assert "\x1b" not in shown


async def test_talks_of_three_sources_are_in_the_crm(demo: Demo) -> None:
    """At least twenty leads of all three sources stand in the look-alike, which ended with the demo."""
    assert not (demo.project / ".leadsync/sandbox.json").exists()
    async with Sandbox(demo.project / ".leadsync/sandbox.db") as sandbox:
        field = sandbox.account.fields["leads"].named("Источник")
        sources = Counter(lead.values[field.id][0]["value"] for lead in sandbox.account.leads)
    assert set(sources) == {"Telegram Bot", "Avito Messenger", "Веб-чат"}
    assert sum(sources.values()) >= 20


def test_its_files_lead_an_editor_to_their_schemas(demo: Demo) -> None:
    """The schema that the first line of each file names is there; cases beside a mapping have none."""
    mappings = [path for path in (demo.project / "mappings").iterdir() if not path.name.endswith(".tests.yaml")]
    for path in (demo.project / "leadsync.yaml", *mappings):
        first = path.read_text(encoding="utf-8").splitlines()[0]
        assert (path.parent / first.partition("$schema=")[2]).is_file()


async def test_again_changes_nothing(demo: Demo) -> None:
    """A second demo in the same folder finds nothing to do."""
    again = await process(demo.folder, "demo")
    assert (again.code, again.err) == (0, "")
    assert "created  0 contacts, 0 leads, 0 notes" in again.out
    assert "updated  0 contacts, 0 leads, 0 notes" in again.out


async def test_an_edited_mapping_shows_in_dry_run(demo: Demo) -> None:
    """What the demo says to try works: an edit of a mapping is a change of each lead of that source."""
    mapping = demo.project / "mappings/web.yaml"
    shipped = mapping.read_text(encoding="utf-8")
    mapping.write_text(shipped.replace("Заявка от", "Запрос от"), encoding="utf-8")
    ended = await process(demo.project, "dry-run", "--format", "json")
    mapping.write_text(shipped, encoding="utf-8")
    changes = orjson.loads(ended.out)["changes"]
    web = sum(one["source"] == "web" for one in sample_talks())
    assert [(one["entity"], one["action"]) for one in changes] == [("lead", "update")] * web


async def test_no_file_leads_it_elsewhere(tmp_path: Path) -> None:
    """A .env, and an edited leadsync.yaml, cannot lead the sample talks into an account or a Redis; it says so."""
    assert (await process(tmp_path, "demo")).code == 0
    project = tmp_path / "leadsync-demo"
    (project / ".env").write_text("".join(f"{name}={value}\n" for name, value in NOT_FOR_A_DEMO.items()))
    again = await process(tmp_path, "demo")
    assert again.code == 0
    assert "24 records: 0 new, 0 changed, 24 unchanged" in again.out
    assert again.err.startswith("leadsync-demo/.env is left aside")
    (project / ".env").unlink()
    settings = (project / "leadsync.yaml").read_text(encoding="utf-8")
    settings = settings.replace("${AMOCRM_SUBDOMAIN:-sandbox}", "real-firm")
    settings = settings.replace("${REDIS_URL:-embedded}", "redis://127.0.0.1:9/0")
    (project / "leadsync.yaml").write_text(settings, encoding="utf-8")
    edited = await process(tmp_path, "demo")
    assert (edited.code, edited.err) == (0, "")
    assert "24 records: 0 new, 0 changed, 24 unchanged" in edited.out


async def test_a_file_in_its_place(tmp_path: Path) -> None:
    """A file where its folder should be is told, without a stack trace."""
    (tmp_path / "leadsync-demo").write_text("")
    ended = await process(tmp_path, "demo")
    assert (ended.code, ended.out) == (78, "")
    assert "leadsync-demo" in ended.err
    assert "Traceback" not in ended.err
