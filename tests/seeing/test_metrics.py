"""The page of metrics: what events come to, and that nothing keeps Prometheus waiting."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from leadsync.config.loader import load_project
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
from leadsync.follow.watch import Watch
from leadsync.project import Connections
from leadsync.seeing.instruments import Instruments
from leadsync.seeing.metrics import Metrics
from leadsync.troubles import State
from tests.seeing.receiver import samples_of
from tests.world import World

README = (Path(__file__).parent.parent.parent / "README.md").read_text("utf-8")

COUNTED: list[tuple[Event, str, float]] = [
    (RecordFinished("talks", "update", 3.0), 'leadsync_records_total{outcome="update",source="talks"}', 1),
    (RecordFinished("talks", "update", 3.0), 'leadsync_message_to_lead_seconds_sum{source="talks"}', 3),
    (RecordFinished("t", "create", 3.0), 'leadsync_message_to_lead_seconds_bucket{le="2.5",source="t"}', 0),
    (RecordFinished("t", "create", 3.0), 'leadsync_message_to_lead_seconds_bucket{le="5.0",source="t"}', 1),
    (
        RequestFinished("GET", "/leads/{id}", 404, 0.2),
        'leadsync_amocrm_requests_total{method="GET",route="/leads/{id}",status="404"}',
        1,
    ),
    (
        RequestFinished("POST", "/leads", None, 0.2),
        'leadsync_amocrm_requests_total{method="POST",route="/leads",status="none"}',
        1,
    ),
    (RequestFinished("POST", "/leads", 429, 0.2), "leadsync_amocrm_throttled_total", 1),
    (RequestFinished("POST", "/leads", 200, 0.2), "leadsync_amocrm_request_seconds_count", 1),
    (
        RequestRetried("GET", "/leads", "AmoCRMUnavailable", 1.0),
        'leadsync_amocrm_retries_total{reason="AmoCRMUnavailable"}',
        1,
    ),
    (TokensStored("refresh_token"), 'leadsync_tokens_stored_total{grant="refresh_token"}', 1),
    (HeldBack("banned", "403"), 'leadsync_pushes_held_back_total{state="banned"}', 1),
    (StateChanged("banned", "403"), 'leadsync_state{state="banned"}', 1),
    (StateChanged("banned", "403"), 'leadsync_state_changes_total{state="banned"}', 1),
    (WebhookCalled(True), 'leadsync_webhook_calls_total{result="delivered"}', 1),
    (WebhookCalled(False), 'leadsync_webhook_calls_total{result="failed"}', 1),
    (Backlog("talks", 7, 2.0), 'leadsync_waiting_records{source="talks"}', 7),
    (Backlog("talks", 0, 0.0), 'leadsync_waiting_age_seconds{source="talks"}', 0),
]


@asynccontextmanager
async def nowhere() -> AsyncIterator[Connections]:
    """Nobody is asked."""
    raise TimeoutError
    yield


async def counted(*events: Event) -> dict[str, float]:
    """What a process shows in which this happened, where Redis is away."""
    instruments = Instruments()
    for event in events:
        instruments(event)
    page, media_type = await Metrics([instruments.registry], nowhere).page("")
    assert media_type.startswith("text/plain")
    return samples_of(page.decode())


@pytest.mark.parametrize(("event", "name", "value"), COUNTED)
async def test_what_is_counted(event: Event, name: str, value: float) -> None:
    """Each event has its number; without Redis it is shown all the same."""
    found = await counted(event)
    assert found[name] == value
    assert found["leadsync_redis_up"] == 0


async def test_a_record_that_made_no_lead_takes_no_time() -> None:
    """What was refused, skipped or unchanged is no message that has become a lead."""
    found = await counted(*(RecordFinished("talks", one, 3.0) for one in ("failed", "skipped", "unchanged")))
    assert 'leadsync_message_to_lead_seconds_count{source="talks"}' not in found


async def test_what_waits_grows_older() -> None:
    """The age of what waits grows while nothing happens, as an alert needs it."""
    instruments = Instruments()
    instruments(Backlog("talks", 1, 5.0))
    began = time.time()
    page, _ = await Metrics([instruments.registry], nowhere).page("")
    first = samples_of(page.decode())['leadsync_waiting_age_seconds{source="talks"}']
    await asyncio.sleep(0.01)
    page, _ = await Metrics([instruments.registry], nowhere).page("")
    second = samples_of(page.decode())['leadsync_waiting_age_seconds{source="talks"}']
    assert 5.0 <= first < second < 5.1 + time.time() - began


async def test_one_state_at_a_time() -> None:
    """Whatever the state is, it is the only one; before the first there is none."""
    assert {value for name, value in (await counted()).items() if name.startswith("leadsync_state{")} == {0}
    for state in State:
        found = await counted(StateChanged(State.WORKING, ""), StateChanged(state, "why"))
        shown = {name: value for name, value in found.items() if name.startswith("leadsync_state{")}
        assert shown.pop(f'leadsync_state{{state="{state}"}}') == 1
        assert set(shown.values()) == {0}


async def test_a_redis_that_hangs(world: World) -> None:
    """A Redis that takes the connection and never answers is as good as away: the page comes nevertheless."""

    async def hang(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    server = await asyncio.start_server(hang, "127.0.0.1", 0)
    world.redis_url = f"redis://127.0.0.1:{server.sockets[0].getsockname()[1]}/0"
    world.write()
    async with server, Watch(load_project(world.folder / "leadsync.yaml")) as watch:
        page, _ = await watch.metrics.page("")
    assert samples_of(page.decode())["leadsync_redis_up"] == 0


async def test_the_readme_names_every_metric(world: World) -> None:
    """Whatever `/metrics` shows is explained in the README."""
    world.write(sources={"talks": {"type": "redis-stream", "stream": "talks", "mapping": "mapping.yaml"}})
    await world.log_in()
    async with Watch(load_project(world.folder / "leadsync.yaml")) as watch:
        page, _ = await watch.metrics.page("")
    shown = re.findall(r"^# TYPE (leadsync_\w+) ", page.decode(), re.MULTILINE)
    names = {name for name in shown if not name.endswith("_created")}
    assert len(names) > 20
    assert sorted(name for name in names if not re.search(rf"`{name}[`{{]", README)) == []


async def test_the_numbers_of_status(world: World) -> None:
    """What Redis holds is told as `leadsync status` tells it."""
    world.write(sources={"talks": {"type": "redis-stream", "stream": "talks", "mapping": "mapping.yaml"}})
    await world.redis.xadd("talks", {"record": "{"})
    await world.run()
    await world.redis.xadd("talks", {"record": "{}"}, id=f"{round(time.time() * 1000) + 1000}-0")
    async with Watch(load_project(world.folder / "leadsync.yaml")) as watch:
        page, _ = await watch.metrics.page("application/openmetrics-text; version=1.0.0")
    lines = page.decode().splitlines()
    assert "leadsync_refused_records 1.0" in lines
    assert 'leadsync_queue_length{source="talks"} 1.0' in lines
    assert 'leadsync_queue_age_seconds{source="talks"} 0.0' in lines
    assert 'leadsync_queue_up{source="talks"} 1.0' in lines
    assert "leadsync_workers 0.0" in lines
    assert lines[-1] == "# EOF"
