"""The table from answer to error: complete, and silent about what a body holds."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from leadsync.amocrm.failures import PartlyApplied, answer_of, failure_of, failure_of_exception, retry_after_of
from leadsync.amocrm.redaction import route_of, without_values
from leadsync.amocrm.retry import RetryPolicy
from leadsync.errors import (
    AmoCRMAPIError,
    AmoCRMBanned,
    AmoCRMForbidden,
    AmoCRMNotFound,
    AmoCRMRateLimitError,
    AmoCRMUnavailable,
    AmoCRMUnknownOutcome,
    AmoCRMValidationError,
    AuthorizationRequired,
)

FIXTURES = Path(__file__).parent / "fixtures"
PAGE = "<html><body><h1>nginx</h1></body></html>"
SYSTEM_ERROR = {"detail": "Возникла системная ошибка. Пожалуйста, повторите попытку."}

UNAVAILABLE_OR_UNKNOWN = (AmoCRMUnavailable, AmoCRMUnknownOutcome)
JSON_STATUSES: dict[int, tuple[type[AmoCRMAPIError], type[AmoCRMAPIError]]] = {
    401: (AuthorizationRequired, AuthorizationRequired),
    403: (AmoCRMForbidden, AmoCRMForbidden),
    404: (AmoCRMNotFound, AmoCRMNotFound),
    429: (AmoCRMRateLimitError, AmoCRMRateLimitError),
}
PAGE_STATUSES = JSON_STATUSES | {403: (AmoCRMBanned, AmoCRMBanned), 404: UNAVAILABLE_OR_UNKNOWN}


def recorded(name: str) -> tuple[str, httpx.Response]:
    """The method and the answer of a fixture."""
    stored = json.loads(next(FIXTURES.glob(f"{name}_*.json")).read_text())
    answer = stored["response"]
    return stored["request"]["method"], httpx.Response(answer["status"], headers=answer["headers"], json=answer["body"])


def failed(method: str, response: httpx.Response) -> AmoCRMAPIError:
    """The failure an answer stands for; it must be one."""
    failure = failure_of(method, "/leads", response)
    assert failure is not None
    return failure


@pytest.mark.parametrize("method", ["GET", "POST", "PATCH"])
def test_every_status_has_its_class(method: str) -> None:
    """Every status that is no success has a class, on a read and on a write, with a JSON body and with a page."""
    side = 0 if method == "GET" else 1
    for status in range(300, 600):
        general = UNAVAILABLE_OR_UNKNOWN if status >= 500 else (AmoCRMAPIError, AmoCRMAPIError)
        as_json = failed(method, httpx.Response(status, json={"title": "Oops"}))
        as_page = failed(method, httpx.Response(status, text=PAGE))
        assert type(as_json) is JSON_STATUSES.get(status, general)[side], status
        assert type(as_page) is PAGE_STATUSES.get(status, general)[side], status
        assert as_json.status == as_page.status == status


@pytest.mark.parametrize("status", [200, 201, 204, 299])
def test_a_success_is_no_failure(status: int) -> None:
    """A 2xx stands for no error."""
    assert failure_of("POST", "/leads", httpx.Response(status)) is None


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("20", AmoCRMValidationError),
        ("21", AmoCRMValidationError),
        ("23", AmoCRMValidationError),
        ("24", AmoCRMAPIError),
        ("25", PartlyApplied),
        ("26", AuthorizationRequired),
        ("27", AmoCRMAPIError),
        ("28", AmoCRMForbidden),
        ("29", AmoCRMRateLimitError),
        ("30", AuthorizationRequired),
        ("31", AmoCRMAPIError),
    ],
)
def test_recorded_answers_are_understood(name: str, kind: type[AmoCRMAPIError]) -> None:
    """The answers that others recorded give the class their remedy needs."""
    assert type(failed(*recorded(name))) is kind


def test_a_refused_batch_names_its_items() -> None:
    """validation-errors become refusals by request_id, and the message names codes and paths."""
    error = failed(*recorded("20"))
    assert isinstance(error, AmoCRMValidationError)
    assert [(why.code, why.path) for why in error.items["0"]] == [
        ("NotSupportedChoice", "custom_fields_values.0.field_id"),
        ("InvalidType", "status_id"),
    ]
    assert "NotSupportedChoice at custom_fields_values.0.field_id" in error.what


def test_a_partly_applied_change_names_the_missing_ids() -> None:
    """The `errors` map of a PATCH is read by id."""
    error = failed(*recorded("25"))
    assert isinstance(error, PartlyApplied)
    assert error.missing == {999999999: "Lead not found"}


def test_an_errors_map_on_a_post_is_no_partly_applied_change() -> None:
    """Only a PATCH is known to apply its good items next to an `errors` map."""
    assert type(failed("POST", httpx.Response(400, json={"errors": {"1": "Lead not found"}}))) is AmoCRMAPIError


@pytest.mark.parametrize("body", [{"errors": {"name": "x"}}, {"errors": []}, {"validation-errors": "x"}, [], 7])
def test_an_unknown_400_is_a_plain_error(body: Any) -> None:
    """A 400 of another shape is an error of its status, whatever the body."""
    assert type(failed("PATCH", httpx.Response(400, json=body))) is AmoCRMAPIError


def test_refusals_of_another_shape_do_not_break_the_table() -> None:
    """Refusals that are no objects are left out."""
    error = failed("POST", httpx.Response(400, json={"validation-errors": ["x", {"request_id": "1", "errors": 7}]}))
    assert isinstance(error, AmoCRMValidationError)
    assert error.items == {"1": ()}


def test_the_system_error_is_no_answer() -> None:
    """The 400 «системная ошибка» may have been applied on a write, and is tried again on a read."""
    assert type(failed("POST", httpx.Response(400, json=SYSTEM_ERROR))) is AmoCRMUnknownOutcome
    assert type(failed("GET", httpx.Response(400, json=SYSTEM_ERROR))) is AmoCRMUnavailable


def test_an_address_that_is_not_allowed_says_where_to_allow_it() -> None:
    """Code 113 is the account's list of allowed addresses."""
    error = failed("GET", httpx.Response(403, json={"title": "Forbidden", "code": 113}))
    assert error.do is not None
    assert "allowed" in error.do


