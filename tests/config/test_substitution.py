"""`${NAME}` and its forms: what they give, and that a value can neither break YAML nor be shown."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from leadsync.config.document import read_document
from leadsync.config.substitution import expand
from leadsync.errors import ConfigurationError

VARIABLES = {"HOST": "redis", "PORT": "6379", "FLAG": "true", "EMPTY": "", "ODD": "${HOST} } #: [", "DIGITS": "0123"}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("${HOST}", "redis"),
        ("${NONE:-other}", "other"),
        ("${EMPTY:-other}", "other"),
        ("${HOST:-other}", "redis"),
        ("${HOST:?why}", "redis"),
        ("${NONE:-}", ""),
        ("${NONE:-a b: c}", "a b: c"),
        ("${NONE:-${HOST}:${PORT}}", "redis:6379"),
        ("${HOST:-${NONE}}", "redis"),
        ("${NONE:-${NIL:-deep}}", "deep"),
        ("redis://${HOST}:${PORT}/0", "redis://redis:6379/0"),
        ("$${HOST}", "${HOST}"),
        ("$$${HOST}", "$${HOST}"),
        ("$HOST $ {HOST}", "$HOST $ {HOST}"),
        ("${{ budget }}", "${{ budget }}"),
        ("{% if a %}}${HOST}{% endif %}", "{% if a %}}redis{% endif %}"),
        ("${ODD}", "${HOST} } #: ["),
        ("nothing", "nothing"),
    ],
)
def test_a_reference_is_replaced(text: str, value: str) -> None:
    """Each form gives its value; what a variable holds is never read again; `${{` belongs to Jinja."""
    assert expand(text, VARIABLES).text == value
    assert not expand(text, VARIABLES).mistakes


@pytest.mark.parametrize(
    ("text", "what", "do"),
    [
        ("${HOSt}", "the variable HOSt is not set", "did you mean HOST? Otherwise set it"),
        ("${EMPTY}", "the variable EMPTY is not set", "set it in the environment or in .env"),
        ("${NIL:?ask Anna}", "the variable NIL is not set: ask Anna", "set it in the environment or in .env"),
        ("${NIL:?ask ${HOST}}", "the variable NIL is not set: ask ${HOST}", "set it"),
        ("${NIL:-${ZERO}}", "the variable ZERO is not set", "set it"),
        *(
            (text, "this ${ is no variable", "write ${NAME}")
            for text in ("${", "${}", "${1A}", "${A", "${A-b}", "${A:=b}")
        ),
        *(
            (text, "this ${ is no variable", "write ${NAME}")
            for text in ("${A:-b", "${A b}", "${NIL:-" * 20 + "}" * 20)
        ),
    ],
)
def test_a_reference_that_cannot_be_replaced_is_one_mistake(text: str, what: str, do: str) -> None:
    """It says which variable, what the file's author wrote for this case, the nearest set one, and what to do."""
    (mistake,) = expand(text, VARIABLES).mistakes
    assert mistake.what.startswith(what)
    assert mistake.do.startswith(do)


def test_a_variable_asked_for_twice_in_one_text_is_told_once() -> None:
    """Two different ones are two mistakes."""
    assert [mistake.nth for mistake in expand("${A} $${A} ${B} ${A}", {}).mistakes] == [0, 2]


@pytest.mark.parametrize(
    ("written_as", "value"),
    [
        ("${PORT}", 6379),
        ("${NONE:-7}", 7),
        ("${FLAG}", True),
        ("${NONE:-}", None),
        ("${DIGITS}", "0123"),
        ("'${PORT}'", "6379"),
        ('"${FLAG}"', "true"),
        ("x${PORT}", "x6379"),
        ("${PORT}${PORT}", "63796379"),
        ("1$${PORT}", "1${PORT}"),
        ("${ODD}", "${HOST} } #: ["),
        ("|\n  ${PORT}", "6379\n"),
        ("!!str ${PORT}", "6379"),
    ],
)
def test_a_bare_value_that_is_one_reference_gets_the_type_it_would_have_had(
    tmp_path: Path, written_as: str, value: object
) -> None:
    """A number in a variable is a number; in quotes, or with anything beside it, it is text."""
    (tmp_path / "a.yaml").write_text(f"a: {written_as}\n")
    found = read_document(tmp_path / "a.yaml", VARIABLES).data["a"]
    assert (type(found), found) == (type(value), value)


def test_the_place_is_that_of_the_reference(tmp_path: Path) -> None:
    """Inside a long text the problem stands at its own `${`, in its own line."""
    (tmp_path / "a.yaml").write_text('a: "$${NIL} ${HOST} ${NIL}"\nb: |\n  one\n  two ${NIL}\nc: "\\x24{NIL}"\n')
    with pytest.raises(ConfigurationError) as caught:
        read_document(tmp_path / "a.yaml", VARIABLES)
    places = [(problem.place.line, problem.place.column) for problem in caught.value.problems]
    assert places == [(1, 21), (4, 7), (5, 4)]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(value=st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), min_size=1))
def test_no_value_can_break_the_file_around_it(tmp_path: Path, value: str) -> None:
    """Whatever a variable holds, in quotes it is that text and the neighbours stay what they are."""
    (tmp_path / "a.yaml").write_text('a: ["${V}", 2]\nb: x ${V}\n')
    assert read_document(tmp_path / "a.yaml", {"V": value}).data == {"a": [value, 2], "b": f"x {value}"}


@settings(max_examples=300)
@given(text=st.text("$${}:-?AB ", max_size=30))
def test_any_text_is_replaced_or_told_about(text: str) -> None:
    """No text ends in an exception; one without a reference stays as it is."""
    expanded = expand(text, {"A": "value-of-a"})
    assert all("value-of-a" not in mistake.what + mistake.do for mistake in expanded.mistakes)
    if "${" not in text:
        assert expanded.text == text
