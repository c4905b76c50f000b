"""Records: whatever a bot wrote becomes one shape, and what cannot is refused without showing its content."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leadsync.errors import UnreadableRecord
from leadsync.records import DIGEST_SIZE, ROLES, Message, Record, moment

MOSCOW = ZoneInfo("Europe/Moscow")
NINE = datetime(2026, 11, 1, 9, 0, tzinfo=MOSCOW)


def read(**fields: Any) -> Record:
    return Record.from_mapping({"id": "42", **fields}, zone=MOSCOW)


def messages(*items: Any) -> list[tuple[str, str]]:
    return [(message.role, message.text) for message in read(messages=list(items)).messages]


def refusal(raw: Any) -> UnreadableRecord:
    with pytest.raises(UnreadableRecord) as caught:
        Record.from_mapping(raw, zone=MOSCOW)
    return caught.value


def test_the_fields_of_the_contract_arrive_as_they_are() -> None:
    """Every field of the contract has its place, and other keys stay in `extra`."""
    record = read(
        source="web",
        user_name="Иван",
        phone="8 916",
        email="i@example.com",
        product_interest="AI Manager",
        budget=150000,
        conversation_history="привет",
        metadata={"city": "Москва"},
        updated_at="2026-11-01T09:00:00+03:00",
        utm="ads",
    )
    assert record == Record(
        id="42",
        source="web",
        user_name="Иван",
        phone="8 916",
        email="i@example.com",
        product_interest="AI Manager",
        budget=150000,
        conversation_history="привет",
        metadata={"city": "Москва"},
        updated_at=NINE,
        extra={"utm": "ads"},
    )


def test_what_is_absent_empty_or_blank_is_none() -> None:
    """An empty text says as little as no text."""
    record = read(user_name="", phone="  ", email=None, conversation_history="", metadata=None, messages=None)
    assert record == Record(id="42", source="unknown")


def test_a_record_without_a_source_gets_the_default() -> None:
    """The source of a record is its own, else the one its source section gives."""
    assert Record.from_mapping({"id": 1}, zone=MOSCOW, default_source="web").source == "web"
    assert Record.from_mapping({"id": 1, "source": "avito"}, zone=MOSCOW, default_source="web").source == "avito"


@pytest.mark.parametrize(("raw", "text"), [(42, "42"), (" 42 ", "42"), ("a:b", "a:b"), (0, "0")])
def test_an_id_is_text(raw: Any, text: str) -> None:
    """A number is taken as its text."""
    assert read(id=raw).id == text


@pytest.mark.parametrize("raw", [None, "", "  ", True, 1.5, ["x"], {"secret": 1}])
def test_a_record_needs_an_id(raw: Any) -> None:
    """Without an identity a talk would become a new lead at every run."""
    error = refusal({"id": raw})
    assert error.field == "id"
    assert error.do


@pytest.mark.parametrize("name", ["source", "user_name", "phone", "email", "product_interest", "conversation_history"])
@pytest.mark.parametrize("value", [{"тайна": 1}, 1.5, True])
def test_a_text_of_a_wrong_type_is_named_and_not_shown(name: str, value: Any) -> None:
    """The error names the field and what to do, never the value."""
    error = refusal({"id": 1, name: value})
    assert error.field == name
    assert error.do
    assert "тайна" not in str(error)


def test_a_phone_as_a_number_is_its_digits() -> None:
    """Bots keep phones as numbers too."""
    assert read(phone=79161234567).phone == "79161234567"


@pytest.mark.parametrize(
    ("raw", "budget"),
    [
        (150000, 150000),
        (150000.0, 150000),
        (1500.5, "1500.5"),
        ("150000", 150000),
        (" 007 ", 7),
        ("150 тыс", "150 тыс"),
        ("9" * 5000, "9" * 5000),
        (float("inf"), "inf"),
        ("", None),
        (None, None),
        (0, 0),
    ],
)
def test_a_budget_is_a_number_where_it_reads_as_one(raw: Any, budget: Any) -> None:
    """Any other text stays: the field it goes to decides what it means."""
    assert read(budget=raw).budget == budget


@pytest.mark.parametrize(
    ("name", "value"), [("budget", True), ("budget", []), ("metadata", "x"), ("metadata", []), ("messages", "привет")]
)
def test_other_wrong_types_are_refused_with_their_field(name: str, value: Any) -> None:
    """Each field says what it wants to be."""
    assert refusal({"id": 1, name: value}).field == name


@pytest.mark.parametrize("raw", [None, [], "x", 1])
def test_a_record_is_an_object(raw: Any) -> None:
    """A list or a text is no record."""
    assert "object" in str(refusal(raw))


def test_messages_of_every_framework() -> None:
    """Ours, OpenAI's, LangChain's three ways and plain texts become the same."""
    assert messages(
        {"role": "user", "text": "а"},
        {"role": "assistant", "content": "б"},
        {"type": "human", "data": {"content": "в", "type": "human"}},
        {"type": "ai", "content": "г"},
        {"lc": 1, "type": "constructor", "id": ["langchain", "messages", "HumanMessage"], "kwargs": {"content": "д"}},
        "е",
        {"role": "manager", "text": "ж"},
        {"role": "Operator", "text": "з"},
        {"text": "и"},
        {"role": "user", "content": 42},
    ) == [
        ("user", "а"),
        ("bot", "б"),
        ("user", "в"),
        ("bot", "г"),
        ("user", "д"),
        ("user", "е"),
        ("manager", "ж"),
        ("Operator", "з"),
        ("user", "и"),
        ("user", "42"),
    ]


def test_a_langchain_chat_message_has_its_role_inside() -> None:
    """LangChain's ChatMessage names its role beside its content."""
    assert messages({"type": "chat", "data": {"content": "да", "role": "manager"}}) == [("manager", "да")]


