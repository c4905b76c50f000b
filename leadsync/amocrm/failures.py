"""What every answer of amoCRM, and every way of getting none, means: one table from answer to error class.

    answer                                            on a read             on a write
    not sent (connect error or time-out, full pool)   Unavailable           Unavailable
    lost (read time-out, reset, cut body, any 5xx,    Unavailable           UnknownOutcome
      HTML 404, 400 «системная ошибка»)
    400 with validation-errors                        ValidationError       ValidationError
    400 with an `errors` map on PATCH                 -                     PartlyApplied (the good items ARE applied)
    401                                               AuthorizationRequired AuthorizationRequired
    402                                               AmoCRMAPIError (a read is tried again: seen for minutes at night)
    403 JSON / HTML                                   Forbidden / Banned    Forbidden / Banned
    404 JSON                                          NotFound              NotFound
    429, HTML or JSON                                 RateLimitError        RateLimitError
    anything else                                     AmoCRMAPIError        AmoCRMAPIError

`AmoCRMUnavailable` therefore always means "surely changed nothing", which is what makes it safe to send again.
No part of a body reaches a message but title, detail, hint, code and path, and those lose whatever they quote; title,
detail and hint also every word of what was sent.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any

import httpx
import orjson

from leadsync.amocrm.redaction import without_values
from leadsync.amocrm.sent_words import sent_words, without_words
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
    ItemRefusal,
)

READS = frozenset({"GET", "HEAD", "OPTIONS"})
SYSTEM_ERROR = "системная ошибка"
"""Part of the detail of a 400 that goes away by itself (amocrm-api.md §2)."""

LOG_IN = "log in with `leadsync auth login`, or put a living AMOCRM_ACCESS_TOKEN into the environment"
_ADDRESS_NOT_ALLOWED = "113"
_SHOWN_REFUSALS = 5

_NOT_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.ProxyError)
_OUR_FAULT = (httpx.UnsupportedProtocol, httpx.LocalProtocolError, httpx.TooManyRedirects)


class PartlyApplied(AmoCRMNotFound):
    """A batch PATCH named ids that do not exist (`missing`: id → reason); its other items ARE applied.

    Source: recorded by two integrators, no official page (amocrm-api.md §6).
    """

    def __init__(self, what: str, *, missing: Mapping[int, str], where: str) -> None:
        super().__init__(what, status=400, where=where, do="leave those ids out; the other items are written")
        self.missing = dict(missing)


@dataclass(frozen=True, slots=True)
class _Answer:
    """A response with the few parts the table looks at."""

    method: str
    route: str
    response: httpx.Response
    body: Any
    """The decoded JSON, or None when the body is no JSON (a gateway's HTML page, nothing at all)."""

    @property
    def where(self) -> str:
        return f"{self.method} {self.route}"

    @property
    def status(self) -> int:
        return self.response.status_code

    @property
    def said(self) -> str:
        """Title, detail, hint and code as one text without anything they quote or repeat; empty for an HTML page."""
        if not isinstance(self.body, dict):
            return ""
        words = sent_words(self.response)
        parts = [self.body.get(name) for name in ("title", "detail", "hint")]
        shown = [without_values(without_words(str(part), words)) for part in parts if part]
        code = self.body.get("code")
        return ", ".join([*shown, without_values(str(code))] if code else shown)

    def what(self, text: str) -> str:
        return f"{text} (amoCRM: {self.said})" if self.said else text


def is_read(method: str) -> bool:
    """Whether a method changes nothing, so that it may always be sent again."""
    return method.upper() in READS


def may_repeat(method: str, error: AmoCRMAPIError) -> bool:
    """Whether the same request may be sent again: nothing was written, and waiting can help."""
    if isinstance(error, AmoCRMRateLimitError | AmoCRMUnavailable):
        return True
    return error.status == 402 and is_read(method)


def failure_of(method: str, route: str, response: httpx.Response) -> AmoCRMAPIError | None:
    """The error an answer stands for, or None for a 2xx. `route` is shown as it is: give it without ids and query."""
    if response.is_success:
        return None
    answer = _Answer(method, route, response, _json_or_none(response.content))
    if response.status_code >= 500:
        return _lost(answer)
    return _BY_STATUS.get(response.status_code, _stopped)(answer)


def failure_of_exception(method: str, route: str, error: BaseException) -> AmoCRMAPIError:
    """The error for a request that got no answer, from the exception httpx raised (or a TimeoutError)."""
    where, kind = f"{method} {route}", type(error).__name__
    if isinstance(error, _NOT_SENT):
        do = "check the network and the account's address; nothing was sent"
        return AmoCRMUnavailable(f"amoCRM cannot be reached ({kind})", where=where, do=do)
    if isinstance(error, _OUR_FAULT):
        return AmoCRMAPIError(f"the request cannot be sent ({kind})", where=where, do="check AMOCRM_BASE_URL")
    return _no_answer(method, where, f"the answer was lost ({kind})")


def answer_of(method: str, route: str, response: httpx.Response) -> Any:
    """The decoded body of an answer, None for 204; raises what the table says, also for a body cut short."""
    failure = failure_of(method, route, response)
    if failure is not None:
        raise failure
    if response.status_code == 204:
        return None
    try:
        return orjson.loads(response.content)
    except orjson.JSONDecodeError:
        what = "the answer cannot be read (no JSON, or cut short)"
        raise _no_answer(method, f"{method} {route}", what, response.status_code) from None


def retry_after_of(response: httpx.Response, *, now: float | None = None) -> float | None:
    """Seconds to wait: the Retry-After header (seconds or a date), else a JSON body's `retry_after`; None: not said."""
    header = response.headers.get("Retry-After", "").strip()
    seconds = _seconds(header)
    if seconds is None and header:
        seconds = _seconds_until(header, time.time() if now is None else now)
    if seconds is None and isinstance(body := _json_or_none(response.content), dict):
        seconds = _seconds(body.get("retry_after"))
    return seconds


def _seconds(value: Any) -> float | None:
    try:
        seconds = float(value)
    except (TypeError, ValueError):
        return None
    return seconds if 0 <= seconds < float("inf") else None


def _seconds_until(date: str, now: float) -> float | None:
    try:
        return max(0.0, parsedate_to_datetime(date).timestamp() - now)
    except ValueError:
        return None


def _json_or_none(content: bytes) -> Any:
    try:
        return orjson.loads(content)
    except orjson.JSONDecodeError:
        return None


def _no_answer(method: str, where: str, what: str, status: int | None = None) -> AmoCRMAPIError:
    if is_read(method):
        return AmoCRMUnavailable(what, status=status, where=where, do="try again later; nothing was changed")
    do = "look in the CRM whether it was written before sending it again"
    return AmoCRMUnknownOutcome(what, status=status, where=where, do=do)


def _lost(answer: _Answer) -> AmoCRMAPIError:
    error = _no_answer(answer.method, answer.where, answer.what(f"amoCRM failed ({answer.status})"), answer.status)
    error.retry_after = retry_after_of(answer.response)
    return error


def _stopped(answer: _Answer) -> AmoCRMAPIError:
    what = answer.what(f"amoCRM answered {answer.status}")
    do = "check the account's address (AMOCRM_BASE_URL, subdomain)" if answer.response.is_redirect else None
    return AmoCRMAPIError(what, status=answer.status, where=answer.where, do=do)


def _bad_request(answer: _Answer) -> AmoCRMAPIError:
    body = answer.body if isinstance(answer.body, dict) else {}
    if SYSTEM_ERROR in str(body.get("detail", "")).lower():
        return _lost(answer)
    refusals = body.get("validation-errors")
    if isinstance(refusals, list) and refusals:
        return _refused(answer, refusals)
    missing = _missing_ids(body.get("errors"), answer)
    if missing and answer.method == "PATCH":
        return PartlyApplied(f"amoCRM does not know {len(missing)} of the ids", missing=missing, where=answer.where)
    return _stopped(answer)


def _missing_ids(errors: Any, answer: _Answer) -> dict[int, str]:
    if not isinstance(errors, dict) or not all(str(name).isdecimal() for name in errors):
        return {}
    words = sent_words(answer.response)
    return {int(name): without_values(without_words(str(reason), words)) for name, reason in errors.items()}


def _refused(answer: _Answer, refusals: list[Any]) -> AmoCRMAPIError:
    words = sent_words(answer.response)
    items = {str(one.get("request_id", "")): _refusals_of(one, words) for one in refusals if isinstance(one, dict)}
    reasons = dict.fromkeys(f"{why.code} at {why.path}" for found in items.values() for why in found)
    shown = ", ".join(list(reasons)[:_SHOWN_REFUSALS])
    what = f"amoCRM refused {len(items)} of the items, and with them the whole request: {shown}"
    do = "correct the named fields, or leave those items out and send the others again"
    return AmoCRMValidationError(what, items=items, status=answer.status, where=answer.where, do=do)


def _refusals_of(item: Mapping[str, Any], words: frozenset[str]) -> tuple[ItemRefusal, ...]:
    listed = item.get("errors")
    found = [one for one in listed if isinstance(one, dict)] if isinstance(listed, list) else []
    told = [[str(one.get(name) or "") for name in ("code", "path", "detail")] for one in found]
    return tuple(
        ItemRefusal(without_values(code), without_values(path), without_values(without_words(detail, words)))
        for code, path, detail in told
    )


def _unauthorized(answer: _Answer) -> AmoCRMAPIError:
    what = answer.what("amoCRM does not accept the access")
    return AuthorizationRequired(what, status=401, where=answer.where, do=LOG_IN)


def _not_paid(answer: _Answer) -> AmoCRMAPIError:
    what = answer.what("amoCRM says that the account is not paid")
    do = "pay for the account; seen for some minutes at night on paid ones: then try again"
    return AmoCRMAPIError(what, status=402, where=answer.where, do=do)


def _forbidden(answer: _Answer) -> AmoCRMAPIError:
    if not isinstance(answer.body, dict):
        what = "amoCRM has blocked the account or this address (403 with the gateway's page)"
        return AmoCRMBanned(what, status=403, where=answer.where, do="stop sending and write to amoCRM's support")
    do = "give the user of the token this right, or the integration this scope"
    if str(answer.body.get("code", "")) == _ADDRESS_NOT_ALLOWED:
        do = "add this machine's address to the list of allowed ones in the account's settings"
    return AmoCRMForbidden(answer.what("amoCRM forbids this call"), status=403, where=answer.where, do=do)


def _not_found(answer: _Answer) -> AmoCRMAPIError:
    if not isinstance(answer.body, dict):
        return _lost(answer)
    what = answer.what("amoCRM does not have this address or entity")
    return AmoCRMNotFound(what, status=404, where=answer.where, do="check the id; it may have been deleted")


def _too_many(answer: _Answer) -> AmoCRMAPIError:
    wait = retry_after_of(answer.response)
    do = "lower requests_per_second, or look for what else uses this integration"
    return AmoCRMRateLimitError("amoCRM got too many requests", status=429, where=answer.where, do=do, retry_after=wait)


_BY_STATUS: Mapping[int, Callable[[_Answer], AmoCRMAPIError]] = {
    400: _bad_request,
    401: _unauthorized,
    402: _not_paid,
    403: _forbidden,
    404: _not_found,
    429: _too_many,
}
