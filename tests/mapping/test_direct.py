"""Direct: what is put together without Jinja is what Jinja would have made, and templates do not see each other."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from leadsync.config.document import read_document
from leadsync.errors import TemplateFailed
from leadsync.mapping.bounds import MAX_TEXT
from leadsync.mapping.environment import MappingEnvironment
from leadsync.mapping.templates import Compiler, Template
from tests.mapping.made import CONTEXT, desired, mapper, record

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.just("\ud83d"),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(["a", "items", "_id"]), inner),
    max_leaves=4,
)
paths = st.sampled_from(["a", "b", "self", "a.a", "a.items", "a._id", "a['a']", "b.a.items", "a.b", "c", "range"])
templates = st.lists(st.sampled_from(["x", " \n", "\n"]) | paths.map(lambda path: f"{{{{ {path} }}}}"), max_size=4)


def compiled(folder: Path, source: str) -> Template:
    path = folder / "mapping.yaml"
    path.write_text("key: k", encoding="utf-8")
    return Compiler(read_document(path, {}), MappingEnvironment(CONTEXT)).compile(source, "key")


def outcome(template: Template, found: dict[str, Any]) -> tuple[str, dict[str, None]]:
    """The text, or why there is none; and the keys that were missing."""
    template.environment.missing.clear()
    try:
        text = template.render(found)
    except TemplateFailed as error:
        text = f"refused: {error}"
    return text, dict(template.environment.missing)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(templates.map("".join), st.dictionaries(st.sampled_from(["a", "b", "self"]), values))
@example("{{ a }}", {"a": "x" * (MAX_TEXT + 1)})
@example("{{ a }}", {"a": 10**5000})
@example("{{ a.items }}", {"a": {"items": "text"}})
@example("{{ self }}", {"self": "text"})
def test_the_text_is_what_jinja_makes(tmp_path: Path, source: str, found: dict[str, Any]) -> None:
    """The same text, the same refusal and the same missing keys, whatever the values are."""
    template = compiled(tmp_path, source)
    if template.code is not None:
        by_jinja = replace(template, code=replace(template.code, pieces=None))
        names = {**template.environment.globals, **found}
        assert outcome(template, names) == outcome(by_jinja, names)


@pytest.mark.parametrize(
    ("source", "is_direct"),
    [
        ("{{ source }}:{{ id }}", True),
        ("Заявка {{ metadata['utm source'] }}", True),
        ("{{ user_name | upper }}", False),
        ("{% if phone %}{{ phone }}{% endif %}", False),
        ("{{ messages[0] }}", False),
    ],
)
def test_texts_and_names_alone_need_no_jinja(tmp_path: Path, source: str, is_direct: bool) -> None:
    """Only where nothing is computed is Jinja left out."""
    template = compiled(tmp_path, source)
    assert template.code is not None
    assert (template.code.pieces is not None) == is_direct


@pytest.mark.parametrize("setting", ["{% set x = 'seen' %}", "{% if true %}{% set x = 'seen' %}{% endif %}"])
def test_what_a_template_sets_no_other_sees(tmp_path: Path, setting: str) -> None:
    """A name that one value of a mapping sets is unknown to the others, before it and after it."""
    body = f'key: "{{{{ id }}}}"\nlead:\n  name: "{setting}{{{{ x | upper }}}}"\n'
    lead = desired(mapper(tmp_path, body), record()).lead
    assert lead is not None
    assert lead.values[0].text == "SEEN"
    for place in ("fields: {A: \"{{ x | default('hidden') }}\"}", "price: \"{{ x | default('hidden') }}\""):
        lead = desired(mapper(tmp_path, f"{body}  {place}\n"), record()).lead
        assert lead is not None
        assert [one.text for one in (*lead.values, *lead.fields)][-1] == "hidden"
