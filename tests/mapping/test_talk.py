"""What is new in a talk: each message is new once, however its bot trims, pages and rewrites the history."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import chain
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leadsync.mapping.talk import Noted, Talk, history_text, talk_since
from leadsync.records import DIGEST_SIZE, Message, Record

START = datetime(2026, 11, 1, 9, 0, tzinfo=UTC)


def untimed(*texts: str) -> list[Message]:
    return [Message("user", text) for text in texts]


def timed(*texts: str) -> list[Message]:
    return [Message("user", text, START + timedelta(minutes=minute)) for minute, text in enumerate(texts)]


def talk(messages: Sequence[Message], noted: Noted | None = None) -> tuple[Talk, Noted]:
    return talk_since(Record(id="1", source="web", messages=tuple(messages)), noted)


def news(*views: Sequence[Message]) -> list[list[str]]:
    """The texts that are new at each look, one look after the other."""
    noted, found = None, []
    for view in views:
        now, noted = talk(view, noted)
        found.append([message.text for message in now.new])
    return found


def histories(*texts: str | None) -> list[str]:
    noted, found = None, []
    for text in texts:
        now, noted = talk_since(Record(id="1", source="web", conversation_history=text), noted)
        found.append(now.history)
    return found


def test_a_first_talk_is_all_new() -> None:
    """Without an earlier note everything is new, also what was said twice."""
    now, noted = talk(untimed("да", "да", "нет"))
    assert [message.text for message in now.new] == ["да", "да", "нет"]
    assert not now.continued
    assert now.says_something
    assert len(noted.untimed) == 3 * DIGEST_SIZE


def test_an_unchanged_talk_has_nothing_new() -> None:
    """The same look twice gives nothing, and the memory stays the same."""
    _, noted = talk(timed("а", "б") + untimed("в"))
    now, again = talk(timed("а", "б") + untimed("в"), noted)
    assert now == Talk((), continued=True)
    assert not now.says_something
    assert again is noted


def test_messages_with_times_are_known_wherever_they_stand() -> None:
    """A reordered history repeats nothing."""
    a, b, c = timed("а", "б", "в")
    assert news([a, b], [b, a], [c, b, a]) == [["а", "б"], [], ["в"]]


def test_the_same_words_at_the_same_time_count() -> None:
    """A message that occurs once more than it was noted is new."""
    (a,) = timed("да")
    assert news([a], [a, a], [a, a], [a, a, a]) == [["да"], ["да"], [], ["да"]]


@pytest.mark.parametrize("make", [timed, untimed])
def test_a_list_kept_to_its_last_messages(make: Any) -> None:
    """Trimming hides nothing new and repeats nothing old."""
    all_of_them = make("а", "б", "в", "г", "д", "е")
    assert news(all_of_them[:3], all_of_them[1:4], all_of_them[3:6]) == [["а", "б", "в"], ["г"], ["д", "е"]]


def test_a_summary_in_front_is_new_once() -> None:
    """A summary that replaces old messages is itself something new; what follows is known."""
    assert news(untimed("а", "б", "в"), untimed("итог", "б", "в", "г"), untimed("итог", "в", "г", "д")) == [
        ["а", "б", "в"],
        ["итог", "г"],
        ["д"],
    ]


def test_short_answers_after_a_summary_are_not_repeated() -> None:
    """After a summary the order of what is on the table is the memory, so a repeated `да` finds its place."""
    assert news(untimed("а", "в"), untimed("итог", "в", "да"), untimed("итог", "в", "да", "и", "да")) == [
        ["а", "в"],
        ["итог", "да"],
        ["и", "да"],
    ]


def test_a_window_that_grows_back_repeats_nothing() -> None:
    """What a shorter look did not show is still known when a longer look shows it again."""
    a = untimed("а", "б", "а", "в", "г")
    assert news(a[:4], a[3:4], a[:4], a) == [["а", "б", "а", "в"], [], [], ["г"]]


def test_deleted_last_messages_do_not_bring_the_others_back() -> None:
    """A bot that took its last answer back, and what it said instead."""
    assert news(untimed("а", "б", "в"), untimed("а", "б"), untimed("а", "б", "а")) == [["а", "б", "в"], [], ["а"]]


def test_a_repeated_answer_replacing_a_deleted_one_is_new() -> None:
    """With nothing to continue, an occurrence more than noted is new."""
    assert news(untimed("да", "б", "в"), untimed("да", "б", "да")) == [["да", "б", "в"], ["да"]]


def test_a_greeting_pinned_in_front_is_not_repeated() -> None:
    """A window behind a first message that always stays."""
    assert news(untimed("п", "а"), untimed("п", "а", "б"), untimed("п", "б", "в")) == [["п", "а"], ["б"], ["в"]]


def test_messages_with_and_without_times_mix() -> None:
    """Each kind is known by its own rule, and new ones come in the order of the talk."""
    a, b = timed("а", "б")
    x, y = untimed("х", "у")
    assert news([a, x], [a, x, b, y]) == [["а", "х"], ["б", "у"]]


def test_a_later_talk_is_continued() -> None:
    """`continued` says that there is an earlier note, also when there is nothing new."""
    _, noted = talk(untimed("а"))
    assert talk(untimed("а", "б"), noted)[0].continued
    assert talk(untimed("а"), noted)[0].continued
    assert not talk(untimed("а"), Noted())[0].continued


@pytest.mark.parametrize(
    ("texts", "new"),
    [
        (["привет", "привет\nда"], ["привет", "да"]),
        (["привет\n", "привет", "привет\n\n"], ["привет", "", ""]),
        (["привет", "другое", "другое дело"], ["привет", "другое", "дело"]),
        (["привет, Иван", "привет"], ["привет, Иван", "привет"]),
        ([None, "  ", "да"], ["", "", "да"]),
        (["да", None, "да", "да нет"], ["да", "", "", "нет"]),
    ],
)
def test_a_history_without_messages(texts: list[str | None], new: list[str]) -> None:
    """One line that grows is new in its rest, a line that was noted is not new, any other is."""
    assert histories(*texts) == new


def test_a_history_trimmed_in_front_repeats_nothing() -> None:
    """Its lines are known by their order, like messages without times; blank ones do not count."""
    lines = [f"user: {number}" for number in range(10)]
    looks = ["\n".join(lines[:8]), "\n".join(lines[4:10]), "\n\n".join([*lines[8:], "", "user: 9"])]
    assert histories(*looks) == [looks[0], "user: 8\nuser: 9", "user: 9"]


def test_a_first_history_keeps_its_blank_lines() -> None:
    """What is new as a whole is noted as it was written."""
    assert histories("\nда\n\n  нет\n", "да\n\n  нет\n\n  ок") == ["да\n\n  нет", "ок"]


def test_a_history_is_continued_too() -> None:
    """A text that was noted makes the next one a continuation."""
    record = Record(id="1", source="web", conversation_history="да")
    first, noted = talk_since(record, None)
    second, again = talk_since(record, noted)
    assert (first.continued, second.continued) == (False, True)
    assert (len(noted.lines), noted.last_length) == (DIGEST_SIZE, 2)
    assert again is noted


@pytest.mark.parametrize(
    ("history", "said", "new"),
    [
        ("user: раз", ["раз", "два"], ["два"]),
        ("раз\nдва", ["раз", "два", "два"], ["два"]),
        ("user: раз\nдва\nuser: три", ["раз\n\nдва", "три"], []),
        ("user: раз\nдва", ["раз\nтри"], ["раз\nтри"]),
        ("user: раз\nuser: да\nuser: нет", ["да", "нет", "да"], ["да"]),
    ],
)
@pytest.mark.parametrize("make", [timed, untimed])
def test_a_record_that_gets_messages_repeats_none_of_its_history(
    make: Any, history: str, said: list[str], new: list[str]
) -> None:
    """A message whose lines were noted as the history's is old; later ones go by the messages alone."""
    _, noted = talk_since(Record(id="1", source="web", conversation_history=history), None)
    now, then = talk(make(*said), noted)
    assert [message.text for message in now.new] == new
    later, _ = talk(make(*said, "да"), then)
    assert [message.text for message in later.new] == ["да"]