def test_the_parts_of_an_openai_message_are_joined() -> None:
    """Pictures have no text; each part that has some is a line."""
    parts = [{"type": "text", "text": "раз"}, {"type": "image_url", "image_url": {}}, "два", {"type": "text"}]
    assert messages({"role": "user", "content": parts}) == [("user", "раз\nдва")]


@pytest.mark.parametrize("empty", [None, "", " \n", [], [{"type": "image_url"}]])
def test_a_message_that_says_nothing_is_left_out(empty: Any) -> None:
    """A call of a tool has no text, and a note has no use for it."""
    assert messages({"role": "assistant", "content": empty, "tool_calls": []}, "да") == [("user", "да")]


@pytest.mark.parametrize(
    ("item", "field"),
    [
        (7, "messages[1]"),
        (None, "messages[1]"),
        ({"role": "user", "text": {"тайна": 1}}, "messages[1].text"),
        ({"role": ["тайна"], "text": "x"}, "messages[1].role"),
    ],
)
def test_a_message_that_is_none_is_named(item: Any, field: str) -> None:
    """The error names the message by its index."""
    error = refusal({"id": 1, "messages": ["ok", item]})
    assert error.field == field
    assert "тайна" not in str(error)


def test_a_history_that_is_a_list_is_messages() -> None:
    """Some bots put their messages where the contract has a text; both are kept when both are there."""
    as_list = [{"role": "user", "content": "да"}]
    assert read(conversation_history=as_list).messages == (Message("user", "да"),)
    assert read(conversation_history=as_list).conversation_history is None
    assert read(conversation_history=as_list, messages=["нет"]).messages == (Message("user", "нет"),)


@pytest.mark.parametrize("name", ["at", "timestamp", "created_at", "date", "time"])
def test_a_message_has_its_time_under_any_usual_name(name: str) -> None:
    """The time may stand beside the text or, in LangChain's, with it."""
    plain = {"role": "user", "text": "да", name: "2026-11-01T09:00:00"}
    inside = {"type": "human", "data": {"content": "да", name: NINE.timestamp()}}
    assert [message.at for message in read(messages=[plain, inside]).messages] == [NINE, NINE]


