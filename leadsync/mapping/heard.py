"""Heard: which message of a talk a value was made of, so that a plan can say so."""

from __future__ import annotations

from collections.abc import Sequence

from leadsync.records import Message


class Heard:
    """The messages a template has used while `listening`: those read one by one, and those in which something was
    found. Whoever renders what nobody will ask about does not listen, and pays nothing."""

    __slots__ = ("_messages", "listening")

    def __init__(self) -> None:
        self.listening = False
        self._messages: list[Message] = []

    def listen(self) -> None:
        """Begin anew."""
        self.listening = True
        self._messages.clear()

    def add(self, message: Message) -> None:
        """This one was used."""
        self._messages.append(message)

    def forget(self, text: object) -> None:
        """The text, if it is that of the message used last, gave nothing."""
        if self._messages and self._messages[-1].text is text:
            self._messages.pop()

    def number_in(self, talk: Sequence[Message]) -> int | None:
        """Which message it was, counted from 1 in the whole talk; None when there were none or several."""
        first = self._messages[0] if self._messages else None
        if first is None or any(one is not first for one in self._messages):
            return None
        same = (number for number, one in enumerate(talk, 1) if one is first)
        alike = (number for number, one in enumerate(talk, 1) if one == first)
        return next(same, None) or next(alike, None)
