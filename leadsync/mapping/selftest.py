"""Selftest: a mapping's own tests; what a case expects against what the mapping made, compared by meaning. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from leadsync.amocrm.plain_values import number_of
from leadsync.config.cases import PARTS, WrittenCase
from leadsync.config.document import Document
from leadsync.config.models import ExpectedContact, ExpectedLead
from leadsync.config.nodes import Key
from leadsync.errors import LeadsyncError, Place
from leadsync.mapping.contact_keys import email_key, phone_key
from leadsync.mapping.desired import DesiredContact, DesiredLead, DesiredValue, Origin
from leadsync.mapping.trial import Bench, Outcome

NOT_SENT = "(not sent)"

_NOWHERE = Origin("", Place(""))

Meaning = Callable[[str], object]


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing that came out otherwise: `place` is the line of the case, `made_at` the mapping's line that made it.

    `expression` is what stands there, `message` which message gave the value, where one did (counted from 1).
    """

    name: str
    expected: str
    got: str
    place: Place
    made_at: Place | None = None
    expression: str = ""
    message: int | None = None


@dataclass(frozen=True, slots=True)
class Result:
    """What came of a case; it passed when nothing differs."""

    written: WrittenCase
    differences: tuple[Difference, ...]

    @property
    def passed(self) -> bool:
        """Whether everything the case names came out so."""
        return not self.differences


def run_case(written: WrittenCase, bench: Bench, mapping: Document, country: str) -> Result:
    """Run one case of the mapping that stands in `mapping`; `country` reads phones."""
    outcome = bench.run(written.case)
    return Result(written, tuple(_Comparison(written, outcome, mapping, country).differences()))


