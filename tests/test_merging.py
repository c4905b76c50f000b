"""Two pushes of one talk as one."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from leadsync.merging import merged

MESSAGES = st.lists(st.fixed_dictionaries({"text": st.sampled_from("абвг"), "at": st.integers(0, 3)}), max_size=4)
PUSHES = st.fixed_dictionaries(
    {"id": st.just("1")},
    optional={
        "user_name": st.none() | st.sampled_from(["", "Иван", "Анна"]),
        "phone": st.none() | st.sampled_from(["1", "2"]),
        "messages": st.none() | MESSAGES,
        "conversation_history": st.none() | st.text("аб\n ", max_size=6),
        "metadata": st.none() | st.dictionaries(st.sampled_from("xy"), st.integers(0, 2)),
    },
)


def test_what_is_not_said_stays() -> None:
    """The newer push says what is new; what it leaves out or blank stays, messages and metadata add up in order."""
    older = {"id": "1", "phone": "+7916", "budget": 1, "messages": [{"text": "раз"}], "metadata": {"city": "Тверь"}}
    newer = {"id": "1", "phone": "", "budget": 2, "messages": [{"text": "два"}], "metadata": {"age": 7}}
    assert merged(older, newer) == {
        "id": "1",
        "phone": "+7916",
        "budget": 2,
        "messages": [{"text": "раз"}, {"text": "два"}],
        "metadata": {"city": "Тверь", "age": 7},
    }


def test_the_whole_talk_again() -> None:
    """A bot that pushes the whole talk each time has no message doubled."""
    first, second = {"role": "user", "text": "раз"}, {"text": "два", "role": "user"}
    whole = merged({"messages": [first]}, {"messages": [first, second]})
    assert whole["messages"] == [first, second]


def test_histories_add_up() -> None:
    """Lines of the earlier history that the later does not repeat stand before it; one that has grown stands once."""
    for older, newer, whole in (
        ("раз", "два", "раз\nдва"),
        ("раз\nдва\n", "два\nтри", "раз\nдва\nтри"),
        ("раз\nдва", "раз\nдва\nтри", "раз\nдва\nтри"),
        ("Клиент: раз", "Клиент: раз, два", "Клиент: раз, два"),
        ("раз", " ", "раз"),
    ):
        assert merged({"conversation_history": older}, {"conversation_history": newer}) == {
            "conversation_history": whole
        }


@given(PUSHES, PUSHES)
def test_nothing_is_lost(older: dict[str, Any], newer: dict[str, Any]) -> None:
    """Whatever either says is there, the newer word counts, and merging the same once more changes nothing."""
    whole = merged(older, newer)
    for name, value in newer.items():
        if value not in (None, "") and name not in ("messages", "metadata", "conversation_history"):
            assert whole[name] == value
    for push in (older, newer):
        assert all(one in whole["messages"] for one in push.get("messages") or [])
        lines = str(whole.get("conversation_history") or "")
        assert all(line.strip() in lines for line in str(push.get("conversation_history") or "").splitlines())
        assert (push.get("metadata") or {}).keys() <= (whole.get("metadata") or {}).keys()
    assert merged(whole, newer) == whole
