"""Templates: none where data has no key, loud where the mapping has a mistake, and every mistake at its line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from leadsync.errors import ConfigurationError, TemplateFailed
from tests.mapping.made import desired, mapper, record, rendered

TALK = [{"role": "user", "text": "да"}, {"role": "bot", "text": "нет"}]
DATA = {
    "city": None,
    "address": {"street": None},
    "goods": [{"name": "а"}, {"name": "б", "price": 5}],
    "_id": 7,
    "keys": 1,
}


def failure(folder: Path, template: str, **fields: Any) -> TemplateFailed:
    with pytest.raises(TemplateFailed) as caught:
        rendered(folder, template, record(messages=TALK, metadata=DATA, **fields))
    return caught.value


def missing(folder: Path, template: str) -> tuple[str, ...]:
    made = mapper(folder, f'key: k\nlead:\n  name: "{template}"')
    return desired(made, record(messages=TALK, metadata=DATA)).missing


@pytest.mark.parametrize(
    ("template", "shown"),
    [
        ("{{ metadata.city }}|{{ metadata.village }}|{{ metadata['village'] }}", "||"),
        ("{{ metadata.village.street.house }}|{{ metadata.city.street }}|{{ metadata.address.street.house }}", "||"),
        ("{{ metadata.village | default('нет') }}|{{ metadata.city | d('нет') }}", "нет|нет"),
        (
            "{{ metadata.a.b.c | default('нет') }}|{{ '' | default('нет', true) }}|{{ '' | default('нет') }}x",
            "нет|нет|x",
        ),
        ("{{ metadata.village is defined }}|{{ metadata.city is defined }}", "False|True"),
        ("{{ metadata.village is none }}|{{ metadata.city is none }}|{{ 5 is none }}", "True|True|False"),
        (
            "{{ metadata.village == none }}|{{ metadata.village == metadata.town }}|{{ metadata.village == 'x' }}",
            "True|True|False",
        ),
        ("{{ metadata.village in ['x'] }}|{{ metadata.village in [none] }}", "False|True"),
        ("{{ {metadata.village: 1}[none] }}", "1"),
        ("{{ 'да' if metadata.village else 'нет' }}", "нет"),
        ("{{ 'да' if metadata.village }}", ""),
        ("{% for x in metadata.village %}x{% endfor %}{% for x in metadata.city %}x{% endfor %}", ""),
        ("{% for good in metadata.goods %}{{ good.name }}{{ good.price }}{% endfor %}", "аб5"),
        ("{{ metadata.goods | map(attribute='price') | join('-') }}", "5"),
        ("{{ metadata.goods | length }}", "2"),
        ("{{ messages | selectattr('role', 'equalto', 'bot') | map(attribute='text') | first }}", "нет"),
        ("{{ messages[5].text }}|{{ [] | first }}|{{ ([] | first).text }}", "||"),
        ("{{ messages[-1].text }}{{ messages[0]['text'] }}", "нетда"),
        ("{{ metadata.keys }}|{{ metadata.items() | length }}|{{ metadata._id }}", "1|5|7"),
        (
            "{{ user_name | upper }}|{{ user_name | replace('a', 'b') }}|{{ user_name | trim }}",
            "||",
        ),
        ("{{ user_name ~ 'x' ~ metadata.village ~ 5 }}", "x5"),
        ("{{ '%s!' % user_name }}|{{ '%s-%s' % (user_name, 'a') }}|{{ '%s!' | format(user_name) }}", "!|-a|!"),
        ("{{ '{}!'.format(user_name) }}|{{ '{x:>3}!'.format(x=5) }}|{{ '{0.city}!'.format(metadata) }}", "!|  5!|!"),
        ("{{ user_name[:3] }}|{{ metadata.village[:3] }}|{{ 'Иван'[1:3] }}|{{ user_name.split()[0] }}", "||ва|"),
        (
            "{{ [user_name, 'а', metadata.village, 'б'] | join(', ') }}|{{ ['а', 'б'] | map('upper') | join }}",
            "а, б|АБ",
        ),
        ("{{ messages[0] }}|{{ messages }}", "user: да|user: да\nbot: нет"),
        ("{{ {'a': 1} }}|{{ 1.5 }}|{{ [] }}", "{'a': 1}|1.5|[]"),
        ("{{ ', '.join(messages | map(attribute='text')) }}", "да, нет"),
        (
            "{% for m in messages %}{{ loop.index }}{{ loop.previtem.text }}{{ loop.last }} {% endfor %}",
            "1False 2даTrue",
        ),
        ("{% for m in messages if m.role == 'bot' %}{{ loop.length }}{{ m.text }}{% else %}-{% endfor %}", "1нет"),
        ("{% set c = metadata.address %}{% set x %}a{{ c.street }}{% endset %}{{ x }}", "a"),
        ("{% macro f(x) %}<{{ x }}>{% endmacro %}{{ f('а') }}{{ f(user_name) }}", "<а><>"),
        ("{% filter upper %}а{{ user_name }}{% endfilter %}", "А"),
        ("{% set ns = namespace(n=0) %}{% for m in messages %}{% set ns.n = ns.n + 1 %}{% endfor %}{{ ns.n }}", "2"),
        ("{{ cycler('а', 'б').next() }}{{ dict(a=1).a }}{{ range(3) | list }}", "а1[0, 1, 2]"),
        (
            "{{ 7 * 2 }}|{{ 'аб' * 2 }}|{{ [1] + [2] }}|{{ 2 ** 10 }}|{{ 2 ** -1 }}|{{ 7 % 4 }}|{{ 2 * 'а' }}",
            "14|абаб|[1, 2]|1024|0.5|3|аа",
        ),
        ("{% for x in [1, [2, [3]]] recursive %}{{ x if x is number else loop(x) }}{% endfor %}", "123"),
        ("{{ extra_key }}{{ range2 | default('-') }}", "x-"),
        ("{{ 'a' if nobody is defined else 'b' }}", "b"),
        ("{{ metadata.goods[0]['name'] }}{{ metadata[user_name] }}{{ metadata[[1]] }}", "а"),
        ("{# nothing #}", ""),
        ("{{ utm.source | default('-') }}{{ utm.a.b is defined }}", "-False"),
        ("{{ metadata.village | attr('x') }}{{ 5 is number }}{{ 'upper' is filter }}", "TrueTrue"),
        ("{{ 'Ы'.lower() }}{{ 'ы'.center(3) }}|{{ 'a,b'.split(',') | last }}", "ы ы |b"),
    ],
)
def test_what_templates_make_of_ragged_data(tmp_path: Path, template: str, shown: str) -> None:
    """A key that is not there is none, none prints nothing, and the word None never reaches a CRM."""
    assert rendered(tmp_path, template, record(messages=TALK, metadata=DATA, extra_key="x")) == shown


@pytest.mark.parametrize(
    ("template", "paths"),
    [
        ("{{ metadata.village }}", ("metadata.village",)),
        ("{{ metadata['village'] }}", ("metadata.village",)),
        ("{{ metadata.village.street }}", ("metadata.village",)),
        ("{{ metadata.city.street }}", ("metadata.city.street",)),
        ("{{ metadata.address.house }}{{ metadata.address.house }}", ("metadata.address.house",)),
        ("{% for g in metadata.goods %}{{ g.price }}{% endfor %}", ("metadata.goods.price",)),
        (
            "{{ metadata.goods[0].price }}{{ (metadata.goods | first).size }}",
            ("metadata.goods.price", "metadata.goods.size"),
        ),
        ("{% set a = metadata.address %}{{ a.house }}", ("metadata.address.house",)),
        ("{% for m in messages %}{{ m.author }}{% endfor %}", ("messages.author",)),
        ("{{ metadata.goods | map(attribute='size') | join }}", ("size",)),
        ("{{ user_name.first }}", ("user_name.first",)),
        ("{{ metadata.city }}", ()),
        ("{{ metadata.village | default('') }}", ()),
        ("{{ metadata.village.street | d('') }}", ()),
        ("{{ metadata.village is defined }}{{ metadata.village is none }}", ()),
        ("{{ metadata[source] }}{{ messages[9].text }}", ()),
    ],
)
def test_missing_keys_are_reported_by_path(tmp_path: Path, template: str, paths: tuple[str, ...]) -> None:
    """The report learns what the data did not have, but not what the template allowed for, nor any computed key."""
    assert missing(tmp_path, template) == paths


def test_missing_keys_are_those_of_one_record(tmp_path: Path) -> None:
    """The next record begins anew."""
    made = mapper(tmp_path, 'key: "{{ metadata.a }}k"\nlead:\n  name: "{{ metadata.b }}"')
    assert desired(made, record()).missing == ("metadata.a", "metadata.b")
    assert desired(made, record(metadata={"a": 1, "b": 2})).missing == ()


@pytest.mark.parametrize(
    "template",
    [
        "{{ usr_name }}",
        "{{ usr_name | upper }}",
        "{{ usr_name | phone }}",
        "{{ usr_name or 'x' }}",
        "{{ usr_name ~ 'x' }}",
        "{{ usr_name.first }}",
        "{{ usr_name['first'] }}",
        "{% if usr_name %}x{% endif %}",
        "{% for x in usr_name %}x{% endfor %}",
        "{{ [usr_name] | join }}",
        "{{ 'x' == usr_name }}",
        "{{ '%s' % usr_name }}",
        "{{ usr_name() }}",
        "{{ usr_name is none }}",
        "{{ usr_name is string }}",
        "{{ usr_name.first is none }}",
        "{{ metadata[usr_name] }}",
    ],
)
def test_an_unknown_name_is_a_mistake(tmp_path: Path, template: str) -> None:
    """Whatever is done with it: told with its field, file, line, expression and the nearest name."""
    error = failure(tmp_path, template, user_name="Тайна")
    assert "`usr_name`" in error.what
    assert template.split("%}")[0].rstrip(" %}") in error.what
    assert error.field == "lead.name"
    assert str(error.where).endswith("mapping.yaml:4:5")
    assert error.do is not None
    assert "did you mean `user_name`" in error.do
    assert "Тайна" not in str(error)


def test_a_name_that_stands_in_the_data_is_told_with_its_path(tmp_path: Path) -> None:
    """`{{ city }}` for `{{ metadata.city }}`: the whole path is named, also where another name is like it."""
    error = failure(tmp_path, "{{ _id }}")
    assert error.do is not None
    assert error.do.startswith("did you mean `metadata._id`? Otherwise correct the name")


def test_a_table_without_quotes_is_told_as_one(tmp_path: Path) -> None:
    """A name that is a table's wants quotes, and is not taken for a slip in some name of the record."""
    error = failure(tmp_path, "{{ source | lookup(source_names) }}")
    assert error.do is not None
    assert error.do.startswith("did you mean the table 'source_names', in quotes?")


