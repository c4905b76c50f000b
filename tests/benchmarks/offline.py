"""Offline: what `dry-run --offline` takes, beside the bare rendering of the same templates."""

from __future__ import annotations

from tests.benchmarks.figures import Bar, Figure, ratio
from tests.benchmarks.options import Options
from tests.benchmarks.place import Ended, Place, open_place
from tests.benchmarks.talks import store_talks


def offline(options: Options) -> list[Figure]:
    """Whole processes, start-up and output included, for an account that was never asked."""
    talks = options.size(20_000, 400)
    text: list[Ended] = []
    json: list[Ended] = []
    bare: list[Ended] = []
    with open_place() as place:
        store_talks(place.redis, 0, talks)
        for _ in options.times(5):
            bare.append(_whole(place.process("bare_jinja.py", place.socket), talks))
            text.append(_whole(_dry_run(place, "text"), talks))
            json.append(_whole(_dry_run(place, "json"), talks))
    names = f"{talks} talks, whole processes, to a pipe; see processes/bare_jinja.py"
    return [
        _beside(f"dry-run --offline of {talks} talks / bare Jinja", text, bare, options.at_most(1.5), names),
        ratio("the same, processor time", [one.busy for one in text], [one.busy for one in bare], names=names),
        _beside(f"dry-run --offline --format json of {talks} talks / bare Jinja", json, bare, None, names),
        ratio("the same, processor time", [one.busy for one in json], [one.busy for one in bare], names=names),
    ]


def _beside(what: str, ours: list[Ended], theirs: list[Ended], bar: Bar | None, names: str) -> Figure:
    return ratio(what, [one.seconds for one in ours], [one.seconds for one in theirs], bar, names=names)


def _dry_run(place: Place, format_: str) -> Ended:
    return place.leadsync("dry-run", "--offline", "--format", format_)


def _whole(ended: Ended, talks: int) -> Ended:
    """What ended. Raises RuntimeError when a talk's note is not in its output."""
    if ended.out.count("История диалога".encode()) < talks:
        raise RuntimeError(f"fewer than {talks} talks were printed")
    return ended
