"""An imagined account: it has every field, pipeline, status and user that is named, so that none has to be asked."""

from __future__ import annotations

from leadsync.amocrm.catalogue import Account, Catalogue, CustomField, Pipeline, Status, User
from leadsync.amocrm.entities import EntityType

UNNAMED = ""
"""The name of a pipeline or a status that a mapping leaves to the account."""


class ImaginedCatalogue(Catalogue):
    """Says yes to every name, and every field takes any text. Its ids mean nothing but which name was meant."""

    def __init__(self) -> None:
        super().__init__(Account(0, "imagined", "imagined", None, False, None), (), (), ())
        self._imagined: dict[tuple[str, str], CustomField] = {}
        self._ids: dict[str, int] = {}
        self._names: dict[int, str] = {}

    def name(self, imagined_id: int) -> str:
        """The pipeline, status or user that an id stands for."""
        return self._names[imagined_id]

    def field(self, entity: EntityType, name: str | int) -> CustomField:
        """A field of this name."""
        found = self._imagined.get((entity, str(name)))
        if found is None:
            number = len(self._imagined) + 1
            found = CustomField(number, str(name), None, "textarea", entity)
            self._imagined[entity, str(name)] = found
        return found

    def pipeline(self, name: str | int) -> Pipeline:
        """A pipeline of this name, whose first status nobody named."""
        number = self._id(name)
        return Pipeline(number, str(name), True, False, (Status(self._id(UNNAMED), UNNAMED, number),))

    def main_pipeline(self) -> Pipeline:
        """The pipeline of whoever names none."""
        return self.pipeline(UNNAMED)

    def status(self, pipeline: Pipeline, name: str | int) -> Status:
        """A status of this name."""
        return Status(self._id(name), str(name), pipeline.id)

    def user(self, name: str | int) -> User:
        """A user of this name, e-mail or id."""
        return User(self._id(name), str(name), "", True)

    def _id(self, name: str | int) -> int:
        found = self._ids.setdefault(str(name), len(self._ids) + 1)
        self._names[found] = str(name)
        return found
