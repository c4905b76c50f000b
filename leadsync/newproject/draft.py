"""A project that is not written yet: enough of one to open its Redis and ask its account."""

from __future__ import annotations

from pathlib import Path

from pydantic import ValidationError

from leadsync.config.complaints import Complaints
from leadsync.config.document import Document
from leadsync.config.file_lines import FileLines
from leadsync.config.loader import FILE_NAME, Project
from leadsync.config.models import ProjectFile
from leadsync.config.nodes import Composer
from leadsync.errors import ConfigurationError
from leadsync.newproject.project_file import ProjectFacts, project_text
from leadsync.settings import Settings, variables


def draft_project(folder: Path, facts: ProjectFacts) -> Project:
    """The project that these facts would give in a folder, with the folder's `.env`; nothing is written.

    It has no sources. Raises ConfigurationError for what cannot stand in leadsync.yaml.
    """
    settings = Settings.load(folder)
    path = folder.absolute() / FILE_NAME
    lines = FileLines(f"the new {FILE_NAME}", project_text(facts))
    composer = Composer(lines, variables(folder))
    root = composer.compose()
    problems = composer.problems
    if root is not None and not problems:
        document = Document(path, root.value, root, lines)
        try:
            file = ProjectFile.model_validate(root.value)
        except ValidationError as error:
            problems = Complaints(document, ProjectFile).problems(error)
        else:
            return Project(path, path.parent, file, document, {}, settings)
    what = "a project cannot be made of these options and variables"
    raise ConfigurationError(what, do="correct the option, or the variable in .env", problems=problems)
