"""What a template can give, as far as it shows without a record."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leadsync.mapping.possible_texts import MOST, PossibleText, possible_texts
from tests.mapping.made import CONTEXT, desired, mapper, record

TABLES = CONTEXT.tables


def shown(source: str) -> tuple[list[str], bool]:
    """The texts and whether they are all."""
    found = possible_texts(source, TABLES)
    return [one.text for one in found.texts], found.whole


@pytest.mark.parametrize(
    ("source", "texts", "whole"),
    [
        ("Москва", ["Москва"], True),
        ("  Москва\n", ["Москва"], True),
        ("", [], True),
        ("{{ 'a' }}", ["a"], True),
        ("{{ none }}{# nothing #}", [], True),
        ("{{ 5 }} кг", ["5 кг"], True),
        ("{{ source | lookup('source_names') }}", ["Telegram Bot", "Avito Messenger"], True),
        ("{{ source | lookup('source_names', 'Сайт') }}", ["Telegram Bot", "Avito Messenger", "Сайт"], True),
        ("{{ source | lookup('source_names') or 'Сайт' }}", ["Telegram Bot", "Avito Messenger", "Сайт"], True),
        ("из {{ source | lookup('source_names') }}", ["из Telegram Bot", "из Avito Messenger", "из"], True),
        ("{{ 'a' if budget else 'b' }}", ["a", "b"], True),
        ("{{ 'a' if budget }}", ["a"], True),
        ("{% if budget %}a{% elif phone %}b{% else %}c{% endif %}", ["a", "b", "c"], True),
        ("{% if budget %}a{% endif %}", ["a"], True),
        ("{% if a %}{% if b %}1{% else %}2{% endif %}x{% endif %}", ["1x", "2x"], True),
        ("{{ budget }}", [], False),
        ("{{ budget or 'нет' }}", ["нет"], False),
        ("{{ budget | default('нет') }}", ["нет"], False),
        ("{{ budget | d('нет', true) }}", ["нет"], False),
        ("{% if budget %}{{ budget }}{% else %}нет{% endif %}", ["нет"], False),
        ("от {{ budget }}", [], False),
        ("{{ 'a' | upper }}", [], False),
        ("{{ source | lookup(table) }}", [], False),
        ("{{ source | lookup('no_such_table') }}", [], False),
        ("{{ source | lookup(table='source_names') }}", [], False),
        ("{% for m in messages %}x{% endfor %}", [], False),
        ("{% set a = 1 %}{{ a }}", [], False),
        ("{{ 'a' ", [], False),
        ("{{ " + "(" * 3000, [], False),
    ],
)
def test_what_a_template_can_give(source: str, texts: list[str], whole: bool) -> None:
    """Constants, rows of tables and choices between them are known; what depends on a record is left open."""
    assert shown(source) == (texts, whole)


def test_a_row_is_remembered_where_the_text_is_the_row() -> None:
    """What comes out of a table as it is says out of which row; what something was added to does not."""
    assert possible_texts("{{ source | lookup('source_names') }}\n", TABLES).texts[0] == PossibleText(
        "Telegram Bot", ("source_names", "telegram")
    )
    assert possible_texts("из {{ source | lookup('source_names') }}", TABLES).texts[0].row is None


def test_what_grows_without_bound_is_left_open() -> None:
    """More than a thousand texts are as good as any text, and found out at once."""
    template = "{{ 'a' if x else 'b' }}"
    assert len(possible_texts(template * 9, TABLES).texts) == 512 <= MOST
    assert possible_texts(template * 400, TABLES) == possible_texts("{{ anything }}", TABLES)


CHOICES = st.recursive(
    st.sampled_from(["'a'", "''", "none", "source | lookup('source_names')", "source | lookup('source_names', 'x')"]),
    lambda inner: (
        st.builds("({0} if budget else {1})".format, inner, inner)
        | st.builds("({0} or {1})".format, inner, inner)
        | st.builds("({0} | default('d', true))".format, inner)
    ),
    max_leaves=6,
)


@given(st.lists(CHOICES, min_size=1, max_size=3), st.sampled_from(["telegram", "avito", "fax"]), st.booleans())
def test_what_a_record_gives_was_foreseen(tmp_path_factory, choices, source, has_budget) -> None:
    """Whatever a record makes of a template whose texts are all known is one of them."""
    template = " ".join(f"{{{{ {one} }}}}" for one in choices)
    texts, whole = shown(template)
    folder = tmp_path_factory.mktemp("mapping")
    made = mapper(folder, f'key: k\nlead:\n  name: "{template}"')
    lead = desired(made, record(source=source, budget=5 if has_budget else None)).lead
    assert lead is not None
    assert whole
    assert {one.text for one in lead.values} <= set(texts)
