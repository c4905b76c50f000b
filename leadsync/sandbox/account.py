"""The account: what it holds, and the few steps by which that changes. It checks nothing; `rules` has done so."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from zoneinfo import ZoneInfo

from .entities import KINDS, Entity, Note
from .events import Event
from .fields import Field, FieldBook
from .links import End, Link, Links
from .settings import Content, Pipeline, Status, Tag, User
from .shelf import Shelf
from .storage import ContentFile

CONTENT_KINDS = (*KINDS, "notes", "tags", "links", "fields", "pipelines", "users", "facts", "events")


@dataclass(slots=True)
class Facts:
    """A named dictionary of the content file (account info, counters, loss reasons)."""

    body: dict[str, Any]

    def stored(self) -> dict[str, Any]:
        """What is kept in the content file."""
        return self.body


class Account:
    """Everything in one amoCRM account. `clock` gives Unix seconds; `changes` grows with every write."""

    def __init__(self, content: Content, file: ContentFile, clock: Callable[[], float]) -> None:
        self.file = file
        self.clock = clock
        self.changes = 0
        self.shelves: dict[str, Shelf[Entity]] = {kind: Shelf() for kind in KINDS}
        self.notes: dict[str, Shelf[Note]] = {kind: Shelf() for kind in KINDS}
        self.links = Links()
        self.tags: dict[int, Tag] = {}
        self.events: dict[str, Event] = {}
        self._tag_ids: dict[tuple[str, str], int] = {}
        self._notes_of: dict[End, list[int]] = {}
        self._start(content)
        self._restore()
        file.flush()

    # What is in it

    @property
    def leads(self) -> Shelf[Entity]:
        """The leads by id."""
        return self.shelves["leads"]

    @property
    def contacts(self) -> Shelf[Entity]:
        """The contacts by id."""
        return self.shelves["contacts"]

    @property
    def companies(self) -> Shelf[Entity]:
        """The companies by id."""
        return self.shelves["companies"]

    @property
    def id(self) -> int:
        """The account's id."""
        return int(self.info["id"])

    def now(self) -> int:
        """Unix seconds, whole."""
        return int(self.clock())

    def pipeline_of(self, status_id: int) -> Pipeline | None:
        """The pipeline a status belongs to; the main one for 142 and 143."""
        return next((pipeline for pipeline in self.pipelines.values() if pipeline.status(status_id)), None)

    @property
    def main_pipeline(self) -> Pipeline:
        """The pipeline leads go to when none is named."""
        return next(pipeline for pipeline in self.pipelines.values() if pipeline.is_main)

    def status(self, name: str, pipeline: str | None = None) -> Status:
        """A status by name, in a pipeline by name or in the main one; KeyError when there is none."""
        among = self.main_pipeline if pipeline is None else self._pipeline_named(pipeline)
        for status in among.statuses:
            if status.name == name:
                return status
        raise KeyError(name)

    def _pipeline_named(self, name: str) -> Pipeline:
        return next(pipeline for pipeline in self.pipelines.values() if pipeline.name == name)

    def notes_of(self, kind: str, id: int) -> list[Note]:
        """The notes of one entity, oldest first."""
        return [self.notes[kind][note_id] for note_id in self._notes_of.get((kind, id), ())]

    def tag_named(self, kind: str, name: str) -> Tag | None:
        """The tag of that name among one entity type's."""
        id = self._tag_ids.get((kind, name))
        return None if id is None else self.tags[id]

    # How it changes

    def next_id(self, counter: str, step: int = 2) -> int:
        """A new id: counters grow by an even step, as ids of a busy account never come one after another."""
        self.counters[counter] = self.counters.get(counter, 0) + step
        self.file.keep("facts", "counters", Facts(self.counters))
        return self.counters[counter]

    def put(self, entity: Entity) -> None:
        """Adds an entity, or takes note that it changed."""
        entity.prepare(self.fields[entity.kind])
        self.shelves[entity.kind].put(entity)
        self._kept(entity.kind, entity.id, entity)

    def remove(self, kind: str, id: int) -> None:
        """Deletes an entity with its notes and links; KeyError when it is not there."""
        self.shelves[kind].remove(id)
        for other, _ in self.links.of((kind, id)):
            self.unlink((kind, id), other)
        for note_id in self._notes_of.pop((kind, id), []):
            self.notes[kind].remove(note_id)
            self._dropped("notes", note_id)
        self._dropped(kind, id)
        self._happened(f"{kind.removesuffix('s')}_deleted", kind.removesuffix("s"), id)

    def _happened(self, what: str, entity: str, id: int) -> None:
        event = Event(f"e{self.next_id('events')}", what, id, entity, 0, self.now())
        self.events[event.id] = event
        self._kept("events", event.id, event)

    def put_note(self, note: Note) -> None:
        """Adds a note, or takes note that it changed."""
        if note.id not in self.notes[note.kind]:
            self._notes_of.setdefault((note.kind, note.entity_id), []).append(note.id)
        self.notes[note.kind].put(note)
        self._kept("notes", note.id, note)

    def tag(self, kind: str, name: str, color: str | None = None) -> Tag:
        """The tag of that name, made if there is none."""
        found = self.tag_named(kind, name)
        if found is not None:
            return found
        tag = Tag(self.next_id("tags"), kind, name, color)
        self._put_tag(tag)
        self._kept("tags", tag.id, tag)
        return tag

    def _put_tag(self, tag: Tag) -> None:
        self.tags[tag.id] = tag
        self._tag_ids[tag.kind, tag.name] = tag.id

    def link(self, one: End, other: End, is_main: bool = False) -> Link:
        """Links two entities, or changes which contact is a lead's main one; the first contact is it anyway."""
        link = self.links.between(one, other) or Link(one, other)
        self.links.add(link)
        if {one[0], other[0]} == {"leads", "contacts"}:
            lead = one if one[0] == "leads" else other
            rivals = [rival for _, rival in self.links.of(lead, "contacts") if rival is not link]
            link.is_main = link.is_main or is_main or not any(rival.is_main for rival in rivals)
            self._step_down(rivals if is_main else ())
        self._kept("links", link.name, link)
        return link

    def _step_down(self, rivals: Iterable[Link]) -> None:
        for rival in rivals:
            if rival.is_main:
                rival.is_main = False
                self._kept("links", rival.name, rival)

    def unlink(self, one: End, other: End) -> None:
        """Takes a link away, if there is one; a lead's next contact becomes the main one."""
        link = self.links.between(one, other)
        if link is None:
            return
        self.links.remove(link)
        self._dropped("links", link.name)
        lead = one if one[0] == "leads" else other
        if link.is_main and (rest := self.links.of(lead, "contacts")):
            heir = rest[0][1]
            heir.is_main = True
            self._kept("links", heir.name, heir)

    def put_field(self, field: Field) -> None:
        """Adds a custom field, or takes note that it changed."""
        self.fields[field.entity].put(field)
        self._kept("fields", field.id, field)

    def remove_field(self, field: Field) -> None:
        """Deletes a custom field."""
        self.fields[field.entity].remove(field.id)
        self._dropped("fields", field.id)

    def reset(self, content: Content) -> None:
        """Back to the starting account; everything made since is gone."""
        for kind in KINDS:
            self.shelves[kind].clear()
            self.notes[kind].clear()
        self.links.clear()
        self.tags.clear()
        self.events.clear()
        self._tag_ids.clear()
        self._notes_of.clear()
        self.file.wipe(*CONTENT_KINDS)
        self._start(content)

    def _kept(self, kind: str, id: int | str, thing: Any) -> None:
        self.changes += 1
        self.file.keep(kind, id, thing)

    def _dropped(self, kind: str, id: int | str) -> None:
        self.changes += 1
        self.file.drop(kind, id)

    # Where it comes from

    def _start(self, content: Content) -> None:
        kept = dict(self.file.rows("facts"))
        self.info = dict(kept.get("info", content.info))
        self.counters: dict[str, int] = dict(kept.get("counters", content.counters))
        reasons = kept.get("loss_reasons", content.loss_reasons)
        self.loss_reasons = {int(id): name for id, name in reasons.items()}
        self.zone = ZoneInfo(self.info["timezone"])
        pipelines = list(map(Pipeline.restored, _bodies(self.file, "pipelines"))) or content.pipelines
        users = [User(**row) for row in _bodies(self.file, "users")] or content.users
        self.pipelines: dict[int, Pipeline] = {pipeline.id: pipeline for pipeline in pipelines}
        self.users: dict[int, User] = {user.id: user for user in users}
        self.fields = {kind: FieldBook() for kind in KINDS}
        for field in [Field.restored(row) for row in _bodies(self.file, "fields")] or content.fields:
            self.fields[field.entity].put(field)
        if not kept:
            self._write_down()

    def _write_down(self) -> None:
        named = {"info": self.info, "counters": self.counters}
        for name, body in named.items():
            self.file.keep("facts", name, Facts(body))
        self.file.keep("facts", "loss_reasons", Facts({str(id): name for id, name in self.loss_reasons.items()}))
        for pipeline in self.pipelines.values():
            self.file.keep("pipelines", pipeline.id, pipeline)
        for user in self.users.values():
            self.file.keep("users", user.id, user)
        for book in self.fields.values():
            for field in book:
                self.file.keep("fields", field.id, field)

    def _restore(self) -> None:
        for kind in KINDS:
            for id, row in self.file.rows(kind):
                entity = Entity.restored(kind, int(id), row)
                entity.prepare(self.fields[kind])
                self.shelves[kind].put(entity)
        for id, row in self.file.rows("notes"):
            note = Note(row["kind"], int(id), row["entity_id"], row["facts"])
            self._notes_of.setdefault((note.kind, note.entity_id), []).append(note.id)
            self.notes[note.kind].put(note)
        for _, row in self.file.rows("tags"):
            self._put_tag(Tag(**row))
        for id, row in self.file.rows("events"):
            self.events[id] = Event(**row)
        for _, row in self.file.rows("links"):
            self.links.add(Link(tuple(row["one"]), tuple(row["other"]), row["is_main"]))


def _bodies(file: ContentFile, kind: str) -> list[Mapping[str, Any]]:
    return [row for _, row in file.rows(kind)]
