"""A plan as one HTML file: whatever a talk holds is text in it, and it asks nobody for anything."""

from __future__ import annotations

import re
from base64 import b64encode
from dataclasses import replace
from hashlib import sha256
from html.parser import HTMLParser
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import leadsync
from leadsync.report.plan_html import plan_html
from leadsync.report.words import visible
from leadsync.sync.results import Plan
from tests.report.plans import rich_plan

EVIL = (
    "</script><script>alert(1)</script>",
    "</style><img src=x onerror=alert(1)>",
    "--><!--",
    "\"'><b onclick=alert(1)>",
    "&lt;b&gt; &amp;amp;",
    "{{ 7 * 7 }}{% raw %}",
    "</pre></article></body></html>",
    "\x00\x1b[2J\u202e",
)


class Page(HTMLParser):
    """A page as a browser takes it: its tags with their attributes, and its texts."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, tuple[tuple[str, str | None], ...]]] = []
        self.texts: list[str] = []
        self.style = ""
        self._is_style = False
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self._is_style = tag == "style"
        self.tags.append((tag, tuple(attributes)))

    def handle_endtag(self, tag: str) -> None:
        self._is_style = False
        self.tags.append((f"/{tag}", ()))

    def handle_comment(self, data: str) -> None:
        self.tags.append(("comment", ()))

    def handle_data(self, data: str) -> None:
        if self._is_style:
            self.style += data
        else:
            self.texts.append(data)

    def attribute(self, tag: str, wanted_name: str, **more: str) -> str | None:
        """An attribute of the first such tag that has these others too."""
        wanted = {key.replace("_", "-"): value for key, value in more.items()}
        found = (dict(one) for kind, one in self.tags if kind == tag and wanted.items() <= dict(one).items())
        return next(found).get(wanted_name)


def page(plan: Plan) -> Page:
    """The plan as a page."""
    return Page("".join(plan_html(plan, requests_per_second=6.5)))


def with_everywhere(text: str) -> Plan:
    """A plan with this text wherever something of a talk, a key or a configuration can stand."""
    plan = rich_plan(text, f"a:{text}")
    return replace(plan, source=text, warnings=[text], reasons={f"r{text}": f"why {text}"})


def assert_is_text(text: str) -> None:
    """The page has the tags of one with a harmless text, and the text is to be read in it."""
    found = page(with_everywhere(text))
    assert found.tags == page(with_everywhere("x")).tags
    said = visible(f"user: {text}\nbot: да")  # as one text: its end and the line's may be one line end
    assert f"\n{said}" in found.texts  # a browser leaves the first line end of a <pre> out


@pytest.mark.parametrize("evil", EVIL)
def test_nothing_becomes_markup(evil: str):
    """Tags, quotes, comments, entities and template marks of a talk are shown as they are."""
    assert_is_text(evil)


@given(st.text(st.one_of(st.sampled_from("<>&\"'/=-!{}%;\n\r"), st.characters()), min_size=1))
def test_no_text_becomes_markup(text: str):
    """Whatever a talk holds, the page has the same tags, and holds the text."""
    assert_is_text(text)


def test_it_asks_nobody():
    """No tag leads anywhere, there is no script, and the policy allows our own style alone, by its hash."""
    found = page(rich_plan())
    assert not [(tag, one) for tag, one in found.tags if {"src", "href", "srcset", "action"} & dict(one).keys()]
    assert not {"script", "link", "iframe", "form", "object"} & {tag for tag, _ in found.tags}
    assert not re.search(r"url\(|@import|https?:", found.style)
    known = b64encode(sha256(found.style.encode()).digest()).decode()
    policy = found.attribute("meta", "content", http_equiv="Content-Security-Policy")
    assert policy == f"default-src 'none'; style-src 'sha256-{known}'; base-uri 'none'; form-action 'none'"


def test_it_says_what_it_is():
    """Language, character set, width and title are set; text in both themes."""
    found = page(rich_plan())
    assert found.attribute("html", "lang") == "en"
    assert found.attribute("meta", "charset", charset="utf-8") == "utf-8"
    assert found.attribute("meta", "content", name="viewport")
    assert "leadsync dry-run: redis-dialogs" in found.texts
    assert "prefers-color-scheme: dark" in found.style


def test_every_kind_can_be_filtered():
    """There is a box for each kind that the plan holds, with its count, and a rule of the style for it."""
    found = page(rich_plan())
    boxes = [dict(one)["id"] for tag, one in found.tags if tag == "input"]
    assert boxes == [f"show-{kind}" for kind in ("create", "update", "kept", "joined", "refused", "told")]
    for box in boxes:
        assert f"body:has(#{box}:checked) .card.has-{str(box).removeprefix('show-')}" in found.style
    assert "→ joins a lead (2)" in found.texts


def test_everything_is_told():
    """Values with before and after, reasons, origins, refusals and the cost are all there."""
    texts = " ".join(" ".join(page(rich_plan()).texts).split())
    for part in (
        "5000 → 7000",
        "phone appeared in message 7",
        "message 7, mappings/telegram.yaml:7: {{ phone or messages | find_phone }}",
        "lead 31205 gets the new contact",
        "stays; the talk says",
        "what to do: correct the price in the talk",
        "212 requests (12 reads, 200 writes), about 33 s at 6.5 per second",
    ):
        assert part in texts


def test_nothing_to_do():
    """A plan without changes says so."""
    assert "Nothing changes." in page(Plan("redis-dialogs")).texts


def test_its_parts_are_packaged():
    """Template and style lie in the package's own folder, all of which the wheel takes."""
    home = Path(leadsync.__file__).parent / "report"
    assert {"plan.css", "plan.html.jinja"} <= {path.name for path in home.iterdir()}
