"""The project that a command works on."""

from __future__ import annotations

from pathlib import Path

from leadsync.config.loader import Project, load_project


def open_project(config: str | None) -> Project:
    """The project that `--config` names, or the one found without it. Raises ConfigurationError."""
    return load_project(Path(config) if config else None)
