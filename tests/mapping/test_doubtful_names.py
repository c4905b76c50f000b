"""Names that look like a slip of the finger are doubted before a record is read."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from leadsync.config.document import read_document
from leadsync.config.loader import LoadedMapping
from leadsync.config.models import MappingFile
from leadsync.mapping.doubtful_names import RECORD_NAMES, doubtful_names
from leadsync.mapping.environment import plugin_filters
from tests.mapping.made import rendered


def doubts(folder: Path, text: str, tables: Sequence[str] = ()) -> list[tuple[int, int, str]]:
    """Line, column and sentence of each."""
    path = folder / "mapping.yaml"
    path.write_text(text, encoding="utf-8")
    document = read_document(path, {})
    found = doubtful_names(LoadedMapping(path, MappingFile.model_validate(document.data), document), tables)
    return [(one.place.line, one.place.column, f"{one.what}; {one.do}") for one in found]


@pytest.mark.parametrize("name", sorted(RECORD_NAMES))
def test_a_name_of_every_record_is_none(tmp_path: Path, name: str) -> None:
    """What is held for a name of every record can be read from the emptiest one."""
    rendered(tmp_path, f"{{{{ {name} }}}}")
    assert doubts(tmp_path, f'key: "{{{{ {name} }}}}"\nlead: {{}}\n') == []


def test_every_value_of_a_mapping_is_looked_at(tmp_path: Path) -> None:
    """Key, condition, texts in both forms, fields, tags and notes: each doubt with its line and the nearest name."""
    text = """\
key: "{{ sourc }}:{{ id }}"
when: "{{ phon }}"
contact:
  name: "{{ usr_name }}"
  fields:
    Telegram: {value: "{{ meta_data.username }}", write: create}
lead:
  price: "{{ bugdet }}"
  tags: [a, "{{ product_intrest }}"]
note: |
  {% for m in mesages %}
  {{ m.text }}
  {% endfor %}
  {{ usr_name }} {{ usr_name }}
"""
    found = doubts(tmp_path, text)
    assert [(line, column, told.split("`")[1], told.split("`")[3]) for line, column, told in found] == [
        (1, 7, "sourc", "source"),
        (2, 8, "phon", "phone"),
        (4, 10, "usr_name", "user_name"),
        (6, 24, "meta_data", "metadata"),
        (8, 11, "bugdet", "budget"),
        (9, 14, "product_intrest", "product_interest"),
        (11, 3, "mesages", "messages"),
        (14, 0, "usr_name", "user_name"),
    ]
    assert found[0][2] == (
        "`sourc` is no field of every record; did you mean `source`? If the talks do have it, write "
        "`sourc | default('')`"
    )


@pytest.mark.parametrize("name", sorted(plugin_filters()))
def test_a_filter_of_leadsync_hides_no_doubt(tmp_path: Path, name: str) -> None:
    """A template that uses any of leadsync's own filters is looked at like another."""
    template = f"{{{{ source | {name} }}}}{{% for m in message %}}{{{{ m.text | {name} }}}}{{% endfor %}}"
    ((_, _, told),) = doubts(tmp_path, f'key: "{template}"\nlead: {{}}\n')
    assert "did you mean `messages`?" in told


def test_a_table_without_quotes_is_doubted(tmp_path: Path) -> None:
    """`lookup(source_names)` asks the record for that name: the quotes are what is missing."""
    text = 'key: "{{ source | lookup(source_names) }}"\nlead: {}\n'
    ((line, column, told),) = doubts(tmp_path, text, ["source_names"])
    assert (line, column) == (1, 7)
    assert "did you mean the table 'source_names', in quotes?" in told


@pytest.mark.parametrize(
    "template",
    [
        "{{ usr_name | default('') }}",
        "{{ usr_name.first | d('') }}",
        "{% if usr_name is defined %}x{% endif %}",
        "{{ utm.source }}",
        "{% set usr_name = 1 %}{{ usr_name }}",
        "{% for message in messages %}{{ message.text }}{{ loop.index }}{% endfor %}",
        "{{ range(3) }}{{ namespace() }}",
        "usr_name",
        "{{ usr_name",
        "{# usr_name #}",
    ],
)
def test_what_is_meant_is_not_doubted(tmp_path: Path, template: str) -> None:
    """A name somebody allowed for, made in the template, or like nothing else is no doubt."""
    assert doubts(tmp_path, f"key: k\nlead: {{}}\nnote: |\n  {template}\n") == []


def test_a_mapper_of_its_own_reads_as_it_likes(tmp_path: Path) -> None:
    """A plugin's texts are no templates of ours."""
    assert doubts(tmp_path, 'key: "{{ sourc }}"\nmapper: my_package:MyMapper\n') == []
