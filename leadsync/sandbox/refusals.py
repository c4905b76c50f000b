"""What the sandbox says when it refuses: problem bodies, validation errors, and the gateway's HTML pages.

Shapes: amoCRM docs crm_platform/error-codes and Kommo docs http-codes; `type` is always `https://httpstatus.es/NNN`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

PROBLEM_JSON = "application/problem+json"
HTML = "text/html"


class Refused(Exception):
    """An answer that is no success: `status`, a JSON body or an HTML page, and extra headers."""

    def __init__(self, status: int, body: Mapping[str, Any] | str | None, headers: Mapping[str, str] | None = None):
        super().__init__(status)
        self.status = status
        self.body = body
        self.headers = dict(headers or {})

    @property
    def media_type(self) -> str:
        """`text/html` for a page of the gateway, `application/problem+json` for the rest."""
        return HTML if isinstance(self.body, str) else PROBLEM_JSON


@dataclass(frozen=True, slots=True)
class Mistake:
    """One error of one item: `path` is dotted inside the item (`custom_fields_values.0.field_id`)."""

    code: str
    path: str
    detail: str


class Mistakes(list[Mistake]):
    """The errors found in one item so far; each method adds one in amoCRM's words."""

    def choice(self, path: str) -> None:
        """An id, code or option the account does not have."""
        self.append(Mistake("NotSupportedChoice", path, "The value you selected is not a valid choice."))

    def type(self, path: str, expected: str) -> None:
        """A value of the wrong JSON type; `expected` is PHP's name of the right one."""
        self.append(Mistake("InvalidType", path, f"This value should be of type {expected}."))

    def unexpected(self, path: str) -> None:
        """A key that has no place there."""
        self.append(Mistake("FieldNotExpected", path, "This field was not expected."))

    def missing(self, path: str) -> None:
        """A key that must be there."""
        self.append(Mistake("FieldMissing", path, "This field is missing."))

    def long(self, path: str, limit: int) -> None:
        """A text above its limit in characters."""
        detail = f"This value is too long. It should have {limit} characters or less."
        self.append(Mistake("TooLong", path, detail))

    def other(self, code: str, path: str, detail: str) -> None:
        """Anything the other methods have no words for."""
        self.append(Mistake(code, path, detail))


def problem(status: int, detail: str, **extra: Any) -> Refused:
    """A problem+json answer with the standard title of its status; `extra` keys come last."""
    title = HTTPStatus(status).phrase
    body = {"title": title, "type": f"https://httpstatus.es/{status}", "status": status, "detail": detail, **extra}
    return Refused(status, body)


def invalid(mistakes: Mapping[str, Sequence[Mistake]]) -> Refused:
    """400 for a whole request: the mistakes of each bad item under its request_id."""
    listed = [
        {"request_id": name, "errors": [{"code": m.code, "path": m.path, "detail": m.detail} for m in found]}
        for name, found in mistakes.items()
    ]
    refused = problem(400, "Request validation failed")
    assert isinstance(refused.body, Mapping)
    return Refused(400, {"validation-errors": listed, **refused.body})


def empty() -> Refused:
    """400 for a body with nothing in it."""
    return problem(400, "Request data can not be empty")


def unauthorized() -> Refused:
    """401 for a missing, unknown, expired or revoked token."""
    return problem(401, "Invalid user name or password")


def unknown_error() -> Refused:
    """500 in the API's own words (Kommo answers so to a link that exists already)."""
    return problem(500, "An unknown error occurred.")


def page(status: int, headers: Mapping[str, str] | None = None) -> Refused:
    """The gateway's HTML page: what amoCRM answers to a flood (429), a ban (403), a time-out (504)."""
    title = f"{status} {HTTPStatus(status).phrase}"
    html = (
        f"<html>\r\n<head><title>{title}</title></head>\r\n<body>\r\n"
        f"<center><h1>{title}</h1></center>\r\n<hr><center>nginx</center>\r\n</body>\r\n</html>\r\n"
    )
    return Refused(status, html, headers)
