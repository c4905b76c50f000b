"""Push: what one new talk takes that is pushed to a pipeline which is warm."""

from __future__ import annotations

import orjson

from tests.benchmarks.figures import Figure
from tests.benchmarks.options import Options
from tests.benchmarks.place import open_place
from tests.benchmarks.talks import store_talks

BROUGHT_IN = 1000
"""Talks that were brought in before, so that who is who is known."""


def push(options: Options) -> list[Figure]:
    """With `key_field`, as shipped, and without; the limit of requests is switched off."""
    return [*_pushes(options, key_field=True), *_pushes(options, key_field=False)]


def _pushes(options: Options, *, key_field: bool) -> list[Figure]:
    contacts, before, count = options.size((20_000, BROUGHT_IN, 100), (300, 100, 5))
    with open_place(contacts) as place:
        place.set_up(key_field=key_field)
        store_talks(place.redis, 0, before)
        place.leadsync("run")
        pushed = orjson.loads(place.process("push.py", before, count).out)
    kind = "shipped project" if key_field else "without key_field"
    requests = tuple(float(one) for one, _, _, _ in pushed)
    local = tuple(1000 * (seconds - waiting) for _, seconds, waiting, _ in pushed)
    busy = tuple(1000 * one for _, _, _, one in pushed)
    told = f"new talks of new people one after the other, {contacts} contacts"
    return [
        Figure(f"requests of one push, {kind}", requests, "", options.at_most(3), told),
        Figure(f"local time of one push, {kind}", local, "ms", options.at_most(10), "all but waiting for amoCRM"),
        Figure(f"processor time of one push, {kind}", busy, "ms", None, "requests and answers included"),
    ]
