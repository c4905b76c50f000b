"""Line: one line of a report with its styles, made a rich text only where somebody sees it on a terminal.

Reports of many records go to a file or a pipe, where working out the styles would take most of the time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from rich.text import Text


class Line:
    """A text in a style, and what is appended to it, each part in a style of its own on top."""

    __slots__ = ("_parts", "_style")

    def __init__(self, text: str = "", style: str = "") -> None:
        self._style = style
        self._parts = [(text, "")]

    def append(self, text: str, style: str = "") -> Self:
        """Go on with a text."""
        self._parts.append((text, style))
        return self

    @property
    def plain(self) -> str:
        """The line without styles."""
        return "".join([text for text, _ in self._parts])

    def styled(self) -> Text:
        """The line as rich shows it."""
        from rich.text import Text  # noqa: PLC0415 - a file or a pipe has no need of it

        shown = Text(style=self._style)
        for text, style in self._parts:
            shown.append(text, style or None)
        return shown