def test_a_record_that_gets_messages_keeps_what_was_noted_of_its_history() -> None:
    """The two memories do not disturb each other."""
    _, noted = talk_since(Record(id="1", source="web", conversation_history="да"), None)
    _, both = talk(untimed("а"), noted)
    assert (both.lines, both.last_length) == (noted.lines, noted.last_length)
    assert talk_since(Record(id="1", source="web", conversation_history="да"), both)[0].history == ""


DIGESTS = st.lists(st.binary(min_size=DIGEST_SIZE, max_size=DIGEST_SIZE)).map(b"".join)


@given(DIGESTS, DIGESTS, DIGESTS, st.integers(0, 2**32 - 1))
def test_noted_survives_its_bytes(timed_ones: bytes, untimed_ones: bytes, lines: bytes, last_length: int) -> None:
    """What is stored is what is read."""
    noted = Noted(timed_ones, untimed_ones, lines, last_length)
    raw = noted.to_bytes()
    assert Noted.from_bytes(raw) == noted
    assert len(raw) == len(timed_ones) + len(untimed_ones) + len(lines) + 17


@pytest.mark.parametrize(
    "raw", [b"", b"\x02", b"\x01" + bytes(16), b"\x02" + bytes(17), Noted(b"x" * 8).to_bytes()[:-1]]
)
def test_bytes_that_are_no_memory_are_refused(raw: bytes) -> None:
    """A cut or foreign value must not pass for an empty memory: everything would be said again."""
    with pytest.raises(ValueError, match="these bytes"):
        Noted.from_bytes(raw)