@pytest.mark.parametrize(
    ("kind", "on_read", "on_write"),
    [
        (httpx.ConnectError, AmoCRMUnavailable, AmoCRMUnavailable),
        (httpx.ConnectTimeout, AmoCRMUnavailable, AmoCRMUnavailable),
        (httpx.PoolTimeout, AmoCRMUnavailable, AmoCRMUnavailable),
        (httpx.ReadTimeout, *UNAVAILABLE_OR_UNKNOWN),
        (httpx.ReadError, *UNAVAILABLE_OR_UNKNOWN),
        (httpx.WriteError, *UNAVAILABLE_OR_UNKNOWN),
        (httpx.WriteTimeout, *UNAVAILABLE_OR_UNKNOWN),
        (httpx.CloseError, *UNAVAILABLE_OR_UNKNOWN),
        (httpx.RemoteProtocolError, *UNAVAILABLE_OR_UNKNOWN),
        (httpx.DecodingError, *UNAVAILABLE_OR_UNKNOWN),
        (TimeoutError, *UNAVAILABLE_OR_UNKNOWN),
        (httpx.LocalProtocolError, AmoCRMAPIError, AmoCRMAPIError),
        (httpx.UnsupportedProtocol, AmoCRMAPIError, AmoCRMAPIError),
    ],
)
def test_no_answer_has_its_class(
    kind: type[Exception], on_read: type[AmoCRMAPIError], on_write: type[AmoCRMAPIError]
) -> None:
    """Not sent is safe to repeat; whatever was sent and lost is unknown on a write."""
    error = kind("to +79161234567 at https://firm.amocrm.ru")
    assert type(failure_of_exception("GET", "/leads", error)) is on_read
    assert type(failure_of_exception("POST", "/leads", error)) is on_write
    assert "7916" not in str(failure_of_exception("POST", "/leads", error))


@pytest.mark.parametrize("body", [b"", b'{"_embedded":{"leads":[{"id":', PAGE.encode()])
def test_a_body_cut_short_is_no_answer(body: bytes) -> None:
    """A 200 that cannot be read leaves a write unknown."""
    with pytest.raises(AmoCRMUnknownOutcome):
        answer_of("POST", "/leads", httpx.Response(200, content=body))
    with pytest.raises(AmoCRMUnavailable):
        answer_of("GET", "/leads", httpx.Response(200, content=body))