@pytest.mark.parametrize(
    ("raw", "at"),
    [
        ("2026-11-01T09:00:00+03:00", NINE),
        ("2026-11-01T06:00:00Z", NINE),
        ("2026-11-01 09:00", NINE),
        ("2026-11-01", NINE.replace(hour=0)),
        (datetime(2026, 11, 1, 9, 0), NINE),  # noqa: DTZ001 - naive on purpose
        (NINE, NINE),
        (1793512800, NINE),
        (1793512800.5, NINE + timedelta(seconds=0.5)),
        (1793512800000, NINE),
        (1793512800000000, NINE),
        ("1793512800", NINE),
        ("1793512800000", NINE),
        ("20261101", NINE.replace(hour=0)),
        ("вчера", None),
        ("", None),
        ("0001-01-01T00:00:00", None),
        (0, None),
        (17, None),
        (-1793512800, None),
        (1e30, None),
        (float("nan"), None),
        (True, None),
        ([], None),
        (None, None),
    ],
)
def test_times_as_bots_write_them(raw: Any, at: datetime | None) -> None:
    """ISO 8601, unix seconds, milliseconds and microseconds; what is none is unknown, and never an error."""
    assert read(updated_at=raw).updated_at == at


@given(st.datetimes(min_value=datetime(1974, 1, 1), max_value=datetime(2100, 1, 1)))  # noqa: DTZ001 - the strategy's way
def test_a_time_is_the_same_in_every_spelling(naive: datetime) -> None:
    """A second is one moment, whether written as text, in another zone or as a number."""
    at = naive.replace(microsecond=0, tzinfo=UTC)
    elsewhere = at.astimezone(timezone(timedelta(hours=-7)))
    spellings = [at.isoformat(), elsewhere.isoformat(), int(at.timestamp()), int(at.timestamp()) * 1000, at]
    assert {moment(spelling, MOSCOW) for spelling in spellings} == {at}


def test_a_digest_knows_role_time_and_text() -> None:
    """Any of the three makes another message; the zone in which the time is written does not."""
    one = Message("user", "да", NINE)
    others = [Message("bot", "да", NINE), Message("user", "нет", NINE), Message("user", "да")]
    assert len({message.digest for message in [one, *others]}) == 4
    assert one.digest == Message("user", "да", NINE.astimezone(UTC)).digest
    assert len(one.digest) == DIGEST_SIZE


def test_half_an_emoji_does_not_stop_a_record() -> None:
    """A text that a bot cut inside an emoji can be written all the same."""
    record = read(user_name="Иван\ud83d", messages=["да\ude00"], budget="5\ud83d")
    assert record.user_name == "Иван\ufffd"
    assert record.messages[0].text == "да\ufffd"
    assert len(record.messages[0].digest) == DIGEST_SIZE
    assert record.budget == "5\ufffd"


def test_deep_data_is_kept_and_bottomless_reading_refused() -> None:
    """Nested metadata is no trouble; a mapping that recurses when looked at is a refused record."""
    deep: dict[str, Any] = {}
    for _ in range(100_000):
        deep = {"a": deep}
    assert read(metadata=deep).metadata is deep

    class Bottomless(dict[str, Any]):
        def get(self, *args: Any) -> Any:
            return self.get(*args)

    assert "nested" in str(refusal(Bottomless(id=1)))
    while deep:  # unwound by hand: Python would recurse to free it
        deep = deep["a"]


def test_every_known_role_is_one_of_ours() -> None:
    """The table of roles leads to the three words a mapping may count on."""
    assert set(ROLES.values()) == {"user", "bot", "manager"}


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
        lambda inner: (
            st.lists(inner, max_size=4)
            | st.dictionaries(
                st.sampled_from(["role", "text", "content", "type", "data", "at", "id"]), inner, max_size=4
            )
        ),
        max_leaves=12,
    ),
    st.sampled_from(["messages", "metadata", "phone", "updated_at", "budget", "conversation_history", "id", "x"]),
)
def test_any_json_is_a_record_or_a_refusal(value: Any, name: str) -> None:
    """Nothing else comes out of reading, whatever the data."""
    raw = {"id": "1", name: value}
    try:
        record = Record.from_mapping(raw, zone=MOSCOW)
    except UnreadableRecord:
        error = refusal(raw)
        assert error.field
        assert error.do
    else:
        assert record.id
        assert all(message.text.strip() for message in record.messages)
