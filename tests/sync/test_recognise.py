"""Which entity answers for which item that was sent."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from leadsync.sync.recognise import NO_FIT, Shape, pair


def shape(*values: str, contacts: tuple[int, ...] = (), touched: bool = False) -> Shape:
    """A shape whose values are given as `slot=text`."""
    pairs = frozenset((one.partition("=")[0], one.partition("=")[2]) for one in values)
    return Shape(pairs, {}, frozenset(contacts), touched=touched)


SHAPES = st.builds(
    lambda values, contacts, touched: shape(*values, contacts=tuple(contacts), touched=touched),
    st.sets(st.sampled_from(["name=a", "price=1", "cf:1=x", "cf:2=y"])),
    st.sets(st.integers(1, 2)),
    st.booleans(),
)


@given(st.lists(SHAPES, max_size=5), st.lists(SHAPES, max_size=5), st.lists(SHAPES, max_size=3))
def test_each_entity_answers_for_one_item_that_it_fits(
    mine: list[Shape], there: list[Shape], rivals: list[Shape]
) -> None:
    """No entity answers twice, none that does not fit, and none that fits what another sent better."""
    items = {str(index): one for index, one in enumerate(mine)}
    entities = dict(enumerate(there))
    found = pair(items, entities, rivals)
    assert len(set(found.values())) == len(found)
    for name, id_ in found.items():
        fit = items[name].fit(entities[id_])
        assert fit > NO_FIT
        assert all(rival.fit(entities[id_]) <= fit for rival in rivals)


@given(st.integers(0, 5), st.integers(0, 5))
def test_equal_ones_are_counted(sent: int, there: int) -> None:
    """Of equal items as many are found as there are entities, the oldest first."""
    same = shape("name=a")
    found = pair({str(index): same for index in range(sent)}, dict.fromkeys(range(there), same))
    assert found == {str(index): index for index in range(min(sent, there))}


def test_exact_one_goes_before_one_with_more() -> None:
    """What says more is taken only when nothing says exactly what was sent."""
    less, more = shape("name=a"), shape("name=a", "price=1")
    assert pair({"x": less}, {1: more, 2: less}) == {"x": 2}
    assert pair({"x": less}, {1: more}) == {"x": 1}
    assert pair({"x": less}, {1: more}, [more]) == {}


def test_changed_one_needs_half_and_a_change() -> None:
    """An entity that says something else is ours only if it was changed, and still says half of it."""
    sent = shape("name=a", "price=1", "cf:1=x")
    assert pair({"x": sent}, {1: shape("name=b", "price=1", "cf:1=x")}) == {}
    assert pair({"x": sent}, {1: shape("name=b", "price=1", "cf:1=x", touched=True)}) == {"x": 1}
    assert pair({"x": sent}, {1: shape("name=b", "price=2", "cf:1=x", touched=True)}) == {}


def test_contacts_must_be_there() -> None:
    """A lead without our contact is not ours."""
    assert pair({"x": shape("name=a", contacts=(1,))}, {1: shape("name=a")}) == {}
    assert pair({"x": shape("name=a")}, {1: shape("name=a", contacts=(1,))}) == {"x": 1}