class _Comparison:
    """One case against one outcome."""

    def __init__(self, written: WrittenCase, outcome: Outcome, mapping: Document, country: str) -> None:
        self._written = written
        self._expect = written.case.expect
        self._outcome = outcome
        self._mapping = mapping
        self._named = written.named("")
        self._meanings: dict[str, Meaning] = {
            "phone": lambda text: phone_key(text, country) or text.strip(),
            "email": lambda text: email_key(text) or text.strip(),
        }

    def differences(self) -> Iterator[Difference]:
        yield from self._key()
        fate = list(self._fate())
        yield from fate
        if fate or self._outcome.desired is None:
            return  # nothing was made: what the parts expect would only say so again
        yield from self._part("contact", self._outcome.desired.contact)
        yield from self._part("lead", self._outcome.desired.lead)
        yield from self._note()
        yield from self._absent()

    def _key(self) -> Iterator[Difference]:
        key = self._outcome.key
        if self._expect.key is not None and key is not None and self._expect.key.strip() != key:
            yield self._differs("key", self._expect.key, key, ("key",))

    def _fate(self) -> Iterator[Difference]:
        """Mapped, skipped or refused: whether it is the one of the three that is expected."""
        outcome, expect = self._outcome, self._expect
        if expect.refused is not None:
            reason = _reason(outcome.refused) if outcome.refused else "the record is not refused"
            if outcome.refused is None or expect.refused.strip().casefold() not in reason.casefold():
                yield self._differs("refused", expect.refused, reason, ("refused",), _made_at(outcome.refused))
        elif outcome.refused is not None:
            reason = _reason(outcome.refused)
            yield self._differs("refused", "the record goes through", reason, (), _made_at(outcome.refused))
        elif outcome.skipped != bool(expect.skipped) and (outcome.skipped or expect.skipped is not None):
            said = {True: "the record is skipped (`when` says no)", False: "the record is not skipped"}
            yield self._differs("skipped", said[not outcome.skipped], said[outcome.skipped], ("skipped",), ("when",))

    def _part(self, name: str, made: DesiredContact | DesiredLead | None) -> Iterator[Difference]:
        expected = getattr(self._expect, name)
        if name not in self._named:
            return
        if not isinstance(expected, ExpectedContact | ExpectedLead):
            if made is not None:
                yield self._differs(name, f"no {name}", f"there is a {name}", (name,))
        elif made is None:
            why = ", for there is neither phone nor e-mail" if name == "contact" else ""
            yield self._differs(name, f"there is a {name}", f"no {name}{why}", (name,))
        else:
            yield from self._values(name, expected, made)

    def _values(
        self, part: str, expected: ExpectedContact | ExpectedLead, made: DesiredContact | DesiredLead
    ) -> Iterator[Difference]:
        for name in sorted(self._written.named(part) - {"fields"}, key=list(type(expected).model_fields).index):
            wanted = getattr(expected, name)
            if isinstance(wanted, list) or name in ("tags", "phone", "email"):
                yield from self._several(part, name, wanted, _made(made, name))
            else:
                yield from self._one((part, name), wanted, _found(made.values, name))
        for field, text in expected.fields.items():
            yield from self._one((part, "fields", field), text, _found(made.fields, str(field)))

    def _one(self, path: tuple[Key, ...], wanted: str | None, value: DesiredValue | None) -> Iterator[Difference]:
        got = None if value is None else value.text
        if (wanted or None) is None or got is None:
            if (wanted or None) is not got:
                yield self._value(path, [wanted] if wanted else [], [] if value is None else [value])
        elif wanted is not None and not _same(wanted, got):
            yield self._value(path, [wanted], [] if value is None else [value])

    def _several(
        self, part: str, name: str, wanted: Sequence[str] | None, made: Sequence[DesiredValue]
    ) -> Iterator[Difference]:
        meaning = self._meanings.get(name, str.strip)
        there = {meaning(one.text) for one in made}
        if wanted:
            if not {meaning(one) for one in wanted} <= there:
                yield self._value((part, name), wanted, made)
        elif made:
            yield self._value((part, name), [], made)

    def _value(self, path: tuple[Key, ...], wanted: Sequence[str], made: Sequence[DesiredValue]) -> Difference:
        got = ", ".join(one.text for one in made) or NOT_SENT
        at = self._written.place("expect", *path)
        place, expression = self._source_of(path)
        first = made[0] if made else None
        return Difference(
            _dotted(path),
            ", ".join(wanted) or NOT_SENT,
            got,
            at,
            first.place if first and first.place.line else place,
            (first.expression if first else "") or expression,
            first.message if first else None,
        )

    def _note(self) -> Iterator[Difference]:
        note = self._outcome.desired.note if self._outcome.desired else None
        got, wanted = note.text if note else NOT_SENT, self._expect.note
        if "note" not in self._named:
            return
        if not wanted or wanted == ["none"]:
            if note is not None:
                yield self._differs("note", NOT_SENT, got, ("note",))
            return
        for at, text in enumerate(wanted):
            if note is None or _lines(text) not in _lines(got):
                yield self._differs("note", text.strip("\n"), got, ("note", at))

    def _absent(self) -> Iterator[Difference]:
        for at, path in enumerate(self._expect.absent):
            steps = tuple(path.split(".", 2))
            made = self._at(steps)
            if made:
                yield self._differs(path, NOT_SENT, ", ".join(made), ("absent", at), steps)

    def _at(self, steps: tuple[str, ...]) -> list[str]:
        """What was made at a dotted path, as texts."""
        desired = self._outcome.desired
        part = getattr(desired, steps[0])
        if part is None:
            return []
        if steps[0] not in PARTS:
            return [part.text]
        if len(steps) == 1:
            return [f"there is a {steps[0]}"]
        if steps[1] == "fields":
            return [one.text for one in part.fields if one.target == steps[2]]
        return [one.text for one in _made(part, steps[1])]

    def _differs(
        self, name: str, expected: str, got: str, at: tuple[Key, ...], made: tuple[Key, ...] | Place | None = None
    ) -> Difference:
        """`at` leads to the value inside `expect`; `made` is the place in the mapping, or leads to it."""
        place = self._written.place(*(("expect", *at) if at else ()))
        if isinstance(made, Place):
            return Difference(name, expected, got, place, made)
        return Difference(name, expected, got, place, *self._source_of(made or (name,)))

    def _source_of(self, path: tuple[Key, ...]) -> tuple[Place | None, str]:
        """The line of the mapping that makes a value, and what stands there."""
        node, found = self._mapping.node(*path)
        if len(found) < len(path):
            return None, ""
        inner = node.children.get("value", node)
        return inner.text_place, inner.value if isinstance(inner.value, str) else ""


def _made(part: DesiredContact | DesiredLead, name: str) -> list[DesiredValue]:
    """What was made for a name: a value, or several phones, e-mails or tags."""
    if name == "tags":
        origins = [(text, part.tag_origins.get(text, _NOWHERE)) for text in part.tags]
        return [DesiredValue("tags", text, "update", one) for text, one in origins]
    if isinstance(part, DesiredContact) and name in ("phone", "email"):
        return list(part.phones if name == "phone" else part.emails)
    return [one for one in part.values if one.target == name]


def _found(values: Sequence[DesiredValue], target: str) -> DesiredValue | None:
    return next((one for one in values if one.target == target), None)


def _same(wanted: str, got: str) -> bool:
    """Equal texts but for white space at the edges, or equal numbers."""
    if wanted.strip() == got.strip():
        return True
    number = number_of(wanted)
    return number is not None and number == number_of(got)


def _lines(text: str) -> str:
    """A note for comparing: white space at the ends of its lines and around it does not count."""
    return "\n".join(line.rstrip() for line in text.strip().splitlines())


def _reason(error: LeadsyncError) -> str:
    field = getattr(error, "field", None)
    return f"{field}: {error.what}" if field else error.what


def _made_at(error: LeadsyncError | None) -> Place | None:
    return error.where if error is not None and isinstance(error.where, Place) else None


def _dotted(path: tuple[Key, ...]) -> str:
    return ".".join(map(str, path))
