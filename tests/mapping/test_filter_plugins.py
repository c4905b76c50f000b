"""Filter plugins: packages that bring filters of their own through the entry point group `leadsync.filters`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from leadsync.errors import ConfigurationError
from leadsync.plugins import installed
from tests.mapping.made import record, rendered

Install = Callable[..., None]

CODE = """
from jinja2 import pass_environment

def shout(value, sign="!"):
    return "nobody" if value is None else str(value).upper() + sign

@pass_environment
def country(environment, value):
    return environment.project.country

def broken(value):
    raise KeyError(value)

many = {"shout2": shout, "country": country, "broken": broken}
clash = {"money": shout}
number = 5
"""


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Install]:
    """Put a package with these entry points where Python finds it, for one test."""
    site = tmp_path / "site"

    def install(**points: str) -> None:
        info = site / "filters_of_a_test-1.0.dist-info"
        info.mkdir(parents=True)
        (site / "filters_of_a_test.py").write_text(CODE)
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: filters-of-a-test\nVersion: 1.0\n")
        lines = "".join(f"{name} = filters_of_a_test:{target}\n" for name, target in points.items())
        (info / "entry_points.txt").write_text(f"[leadsync.filters]\n{lines}")
        monkeypatch.syspath_prepend(site)
        installed.cache_clear()

    yield install
    installed.cache_clear()


def test_a_function_is_a_filter_by_the_name_of_its_entry_point(tmp_path: Path, install: Install) -> None:
    """It gets none for a key that is missing, and arguments like any filter."""
    install(shout="shout")
    assert rendered(tmp_path, "{{ 'да' | shout }} {{ 'да' | shout('?') }} {{ metadata.x | shout }}") == "ДА! ДА? nobody"


def test_a_mapping_brings_several_filters(tmp_path: Path, install: Install) -> None:
    """By the names in the mapping; a filter may ask for the environment and what the project says."""
    install(many="many")
    assert rendered(tmp_path, "{{ 'а' | shout2 }} {{ 1 | country }}") == "А! RU"


def test_an_exception_of_a_plugin_shows_no_data(tmp_path: Path, install: Install) -> None:
    """It is a failed template like any other."""
    install(many="many")
    with pytest.raises(Exception, match="an expression fails") as caught:
        rendered(tmp_path, "{{ user_name | broken }}", record(user_name="Тайна"))
    assert "Тайна" not in str(caught.value)


@pytest.mark.parametrize(
    ("target", "what"), [("number", "cannot be called"), ("clash", "two plugins"), ("no", "imported")]
)
def test_a_plugin_that_does_not_fit(tmp_path: Path, install: Install, target: str, what: str) -> None:
    """Something that is no filter, a name that is taken, a name that is not in the module."""
    install(zzz=target)
    with pytest.raises(ConfigurationError, match=what):
        rendered(tmp_path, "x")
