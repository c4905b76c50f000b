"""Bounds: a template that would run or grow without end is told so, at once and without taking the memory."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import pytest

from leadsync.errors import TemplateFailed
from leadsync.mapping.bounds import MAX_TEXT, TooMuch, check_growth
from tests.mapping.made import record, rendered

BIG = "'x' * 900000"


def refused(folder: Path, template: str) -> str:
    """Why a template is refused."""
    with pytest.raises(TemplateFailed) as caught:
        rendered(folder, template, record(metadata={"a": [1, 2]}))
    return caught.value.what


@pytest.mark.parametrize(
    "template",
    [
        "{% for i in range(100000) %}{% for j in range(100000) %}{% endfor %}{% endfor %}",
        "{% for i in range(90000) %}{{ range(90000) | sum }}{% endfor %}",
        "{% macro f(n) %}{% if n %}{{ f(n - 1) }}{{ f(n - 1) }}{% endif %}{% endmacro %}{{ f(60) }}",
        "{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}",
        "{% for x in [1, 2] recursive %}{{ loop([1, 2]) }}{% endfor %}",
        "{% for x in range(90000) | map('string') | map('upper') | map('lower') %}{{ x }}{% endfor %}",
        "{% set ns = namespace(s=['x']) %}{% for i in range(60) %}{% set ns.s = [ns.s, ns.s] %}{% endfor %}{{ ns.s }}",
        "{% set n = namespace(s={}) %}{% for i in range(60) %}{% set n.s = {1: n.s, 2: n.s} %}{% endfor %}{{ n.s }}",
    ],
)
def test_what_would_not_end_is_refused(tmp_path: Path, template: str) -> None:
    """Nested loops, chains of filters, recursion, and lists that hold themselves twice."""
    assert "steps" in refused(tmp_path, template) or "without end" in refused(tmp_path, template)


@pytest.mark.parametrize(
    "template",
    [
        "{{ range(10 ** 9) }}",
        "{{ 'x' * 10 ** 9 }}",
        "{{ 10 ** 9 * 'x' }}",
        "{{ [0] * 10 ** 9 }}",
        "{{ 10 ** (10 ** 9) }}",
        "{% set ns = namespace(n=9) %}{% for i in range(60) %}{% set ns.n = ns.n * ns.n %}{% endfor %}{{ ns.n }}",
        "{% set ns = namespace(s='x') %}{% for i in range(60) %}{% set ns.s = ns.s ~ ns.s %}{% endfor %}{{ ns.s }}",
        "{% set ns = namespace(s='x') %}{% for i in range(60) %}{% set ns.s = ns.s + ns.s %}{% endfor %}{{ ns.s }}",
        "{% set ns = namespace(s=[1]) %}{% for i in range(60) %}{% set ns.s = ns.s + ns.s %}{% endfor %}{{ ns.s }}",
        "{{ '%0999999999d' % 1 }}",
        "{{ '%.999999999f' % 1 }}",
        "{{ '%*d' % (999999999, 1) }}",
        "{{ '%999999999d' | format(1) }}",
        f"{{% set b = {BIG} %}}{{{{ '%s%s%s%s%s%s%s%s%s%s%s%s%s%s%s%s%s%s%s%s%s%s%s%s%s' % ([b] * 25) }}}}",
        "{{ '{:>999999999}'.format(1) }}",
        "{{ '{:{w}}'.format(1, w=999999999) }}",
        f"{{% set b = {BIG} %}}{{{{ '{{0}}{{0}}{{0}}{{0}}'.format(b) }}}}",
        "{{ 'x' | center(10 ** 9) }}",
        "{{ 'x'.center(10 ** 9) }}",
        "{{ 'x'.ljust(width=10 ** 9) }}",
        "{{ 'x'.zfill(10 ** 9) }}",
        "{{ '\\t'.expandtabs(10 ** 9) }}",
        "{{ (1).to_bytes(10 ** 9, 'big') }}",
        "{{ 'x\\nx' | indent(10 ** 9) }}",
        "{{ [1, 2] | batch(10 ** 9, 'x') | list }}",
        "{{ [1, 2] | slice(10 ** 9) | list }}",
        "{{ metadata | tojson(indent=10 ** 9) }}",
        f"{{{{ ({BIG}) | replace('x', {BIG}) }}}}",
        f"{{{{ ({BIG}).replace('x', {BIG}) }}}}",
        f"{{{{ ({BIG}).join({BIG}) }}}}",
        f"{{{{ ({BIG}) | join({BIG}) }}}}",
        f"{{{{ 'x'.translate({{120: {BIG}}}) * 9 }}}}",
        f"{{{{ ({BIG}) | wordwrap(1) }}}}",
        f"{{% set b = {BIG} %}}{{% for i in range(9) %}}{{{{ b }}}}{{% endfor %}}",
        f"{{% set b = {BIG} %}}{{% set c %}}{{% for i in range(9999) %}}{{{{ b }}}}{{% endfor %}}{{% endset %}}",
        f"{{% set b = {BIG} %}}{{% for i in range(90000) %}}{{{{ b | upper | length }}}}{{% endfor %}}",
        f"{{% set b = {BIG} %}}{{% for i in range(90000) %}}{{{{ b.upper() | length }}}}{{% endfor %}}",
        f"{{% set b = {BIG} %}}{{{{ [b, b] }}}}",
    ],
)
def test_what_would_be_huge_is_refused_before_it_is(tmp_path: Path, template: str) -> None:
    """Doubling, and every filter, method and operator that multiplies: refused within 64 MB."""
    tracemalloc.start()
    try:
        refused(tmp_path, template)
        assert tracemalloc.get_traced_memory()[1] < 64 * 2**20
    finally:
        tracemalloc.stop()


def test_the_bounds_leave_room_for_real_talks(tmp_path: Path) -> None:
    """A talk of five thousand messages is printed whole."""
    talk = [{"role": "user", "text": f"сообщение {number}", "at": 1793523600 + number} for number in range(5000)]
    template = "{% for m in messages %}\n{{ m.at | datetime }} {{ m.role | upper }}: {{ m.text | plain }}\n{% endfor %}"
    assert len(rendered(tmp_path, template, record(messages=talk)).splitlines()) == 5000


def test_an_output_of_the_greatest_length(tmp_path: Path) -> None:
    """The bound is the bound, not less."""
    assert len(rendered(tmp_path, f"{{{{ 'x' * {MAX_TEXT} }}}}")) == MAX_TEXT


def test_each_template_has_its_own_steps(tmp_path: Path) -> None:
    """What one value took is not missing to the next."""
    loop = "{% for i in range(99999) %}{% endfor %}x"
    for _ in range(5):
        assert rendered(tmp_path, loop) == "x"


def test_only_what_grows_is_looked_at() -> None:
    """A number given to a filter that does not multiply is just a number."""
    check_growth("truncate", "x", [10**9])
    with pytest.raises(TooMuch):
        check_growth("center", "x", [10**9])