def test_an_unknown_name_without_a_neighbour(tmp_path: Path) -> None:
    """Nothing near: the advice is how to allow for its absence."""
    error = failure(tmp_path, "{{ zzzzzz }}")
    assert error.do == "correct the name, or allow for its absence: `zzzzzz | default('')`"


def test_the_line_of_a_failure_is_the_files(tmp_path: Path) -> None:
    """The line within a block of text is added to where the block begins."""
    text = "key: k\nlead: {}\nnote: |\n  раз\n  {% for m in messages %}\n  {{ m.text }}\n  {{ wat }}\n  {% endfor %}\n"
    with pytest.raises(TemplateFailed) as caught:
        desired(mapper(tmp_path, text), record(messages=TALK))
    assert str(caught.value.where) == f"{tmp_path / 'mapping.yaml'}:7"
    assert "{{ wat }}" in caught.value.what


@pytest.mark.parametrize(
    ("template", "what"),
    [
        ("{{ 1 / metadata.goods[1].price - 5 / 0 }}", "divides by zero"),
        ("{{ 'а' + 5 }}", "do not go together"),
        ("{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}", "calls itself without end"),
        ("{{ metadata.village + 5 }}", "`metadata.village`"),
        ("{{ messages.append(1) }}", "`messages.append`"),
        ("{{ 'x'.splt() }}", "used as if it were there"),
        ("{{ loop.index }}", "`loop`"),
        ("{% for m in messages %}{{ loop.indx }}{% endfor %}", "`loop.indx`"),
        ("{% set ns = namespace() %}{{ ns.x }}", "`ns.x`"),
        ("{{ 'Тайна' | int('x') | round }}", "TypeError"),
        ("{{ '{' .format(1) }}", "ValueError"),
    ],
)
def test_other_mistakes_are_told_without_their_data(tmp_path: Path, template: str, what: str) -> None:
    """A failing expression is a failed template with its place, never another exception and never a value."""
    error = failure(tmp_path, template)
    assert what in error.what
    assert error.do
    assert error.__cause__ is None
    assert error.__context__ is None


