"""Instruments: a listener that counts for Prometheus what happens in this process.

No label holds anything of a record: sources are named as in leadsync.yaml, routes have their ids replaced.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from importlib.metadata import version
from platform import python_version

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from leadsync.events import (
    Backlog,
    Event,
    HeldBack,
    RecordFinished,
    RequestFinished,
    RequestRetried,
    StateChanged,
    TokensStored,
    WebhookCalled,
)
from leadsync.troubles import State

ANSWERS = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20)
"""Seconds: a request is broken off after 20."""

WAYS = (0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 900, 3600, 14_400, 86_400)
"""Seconds from a message to its lead: a fraction of one where all is well, minutes with `settle`, hours in trouble."""

BROUGHT_IN = ("create", "update")
"""Outcomes after which a talk is in the CRM that was not there as it is now."""

DELIVERED, FAILED = "delivered", "failed"


class Instruments:
    """A listener. `registry` has what it counted."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        became = "Records that are done with, by what became of them: create, update, unchanged, skipped, failed."
        self._records = self._counter("records", became, "source", "outcome")
        held = "Pushes that were held back by a trouble that passes, by the state it is; each try counts."
        self._held_back = self._counter("pushes_held_back", held, "state")
        way = "From the moment a record was written, or pushed, to the moment amoCRM had it."
        self._ways = self._histogram("message_to_lead_seconds", way, WAYS, "source")
        asked = "Requests to amoCRM; the status is none where no answer came."
        self._requests = self._counter("amocrm_requests", asked, "method", "route", "status")
        self._answers = self._histogram("amocrm_request_seconds", "From a request to its whole answer.", ANSWERS)
        self._throttled = self._counter("amocrm_throttled", "Requests that amoCRM answered with 429.")
        self._retries = self._counter("amocrm_retries", "Requests that were sent again, by reason.", "reason")
        self._tokens = self._counter("tokens_stored", "Token pairs that were stored, by grant.", "grant")
        self._state = self._gauge("state", "1 for what this process is doing, 0 for all else.", "state")
        self._changes = self._counter("state_changes", "How often this process went into a state.", "state")
        called = "Calls of LEADSYNC_WEBHOOK by this process: delivered, or failed after all tries."
        self._calls = self._counter("webhook_calls", called, "result")
        self._waiting = self._gauge("waiting_records", "Records that this process has read and not sent.", "source")
        self._age = self._gauge("waiting_age_seconds", "For how long the oldest of them waits.", "source")
        about = self._gauge("build_info", "1; which leadsync this is.", "version", "python")
        about.labels(version("leadsync"), python_version()).set(1)
        for state in State:
            self._state.labels(state).set(0)
        for result in DELIVERED, FAILED:
            self._calls.labels(result)

    def __call__(self, event: Event) -> None:
        match event:
            case RequestFinished():
                self._count_request(event)
            case RequestRetried():
                self._retries.labels(event.reason).inc()
            case RecordFinished():
                self._records.labels(event.source, event.outcome).inc()
                if event.outcome in BROUGHT_IN:
                    self._ways.labels(event.source).observe(event.seconds)
            case HeldBack():
                self._held_back.labels(event.state).inc()
            case Backlog():
                self._count_waiting(event)
            case StateChanged():
                self._become(event.state)
            case TokensStored():
                self._tokens.labels(event.grant).inc()
            case WebhookCalled():
                self._calls.labels(DELIVERED if event.delivered else FAILED).inc()
            case _:
                pass

    def _count_request(self, event: RequestFinished) -> None:
        self._requests.labels(event.method, event.route, event.status or "none").inc()
        self._answers.observe(event.seconds)
        if event.status == 429:
            self._throttled.inc()

    def _count_waiting(self, event: Backlog) -> None:
        self._waiting.labels(event.source).set(event.records)
        since = time.time() - event.age
        # Asked when it is shown: nothing is told while everything waits, and its age grows.
        waits = event.records or event.age
        self._age.labels(event.source).set_function(lambda: max(0.0, time.time() - since) if waits else 0.0)

    def _become(self, now: str) -> None:
        for state in State:
            self._state.labels(state).set(state == now)
        self._changes.labels(now).inc()

    def _counter(self, name: str, help_: str, *labels: str) -> Counter:
        return Counter(f"leadsync_{name}", help_, labels, registry=self.registry)

    def _gauge(self, name: str, help_: str, *labels: str) -> Gauge:
        return Gauge(f"leadsync_{name}", help_, labels, registry=self.registry)

    def _histogram(self, name: str, help_: str, buckets: Sequence[float], *labels: str) -> Histogram:
        return Histogram(f"leadsync_{name}", help_, labels, buckets=buckets, registry=self.registry)
