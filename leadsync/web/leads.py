"""`POST /leads`: one record from a bot in any language."""

from __future__ import annotations

from typing import Annotated, Any
from uuid import uuid4

from fastapi import APIRouter
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StrictFloat, StrictInt, model_validator

from leadsync.sync.results import PushResult
from leadsync.web.problems import Fault, described, unavailable
from leadsync.web.service import PREFIX, SOURCE, Service

DEEPEST = 32
"""Levels of nesting in a body."""


def _is_deeper(value: Any, levels: int) -> bool:
    if not isinstance(value, dict | list):
        return False
    inside = value.values() if isinstance(value, dict) else value
    return levels == 0 or any(_is_deeper(one, levels - 1) for one in inside)


def _no_truth(value: Any) -> Any:
    if isinstance(value, bool):
        raise ValueError("Input should be a valid integer")
    return value


Whole = Annotated[int, Field(gt=-(2**53), lt=2**53), BeforeValidator(_no_truth)]
"""A number that is meant as text, 42.0 as well as 42; a longer one loses its last digits in JSON (RFC 8259 §6)."""


class LeadRequest(BaseModel):
    """One talk. Any other field is kept and visible to the mapping's templates."""

    model_config = ConfigDict(
        extra="allow",
        json_schema_extra={
            "examples": [
                {
                    "id": "42",
                    "source": "telegram",
                    "user_name": "Иван",
                    "phone": "8 916 123-45-67",
                    "product_interest": "AI Manager",
                    "budget": 50000,
                    "conversation_history": "Клиент: Здравствуйте, сколько стоит?",
                    "metadata": {"username": "ivan"},
                }
            ]
        },
    )

    id: Annotated[str, Field(min_length=1, max_length=200)] | Whole | None = Field(
        None,
        description="identity of the talk in its source: the same id never makes a second lead, at the same moment "
        "neither. Without one every request is a talk of its own",
    )
    source: Annotated[str, Field(min_length=1, max_length=100)] | None = Field(SOURCE, description="where the talk was")
    user_name: str | None = None
    phone: str | Whole | None = Field(None, description="in any spelling")
    email: str | None = None
    product_interest: str | None = None
    budget: StrictInt | StrictFloat | str | None = Field(None, description="a number, or text with one")
    conversation_history: str | None = Field(None, description="the talk as text")
    messages: list[str | dict[str, Any]] | None = Field(
        None,
        description="the talk as `{role, text, at}`, oldest first; sent again with the id, only new ones are noted",
    )
    metadata: dict[str, Any] | None = None

    @model_validator(mode="before")
    @classmethod
    def _is_shallow(cls, body: Any) -> Any:
        if _is_deeper(body, DEEPEST):
            raise ValueError(f"nested more than {DEEPEST} levels deep")
        return body

    def record(self) -> dict[str, Any]:
        """The record, with a fresh id when the bot gave none."""
        fields = self.model_dump(exclude_none=True)
        return {**fields, "id": str(fields.get("id", uuid4().hex))}


class LeadAnswer(BaseModel):
    """What became of the talk."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"lead_id": 31, "contact_id": 17, "success": True, "message": "the lead was created"}]
        }
    )

    lead_id: int | None = Field(description="null when the mapping's `when` leaves the talk out")
    contact_id: int | None = Field(description="null for a talk without phone and e-mail")
    success: bool
    message: str = Field(description="what was done, in a sentence")


class Leads:
    """The route for records."""

    def __init__(self, service: Service) -> None:
        self._service = service

    def add_to(self, keyed: APIRouter) -> None:
        """Add the route."""
        keyed.add_api_route(
            f"{PREFIX}/leads",
            self.push,
            tags=["amocrm"],
            methods=["POST"],
            summary="Bring one talk into amoCRM",
            responses=described(
                _400="refused: `message` says why. The record is kept: `leadsync failed list`",
                _401="the API key is missing or wrong",
                _413="the body is larger than 1 MiB",
                _422="the body is no JSON, or a field has the wrong type",
                _503="amoCRM or Redis is away, or a login is needed. The record is kept and goes in by itself, "
                "unless it is Redis that does not answer; sent again with its `id` it makes no second lead",
            ),
        )

    async def push(self, lead: LeadRequest) -> LeadAnswer:
        """Create or update the contact, the lead and the note of one talk, as the project's mapping says.

        Answers when amoCRM has it, within 25 seconds. With an `id` the request can be repeated freely: the same id is
        one lead for ever. Without one every request makes a lead; a failed answer names the id that it was given, with
        which it can be repeated.
        """
        record = lead.record()
        result = await self._service.push(record)
        if not result.success:
            raise _fault(result, record["id"])
        return LeadAnswer(lead_id=result.lead_id, contact_id=result.contact_id, success=True, message=result.message)


def _fault(result: PushResult, record_id: str) -> Fault:
    """The same four fields in a problem, so that a bot can read one answer for all."""
    more = {
        "lead_id": result.lead_id,
        "contact_id": result.contact_id,
        "success": False,
        "message": result.message,
        "id": record_id,
    }
    if result.remedy is not None and result.remedy.blames_record:
        return Fault(400, "refused", "The record was refused", result.message, more=more)
    return unavailable(result.message, more)