@pytest.mark.parametrize(
    "template",
    [
        "{{ ''.__class__ }}",
        "{{ ''.__class__.__mro__ }}",
        "{{ ''['__class__'] }}",
        "{{ metadata.__class__ }}",
        "{{ messages[0].__dict__ }}",
        "{{ messages[0]._secret }}",
        "{{ messages | map(attribute='__class__') | list }}",
        "{{ '' | attr('__class__') }}",
        "{{ '{0.__class__}'.format(1) }}",
        "{{ '{x}'.format_map(metadata) }}",
        "{{ metadata.update({}) }}",
        "{{ metadata.goods.append(1) }}",
        "{{ range.__init__ }}",
        "{{ ''.__class__ is defined }}",
    ],
)
def test_the_sandbox_is_closed(tmp_path: Path, template: str) -> None:
    """Internals and changes are refused at once, also where the value would not be used."""
    assert "sandbox" in failure(tmp_path, template).what


def test_every_template_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    """All mistakes of a file at once, each with its line, the lines around it and the nearest name."""
    text = """key: "{{ id "
when: "{{ phone | pone }}"
contact:
  name: "{{ user_name is stringg }}"
  fields:
    12: "{{ source | lookup('sorce_names') }}"
lead:
  price: {value: "{{ budget | mony }}", write: overwrite}
  tags: [a, "{% include 'x' %}"]
note: |
  раз
  {% block x %}{% endblock %}
  {% for m in messages %}
  {{ m | datetme }}
  {% endfor %}
"""
    with pytest.raises(ConfigurationError) as caught:
        mapper(tmp_path, text)
    problems = [(problem.place.line, problem.what, problem.do) for problem in caught.value.problems]
    assert [line for line, _, _ in problems] == [1, 2, 4, 6, 8, 9, 12, 14]
    assert "cannot be read: unexpected end of template" in problems[0][1]
    assert problems[1:] == [
        (2, "there is no filter `pone`", "did you mean phone?"),
        (4, "there is no test `stringg`", "did you mean string?"),
        (6, "there is no table `sorce_names`", "did you mean source_names?"),
        (8, "there is no filter `mony`", "did you mean money?"),
        (9, "`include` does not work here: a value of a mapping stands alone", "write it out in this value"),
        (12, "`block` does not work here: a value of a mapping stands alone", "write it out in this value"),
        (14, "there is no filter `datetme`", "did you mean datetime?"),
    ]
    assert caught.value.exit_code == 78
    assert all(problem.lines for problem in caught.value.problems)


@pytest.mark.parametrize(
    "template",
    [
        "{{ " + "(" * 2000 + "1" + ")" * 2000 + " }}",
        "{{ a" + ".b" * 3000 + " }}",
        "{% if 1 %}" * 120 + "{% endif %}" * 120,
    ],
)
def test_a_template_without_bottom_is_a_mistake_in_the_file(tmp_path: Path, template: str) -> None:
    """What Python cannot compile is told like any other mistake."""
    with pytest.raises(ConfigurationError, match="nested too deeply"):
        rendered(tmp_path, template)


def test_half_an_emoji_in_data_does_not_stop_a_template(tmp_path: Path) -> None:
    """Such a text could not be sent."""
    assert rendered(tmp_path, "{{ metadata.x }}", record(metadata={"x": "да\ud83d"})) == "да?"


@pytest.mark.parametrize("name", ["lipsum()", "1 | random", "1 | pprint"])
def test_what_would_differ_between_runs_is_left_out(tmp_path: Path, name: str) -> None:
    """The same record gives the same answer."""
    with pytest.raises((TemplateFailed, ConfigurationError)):
        rendered(tmp_path, f"{{{{ {name} }}}}")