def test_204_is_nothing() -> None:
    """204 has no body and means that nothing was found."""
    assert answer_of("GET", "/leads", httpx.Response(204)) is None


NOW = 1_700_000_000.0


@pytest.mark.parametrize(
    ("headers", "body", "seconds"),
    [
        ({"Retry-After": "7"}, PAGE, 7.0),
        ({"Retry-After": format_datetime(datetime.fromtimestamp(NOW + 30, UTC), usegmt=True)}, PAGE, 30.0),
        ({"Retry-After": format_datetime(datetime.fromtimestamp(NOW - 30, UTC), usegmt=True)}, PAGE, 0.0),
        ({}, '{"retry_after": 300}', 300.0),
        ({"Retry-After": "5"}, '{"retry_after": 300}', 5.0),
        ({"Retry-After": "soon"}, PAGE, None),
        ({"Retry-After": "-1"}, "[]", None),
        ({"Retry-After": "nan"}, '{"retry_after": "inf"}', None),
        ({}, PAGE, None),
    ],
)
def test_retry_after_is_read_in_every_form(headers: dict[str, str], body: str, seconds: float | None) -> None:
    """Seconds or a date in the header, or a number in Kommo's JSON; anything else says nothing."""
    assert retry_after_of(httpx.Response(429, headers=headers, text=body), now=NOW) == seconds


@given(
    st.sampled_from([400, 401, 402, 403, 404, 405, 409, 422, 429, 500, 502, 504]),
    st.sampled_from(["title", "detail", "hint", "code"]),
    st.sampled_from(['The value "{}" is wrong', "«{}» нельзя", "Cannot GET https://x.amocrm.ru/api/v4/leads?query={}"]),
    st.sampled_from(["+7 916 123-45-67", "79161234567", "ivan@example.com", "Иван Петров"]),
)
def test_messages_repeat_no_value(status: int, part: str, sentence: str, secret: str) -> None:
    """Whatever an answer quotes stays out of the message."""
    value = secret.replace(" ", "+") if "query=" in sentence else secret
    error = failed("POST", httpx.Response(status, json={part: sentence.format(value)}))
    assert value not in str(error)


def test_refusals_repeat_no_value() -> None:
    """A refusal's detail loses what it quotes; codes and paths stay."""
    body = {
        "validation-errors": [{"request_id": "k", "errors": [{"code": "TooLong", "path": "name", "detail": '"Иван"'}]}]
    }
    error = failed("POST", httpx.Response(400, json=body))
    assert isinstance(error, AmoCRMValidationError)
    assert error.items["k"][0].detail == "…"
    assert "Иван" not in str(error)


def test_shown_texts_are_short() -> None:
    """One shown text has at most 200 characters."""
    assert len(without_values("word " * 1000)) == 200


@pytest.mark.parametrize(
    ("path", "route"),
    [
        ("/api/v4/leads/42/notes", "/leads/{id}/notes"),
        ("/api/v4/leads/42", "/leads/{id}"),
        ("/proxy/api/v4/contacts", "/contacts"),
        ("/oauth2/access_token", "/oauth2/access_token"),
    ],
)
def test_routes_hold_no_ids(path: str, route: str) -> None:
    """A route is a path without its ids."""
    assert route_of(path) == route


def test_waits_grow_keep_what_is_asked_and_end() -> None:
    """Waits double up to the longest, a longer Retry-After is kept, a too long one and the last try end it."""
    policy = RetryPolicy(attempts=9, first_wait=1, longest_wait=5, jitter=0, longest_retry_after=300)
    error = AmoCRMRateLimitError("slow down")
    assert [policy.wait(attempt, error) for attempt in (1, 2, 3, 4, 8, 9)] == [1, 2, 4, 5, 5, None]
    assert policy.wait(1, AmoCRMRateLimitError("slow down", retry_after=60)) == 60
    assert policy.wait(1, AmoCRMRateLimitError("slow down", retry_after=301)) is None


@given(st.integers(1, 8))
def test_jitter_only_adds(attempt: int) -> None:
    """Jitter never makes a wait shorter than what the CRM asked for."""
    wait = RetryPolicy(attempts=9, jitter=2).wait(attempt, AmoCRMRateLimitError("slow down", retry_after=40))
    assert wait is not None
    assert 40 <= wait <= 42
