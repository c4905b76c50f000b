"""New talks: how many requests they take, beside what other clients take, and how long these are on the wire."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

import orjson

from leadsync.sync.contact_list import FRESH
from tests.benchmarks.crm import ALLOWED, ANSWER, running_crm
from tests.benchmarks.figures import Figure, ratio
from tests.benchmarks.options import Options
from tests.benchmarks.pace import most_in_a_second
from tests.benchmarks.peers.environment import AIOAMOCRM, PEERS, Peer, peers_python
from tests.benchmarks.place import UNLIMITED, Place, open_place, run
from tests.benchmarks.talks import store_talks, talk


def requests(options: Options) -> list[Figure]:
    """Requests of new talks, on an empty memory and on a warm one, and the requests of the peers."""
    contacts, talks, sample = options.size((20_000, 1000, 100), (600, 60, 6))
    cold, warm = _requests_of_runs(options, contacts, talks, key_field=True)
    bare_cold, bare_warm = _requests_of_runs(options, contacts, talks, key_field=False)
    taken = {one.name: _requests_of_peer(one, contacts, sample) * talks / sample for one in PEERS}
    best = min(taken, key=lambda name: taken[name])
    batches = _requests_of_peer(AIOAMOCRM, contacts, talks, "batches")
    others = ", ".join(f"{name} {count:.0f}" for name, count in taken.items())
    natural = f"one talk after the other: {others}; measured on {sample} talks and scaled to {talks}"
    first = f"requests of {talks} new talks, account of {contacts} contacts"
    other = f"requests of {talks} other new talks"
    return [
        Figure(first, (cold,), "", options.at_most(110), "an empty Redis, the shipped project"),
        ratio(
            f"the same / {best}'s natural use",
            [cold],
            [taken[best]],
            options.at_most(110 / 4000),
            unit="",
            names=natural,
        ),
        ratio("the same / aioamocrm in batches", [cold], [batches], unit="", names="one search a talk, writes by 250"),
        Figure(f"{first}, without key_field", (bare_cold,)),
        Figure(other, (warm,), "", options.at_most(25), "31 s later: the index is warm"),
        Figure(f"{other}, without key_field", (bare_warm,)),
    ]


def wire(options: Options) -> list[Figure]:
    """Seconds from the first request to the end of the last, at the shipped rate, with amoCRM's own limit in force."""
    contacts, talks, answer = options.size((20_000, 1000, ANSWER), (600, 60, 0.05))
    took: list[float] = []
    least: list[float] = []
    peaks: list[float] = []
    refused: list[float] = []
    for _ in options.times(3):
        with open_place(contacts) as place:
            place.set_up(requests_per_second=6.5)
            place.crm.turn(rate=ALLOWED)
            place.crm.slow_down(answer)
            store_talks(place.redis, 0, talks)
            place.leadsync("run")
            arrivals = place.crm.arrivals()
            took.append(arrivals[-1] + answer - arrivals[0])
            least.append(len(arrivals) / ALLOWED)
            peaks.append(most_in_a_second(arrivals))
            refused.append(place.crm.refusals())
    names = f"{talks} new talks, {contacts} contacts, 6.5 requests per second, answers of {answer * 1000:.0f} ms"
    return [
        ratio("seconds on the wire / (its requests ÷ 7)", took, least, options.at_most(1.15), names=names),
        Figure("most requests in any second of it", tuple(peaks), "", options.at_most(ALLOWED)),
        Figure("refused with 429", tuple(refused)),
    ]


def _requests_of_runs(options: Options, contacts: int, talks: int, *, key_field: bool) -> tuple[int, int]:
    """Requests of new talks, and of as many others later, when what the index knows is no longer news."""
    with open_place(contacts) as place:
        # At the shipped rate: what waits for its turn is not sent in vain, when the list of contacts ends.
        place.set_up(UNLIMITED if options.quick else 6.5, key_field=key_field)
        cold = _requests_of_run(place, 0, talks)
        time.sleep(0 if options.quick else FRESH + 1)
        return cold, _requests_of_run(place, talks, talks)


def _requests_of_run(place: Place, first: int, talks: int) -> int:
    store_talks(place.redis, first, talks)
    place.crm.forget_requests()
    report = place.leadsync("run", "--format", "json").json
    if set(report["created"].values()) != {talks}:
        raise RuntimeError(f"the run made {report['created']} of {talks} talks")
    return place.crm.total()


def _requests_of_peer(peer: Peer, contacts: int, talks: int, *way: str) -> int:
    """How many requests a peer makes for new talks on an account of so many contacts."""
    python = peers_python()
    with running_crm(contacts) as crm:
        run([python, str(peer.script), crm.url, crm.token, str(_talks_file(crm.folder, talks)), *way], crm.folder)
        made = crm.made()
        if made != dict.fromkeys(("contacts", "leads", "notes", "links"), talks):
            raise RuntimeError(f"{peer.name} made {made} of {talks} talks")
        return crm.total()


def _talks_file(folder: Path, talks: int) -> Path:
    path = folder / "talks.jsonl"
    lines: Sequence[bytes] = [orjson.dumps(talk(number)) for number in range(talks)]
    path.write_bytes(b"\n".join(lines))
    return path