def test_a_talk_as_text() -> None:
    """One line for each message."""
    assert history_text([Message("user", "да"), Message("bot", "нет")]) == "user: да\nbot: нет"


@given(st.data())
def test_each_message_with_a_time_is_new_exactly_once(data: st.DataObject) -> None:
    """Over any looks at a growing talk (trimmed, windowed, shuffled), nothing is repeated and nothing seen is lost."""
    texts = data.draw(st.lists(st.sampled_from(["да", "нет", "ок"]), min_size=1, max_size=25))
    minutes = data.draw(st.lists(st.integers(0, 5), min_size=len(texts), max_size=len(texts)))
    everything = [
        Message("user", text, START + timedelta(minutes=minute))
        for text, minute in zip(texts, sorted(minutes), strict=True)
    ]
    noted, said, length = None, list[Message](), 0
    while length < len(everything):
        length = data.draw(st.integers(length + 1, len(everything)))
        now, noted = talk(data.draw(st.permutations(everything[:length])), noted)
        said += now.new
        trimmed = everything[data.draw(st.integers(0, length)) : length]
        repeated, noted = talk(trimmed, noted)
        assert not repeated.new
    assert sorted(message.digest for message in said) == sorted(message.digest for message in everything)


@given(st.data())
def test_each_untimed_message_of_a_varied_talk_is_new_exactly_once(data: st.DataObject) -> None:
    """Any windows that together show everything, with any summaries in front: each message once, in order."""
    everything = untimed(*(str(number) for number in range(data.draw(st.integers(1, 20)))))
    noted, said, length, begin = None, list[Message](), 0, 0
    for look in range(data.draw(st.integers(1, 8))):
        shown = length
        length = data.draw(st.integers(length, len(everything)))
        begin = data.draw(st.integers(0, shown))
        summary = [Message("system", f"итог {look}")] if data.draw(st.booleans()) else []
        now, noted = talk([*summary, *everything[begin:length]], noted)
        said += [message for message in now.new if message.role == "user"]
        assert [message for message in now.new if message.role == "system"] == summary
    assert said == everything[:length]


@given(st.data())
def test_each_line_of_a_varied_history_is_new_exactly_once(data: st.DataObject) -> None:
    """Any looks that together show everything, each with lines added, trimmed in front, or both: each line in order."""
    lines = [f"user: {number}" for number in range(data.draw(st.integers(1, 20)))]
    noted, said, length = None, list[str](), 0
    for _ in range(data.draw(st.integers(1, 8))):
        begin = data.draw(st.integers(0, length))
        length = data.draw(st.integers(length, len(lines)))
        text = data.draw(st.sampled_from(["\n", "\n\n", " \r\n"])).join(lines[begin:length])
        now, noted = talk_since(Record(id="1", source="web", conversation_history=text), noted)
        said += now.history.split()
    assert said == "\n".join(lines[:length]).split()


@given(st.lists(st.lists(st.sampled_from("абв"), max_size=4), max_size=8))
def test_a_history_that_only_grows_says_each_line_once(steps: list[list[str]]) -> None:
    """Repetitions do not confuse a history that is only added to."""
    grown = ["\n".join(chain(*steps[: end + 1])) for end in range(len(steps))]
    assert histories(*grown) == ["\n".join(step) for step in steps]


@given(st.lists(st.lists(st.sampled_from("абв"), max_size=4), max_size=8))
def test_a_talk_that_only_grows_says_each_message_once(steps: list[list[str]]) -> None:
    """Repetitions do not confuse a history that is only added to."""
    noted, grown = None, list[str]()
    for step in steps:
        grown += step
        now, noted = talk(untimed(*grown), noted)
        assert [message.text for message in now.new] == step


def test_long_talks_are_compared_quickly() -> None:
    """The comparison is linear, also for the worst talk: the same word ten thousand times."""
    same = untimed("да") * 10_000
    _, noted = talk(same)
    now, _ = talk([*same, *untimed("да", "нет")], noted)
    assert [message.text for message in now.new] == ["да", "нет"]
