"""Line: one line of a report with its styles, made a rich text only where somebody sees it on a terminal.

Reports of many records go to a file or a pipe, where working out the styles would take most of the time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from rich.text import Text


class Line:
    """A text in a style, and what is appended to it, each part in a style of its own on top; `plain` is the text."""

    __slots__ = ("_spans", "_style", "plain")

    def __init__(self, text: str = "", style: str = "") -> None:
        self.plain = text
        self._style = style
        self._spans: list[tuple[str, int, int]] | None = None

    def append(self, text: str, style: str = "") -> Self:
        """Go on with a text."""
        start = len(self.plain)
        self.plain += text
        if style:
            span = (style, start, len(self.plain))
            if self._spans is None:
                self._spans = [span]
            else:
                self._spans.append(span)
        return self

    def styled(self) -> Text:
        """The line as rich shows it."""
        from rich.text import Text  # noqa: PLC0415 - a file or a pipe has no need of it

        shown = Text(self.plain, style=self._style)
        for style, start, end in self._spans or ():
            shown.stylize(style, start, end)
        return shown
