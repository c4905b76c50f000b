"""Gauges: the figures of an account, as Prometheus reads them; the same numbers as `leadsync status`."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client import Metric
from prometheus_client.core import GaugeMetricFamily

from leadsync.figures import Figures


def gauges_of(figures: Figures | None) -> Iterator[Metric]:
    """Every gauge; of an account whose Redis does not answer (None) only that."""
    yield _gauge("redis_up", "1 when Redis answers, and what it holds can be read.", float(figures is not None))
    if figures is None:
        return
    refused, batches, now = figures.refused, figures.batches, figures.at
    yield _gauge("refused_records", "Refused records, and pushes that are held back.", refused.count)
    yield _gauge("held_back_records", "The pushes among them, which go in by themselves.", figures.held_back)
    yield _gauge("refused_age_seconds", "Since the oldest of them was tried last.", refused.age(now))
    yield _gauge("open_batches", "Batches under way, or left by who died.", batches.count)
    yield _gauge("open_batches_age_seconds", "Since the oldest of them was begun.", batches.age(now))
    yield from _queues(figures)
    yield _gauge("budget_requests_per_second", "What all processes may send together.", figures.rate)
    yield _gauge("budget_used_ratio", "The part of it that was sent over the last seconds.", figures.used)
    yield _gauge("budget_share_ratio", "The part of it that is left after a 429; climbs to 1.", figures.pace.share)
    yield _gauge("budget_quiet_seconds", "For how long nothing is sent, as amoCRM asked.", figures.pace.quiet)
    yield _gauge("workers", "Living processes that work on the account.", len(figures.workers))
    if figures.token_issued is not None:
        age = max(0.0, now - figures.token_issued)
        yield _gauge("token_age_seconds", "Since the access token was given; it lives for a day.", age)


def _queues(figures: Figures) -> Iterator[Metric]:
    if not figures.queues:
        return
    up = GaugeMetricFamily("leadsync_queue_up", "1 when the queue says what waits.", labels=["source"])
    length = GaugeMetricFamily("leadsync_queue_length", "What waits in a queue for any worker.", labels=["source"])
    age = GaugeMetricFamily("leadsync_queue_age_seconds", "For how long the oldest waits.", labels=["source"])
    for name, queue in figures.queues.items():
        up.add_metric([name], float(queue is not None))
        if queue is not None:
            length.add_metric([name], queue.count)
            age.add_metric([name], queue.age(figures.at))
    yield from (up, length, age)


def _gauge(name: str, help_: str, value: float) -> Metric:
    return GaugeMetricFamily(f"leadsync_{name}", help_, value)
