"""Nobody can make the service stumble: with what its document allows, what it does not, or plain nonsense."""

from __future__ import annotations

import asyncio
import json
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.web.serving import CALLBACK, LEADS, URL, app_for, bearer, is_problem, serving, with_key
from tests.world import World

KEY = "an-ascii-key"

CHECKS = """
[checks]
not_a_server_error.expected-statuses = ["2xx", "3xx", "4xx", "503"]
positive_data_acceptance.expected-statuses = ["2xx", "400", "503"]
"""
"""A record that fits the document may still be refused by its mapping, and a `state` that was made up is no state."""

COMMAND = Path(sys.executable).with_name("schemathesis")


@pytest.mark.slow
async def test_schemathesis_finds_nothing(world: World, seed: int) -> None:
    """Every check of schemathesis, in all its phases, on the service's own document: answers, types, key, methods."""
    await world.log_in()
    with_key(world, KEY, **world.integration())
    (world.folder / "schemathesis.toml").write_text(CHECKS)
    async with serving(app_for(world)) as client:
        document = await client.get("/openapi.json", headers=bearer(KEY))
        (world.folder / "openapi.json").write_bytes(document.content)
        process = await asyncio.create_subprocess_exec(
            *(COMMAND, "--config-file", "schemathesis.toml", "--no-color", "run", "openapi.json"),
            *("--url", str(client.base_url), "-H", f"Authorization: Bearer {KEY}"),
            *("--max-examples", "25", "--max-time", "20", "--seed", str(seed)),
            cwd=world.folder,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        out, _ = await process.communicate()
    assert process.returncode == 0, out.decode()
    operations = sum(len(one) for one in document.json()["paths"].values())
    assert f"Tested: {operations}\n" in out.decode()  # every route was asked
    assert world.leads()


NASTY = ["", " ", "\0", "\u202e", "8 916 123-45-67", "a@b", "1e400", "{{ 7 * 7 }}", "'", "<b>"]
LONG = st.tuples(st.sampled_from("xы🙂"), st.integers(200, 9000)).map(lambda made: made[0] * made[1])
SHORT = st.text(max_size=40) | st.sampled_from(NASTY)
TEXTS = SHORT | LONG
NUMBERS = st.integers() | st.floats() | st.sampled_from([2**53, 10**30, -(10**30), 1e308, -0.0])
SCALARS = st.none() | st.booleans() | NUMBERS | TEXTS
VALUES = st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4))
FIELDS = ["id", "source", "user_name", "phone", "email", "product_interest", "budget", "conversation_history"]
NAMES = st.sampled_from([*FIELDS, "messages", "metadata", "updated_at", "record", "model_dump"])
LIKELY = st.fixed_dictionaries({}, optional={name: TEXTS | NUMBERS | st.none() for name in FIELDS})
BODIES = LIKELY | st.dictionaries(NAMES | TEXTS, VALUES, max_size=8) | VALUES
KINDS = st.sampled_from(["application/json"] * 5 + ["application/json; charset=utf-16", "text/plain", "a/b/c"])
POSTS = st.fixed_dictionaries(
    {
        "content": BODIES.map(json.dumps) | st.binary(max_size=200),
        "headers": st.fixed_dictionaries({"Content-Type": KINDS}),
    }
)
QUERIES = st.dictionaries(st.sampled_from(["code", "state", "referer", "error"]) | SHORT, SHORT, max_size=5)
GETS = st.fixed_dictionaries({"params": QUERIES})
REQUESTS = (
    st.tuples(st.just("POST"), st.just(LEADS), POSTS)
    | st.tuples(st.just("POST"), st.just(LEADS), POSTS)
    | st.tuples(st.just("GET"), st.sampled_from([CALLBACK, URL]), GETS)
)

STORM = [*(f"* /api/* {kind} p=0.1" for kind in ("drop_before", "504_before", "429")), "* /oauth2/* drop_before p=0.3"]


@pytest.mark.slow
@pytest.mark.parametrize("storm", [False, True], ids=["calm", "storm"])
async def test_nonsense(world: World, storm: bool) -> None:
    """No answer is a 5xx but, in a storm, the promised 503; every failure is a problem in form."""
    await world.log_in()
    with_key(world, KEY, **world.integration())
    answered: Counter[int] = Counter()
    allowed = {200, 400, 422, 503} if storm else {200, 400, 422}
    async with serving(app_for(world)) as client:
        for rule in STORM if storm else ():
            world.sandbox.faults.add(rule)
        options: dict[str, Any] = {"base_url": client.base_url, "trust_env": False, "timeout": 30}
        with httpx.Client(**options, headers={**bearer(KEY), "Accept": "application/json"}) as caller:

            @given(REQUESTS)
            @settings(max_examples=60 if storm else 150, suppress_health_check=list(HealthCheck))
            def ask(request: tuple[str, str, dict[str, Any]]) -> None:
                answer = caller.request(request[0], request[1], **_with_a_state(request, caller))
                answered[answer.status_code] += 1
                assert answer.status_code in allowed, answer.text
                assert answer.status_code == 200 or is_problem(answer)

            await asyncio.to_thread(ask)
    assert {200, 400, 422} <= set(answered)


def _with_a_state(request: tuple[str, str, dict[str, Any]], caller: httpx.Client) -> dict[str, Any]:
    """Every second callback brings a state of ours, so that the other parameters are looked at, too."""
    options = request[2]
    if request[1] == CALLBACK and len(options["params"]) % 2:
        address = caller.get(URL)
        if address.status_code == 200:
            return {"params": {**options["params"], "state": httpx.URL(address.json()["auth_url"]).params["state"]}}
    return options
