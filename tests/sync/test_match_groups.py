"""Who is one person, before the CRM is asked."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from leadsync.state.links import NO_LINK, Link
from leadsync.sync.people import Member, group
from leadsync.sync.resolve import WantedContact

KEYS = st.lists(st.sampled_from([f"phone:+7916000000{number}" for number in range(6)]), max_size=3, unique=True)


def member(key: str, *contact_keys: str, contact_id: int | None = None) -> Member:
    wanted = WantedContact((), (), tuple(contact_keys), (), ())
    return Member(key, wanted, Link(contact_id=contact_id) if contact_id else NO_LINK)


def test_members_joined_through_a_third_are_one_person() -> None:
    """A phone and an e-mail that nobody else connects are one person once a record holds both."""
    people = group([member("a", "phone:1"), member("b", "email:x"), member("c", "phone:1", "email:x")], {})
    assert [sorted(one.key for one in person.members) for person in people] == [["a", "b", "c"]]


def test_remembered_contact_joins_records() -> None:
    """Two records remembered as one contact are one person, whatever they say now."""
    people = group([member("a", "phone:1", contact_id=5), member("b", "phone:2", contact_id=5)], {})
    assert len(people) == 1


def test_records_without_keys_stay_apart() -> None:
    """A contact that is never matched (`match: []`) is a person of its own."""
    assert len(group([member("a"), member("b")], {})) == 2


@given(st.lists(KEYS, max_size=8))
def test_nobody_shares_a_key_with_another_person(wishes: list[list[str]]) -> None:
    """However records overlap, each is in one person, and no contact key is in two."""
    people = group([member(str(number), *keys) for number, keys in enumerate(wishes)], {})
    assert sorted(one.key for person in people for one in person.members) == sorted(map(str, range(len(wishes))))
    keys = [key for person in people for key in person.keys]
    assert len(keys) == len(set(keys))


def test_known_people_stay_apart() -> None:
    """A record with the phone of one known person and the e-mail of another joins the first and unites nobody."""
    known = {"phone:1": 10, "email:x": 20}
    people = group([member("a", "phone:1"), member("b", "email:x"), member("c", "phone:1", "email:x")], known)
    assert {person.contact_id: [one.key for one in person.members] for person in people} == {10: ["a", "c"], 20: ["b"]}
    assert people[0].foreign == {"email:x"}
