"""What notes in the CRM tell about a talk whose memory was lost: nothing twice, and nothing lost."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leadsync.mapping.found_notes import FoundNote, noted_in
from leadsync.mapping.talk import Noted, talk_since
from leadsync.records import Message, Record

START = datetime(2026, 11, 1, 9, 0, tzinfo=UTC)
LONG = "Хочу бота, который отвечает клиентам ночью"


def user(text: str, minute: int | None = None) -> Message:
    return said("user", text, minute)


def bot(text: str, minute: int | None = None) -> Message:
    return said("bot", text, minute)


def said(role: str, text: str, minute: int | None) -> Message:
    return Message(role, text, None if minute is None else START + timedelta(minutes=minute))


def note(text: str, minute: int | None = None) -> FoundNote:
    return FoundNote(text, None if minute is None else START + timedelta(minutes=minute))


def new(messages: list[Message], *notes: FoundNote) -> list[str]:
    """The texts that are new beside these notes."""
    record = Record(id="1", source="web", messages=tuple(messages))
    return [message.text for message in talk_since(record, noted_in(record, notes))[0].new]


def new_history(history: str, *notes: FoundNote) -> str:
    record = Record(id="1", source="web", conversation_history=history)
    return talk_since(record, noted_in(record, notes))[0].history


@pytest.mark.parametrize(
    ("raw", "read"),
    [
        ({"params": {"text": "да"}, "created_at": 1793523600}, FoundNote("да", START)),
        ({"params": {"text": "да"}}, FoundNote("да")),
        ({"params": None, "created_at": 0}, FoundNote("")),
    ],
)
def test_a_note_of_the_api(raw: dict[str, Any], read: FoundNote) -> None:
    """Its text, and when it was made; a note of another kind has no text."""
    assert FoundNote.of(raw) == read


def test_without_notes_everything_is_new() -> None:
    """No note, or only notes without text: nothing was noted."""
    one = Record(id="1", source="web", messages=(user("да"), bot("😀")))
    assert noted_in(one, []) == noted_in(one, [note("", 60), note(" 😀", 60)]) == Noted()


def test_a_message_after_the_last_one_found_is_new() -> None:
    """A short answer is looked for after the line before it, not inside of it."""
    assert new([user("когда придёт заказ номер семь"), user("да")], note("user: когда придёт заказ номер семь")) == [
        "да"
    ]
    assert new([user("раз"), user("да"), user("да")], note("раз"), note("да")) == ["да"]


def test_what_a_template_leaves_out_was_noted_with_what_follows() -> None:
    """A note of the customer's messages only, with answers between them."""
    talk = [user("Хочу бота"), bot("Здравствуйте"), user("Сколько стоит"), bot("Дорого"), user("ок")]
    assert new(talk, note("История: Хочу бота Сколько стоит")) == ["Дорого", "ок"]


def test_what_a_template_cuts_or_rewrites_was_noted_with_what_follows() -> None:
    """The beginning of a message is enough, and one that cannot be found stands before one that can."""
    talk = [user(LONG), user("СКОЛЬКО СТОИТ"), user("Адрес?"), user("да")]
    assert new(talk, note("Хочу бота, который отвечает… сколько стоит Адрес?")) == ["да"]


def test_an_answer_left_out_at_the_end_was_said_before_the_note() -> None:
    """The time of the note tells it from an answer that came later, or whose time is unknown."""
    talk = [user("Хочу бота", 1), bot("Здравствуйте", 2), bot("Вы тут?", 9), bot("Ау")]
    assert new(talk, note("Хочу бота", 5)) == ["Вы тут?", "Ау"]
    assert new(talk, note("Хочу бота")) == ["Здравствуйте", "Вы тут?", "Ау"]


def test_the_time_is_that_of_the_note_with_the_last_message() -> None:
    """A person's note of today does not make messages of today noted."""
    talk = [user("Хочу бота", 1), bot("Здравствуйте", 2), bot("Вы тут?", 9)]
    assert new(talk, note("", 0), note("Позвонить", 1), note("Хочу бота", 5), note("Звонил", 99)) == ["Вы тут?"]


def test_what_the_notes_would_show_is_new_whatever_its_time() -> None:
    """A bot's clock may be hours slow: an answer like those that are shown is new when it is not shown."""
    talk = [user("Хочу бота", 1), user("да", 2), user(LONG, 3)]
    assert new(talk, note("Хочу бота", 60)) == ["да"]


def test_emoji_are_no_news() -> None:
    """amoCRM keeps nothing of them, so nothing tells whether they were noted."""
    assert new([user("🙂"), user("да"), user("🙂"), user("нет")], note("user: user: да user:")) == ["нет"]
    assert new([user("🙂")], note("user:")) == []
    assert new_history("да\n🙂\nнет", note("да")) == "нет"


def test_a_history_goes_by_its_lines() -> None:
    """What follows the last line that is found is new; what was left out before it is not."""
    assert new_history("user: раз\nbot: два\n\nuser: три\nbot: да", note("user: раз\nuser: три", 60)) == "bot: да"
    assert new_history("user: раз\nuser: два", note("Позвонить")) == "user: раз\nuser: два"


@given(st.lists(st.sampled_from(["да", "нет", "Сколько стоит доставка?", LONG]), max_size=8), st.data())
def test_whatever_a_whole_note_shows_is_known_and_the_rest_is_new(texts: list[str], data: st.DataObject) -> None:
    """A template that shows everything: exactly the messages after those of the notes are new."""
    shown = data.draw(st.integers(0, len(texts)))
    cut = data.draw(st.integers(0, shown))
    notes = [note("\n".join(f"user: {text}" for text in part), 99) for part in (texts[:cut], texts[cut:shown])]
    assert new([user(text) for text in texts], *notes) == texts[shown:]
