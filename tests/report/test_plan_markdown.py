"""A plan as Markdown: bounded, and whatever a talk holds stays inside its block."""

from __future__ import annotations

from dataclasses import replace
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from leadsync.report.plan_markdown import LONGEST, plan_markdown
from leadsync.sync.changes import Change, FieldChange
from leadsync.sync.results import Plan
from tests.report.plans import rich_plan

GITHUB = 65_536
"""Characters of a comment, at most (GitHub docs: REST API, issue comments)."""

EVIL = (
    "```",
    "\n```\n# broken out",
    "~~~",
    "</details></details><script>alert(1)</script>",
    "|||",
    "<!--",
    "\r\n\r\n<b>",
    "@somebody #1 `code` *bold* [a](http://b)",
    "\x1b[31m",
    "\u2028```\u2028",
    "\t```",
    "    ```",
    "<![CDATA[",
)


def document(plan: Plan) -> str:
    """The plan as Markdown."""
    return plan_markdown(plan, requests_per_second=6.5)


class _Tags(HTMLParser):
    """The tags of a piece of HTML, in their order."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attributes: object) -> None:
        self.found.append(f"{tag} {attributes}")

    def handle_endtag(self, tag: str) -> None:
        self.found.append(f"/{tag}")

    def handle_comment(self, data: str) -> None:
        self.found.append("comment")


def tags(html: str) -> list[str]:
    """The tags of a piece of HTML."""
    parser = _Tags()
    parser.feed(html)
    parser.close()
    return parser.found


def skeleton(markdown: str) -> list[tuple[str, ...]]:
    """What a renderer makes of a document, without its texts: blocks, tags, and what stands in line with text."""
    found = []
    for token in MarkdownIt("commonmark").enable("table").parse(markdown):
        inner = [one.type + one.content * (one.type == "html_inline") for one in token.children or ()]
        marks = [one for one in inner if one not in ("text", "text_special")]
        found.append((token.type, token.tag, token.info, *tags(token.content * (token.type == "html_block")), *marks))
    return found


def with_everywhere(text: str) -> Plan:
    """A plan with this text wherever something of a talk, a key or a configuration can stand."""
    plan = rich_plan(text, f"a:{text}")
    return replace(plan, source=text, warnings=[text], reasons={f"r{text}": f"why {text}"})


def assert_inside(text: str) -> None:
    """The document is built as one with a harmless text is."""
    assert skeleton(document(with_everywhere(text))) == skeleton(document(with_everywhere("x")))


@pytest.mark.parametrize("evil", EVIL)
def test_nothing_breaks_out(evil: str):
    """Fences, pipes, HTML, comments and line ends in a talk change nothing of the document around it."""
    assert_inside(evil)


@given(st.text(st.one_of(st.sampled_from("`~|<>&\n\r\t #*_[]()\\!-="), st.characters()), min_size=1))
def test_no_text_breaks_out(text: str):
    """Whatever a talk holds, the document is built the same."""
    assert_inside(text)


def test_every_record_is_folded_with_its_diff():
    """The counts are a table; a record is a line to open, with a diff inside."""
    text = document(rich_plan())
    assert "| 192 | 1 | 2 | 187 | 1 | 1 |" in text
    assert "A run takes 212 requests (12 reads, 200 writes), about 33 s at 6.5 per second." in text
    assert "<details><summary><code>telegram:1</code> + create</summary>\n\n```diff\n+ contact (new person)\n" in text
    for line in ("-   price: 5000", "+   price: 7000", "! → joins lead 31207: their open lead"):
        assert line in text.splitlines()


def lead(number: int, name: str) -> Change:
    """A lead that is made."""
    return Change(f"t:{number:05}", "lead", "create", None, "new talk", (FieldChange("name", None, name),), {})


@pytest.mark.parametrize("name", ["Заявка", "я" * 5000, "😀" * 2000, "line\n" * 3000])
def test_it_fits_into_a_comment(name: str):
    """However much there is, the document stays below GitHub's limit and says how many records it leaves out."""
    text = document(Plan("redis-dialogs", changes=[lead(number, name) for number in range(2000)]))
    assert len(text.encode("utf-16-le")) // 2 <= LONGEST < GITHUB
    shown = text.count("<details>")
    assert shown == text.count("</details>") > 2
    assert f"… and {2000 - shown} more records" in text


def test_one_record_is_bounded_too():
    """A talk of many lines is cut with a count and leaves room for the others."""
    text = document(Plan("redis-dialogs", changes=[lead(1, "line\n" * 3000), lead(2, "short")]))
    assert "more lines" in text
    assert "+   name: short" in text.splitlines()


def test_nothing_to_do():
    """A plan without changes says so."""
    assert "No changes." in document(Plan("redis-dialogs"))
