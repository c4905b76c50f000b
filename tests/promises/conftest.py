"""The world of tests/conftest.py, with small batches: more of them, so that more can go wrong between two."""

from __future__ import annotations

import pytest

from tests.world import World


@pytest.fixture
def world(world: World) -> World:
    """A fresh CRM without a limit of requests, an empty Redis, and a project folder; batches are small."""
    world.write(amocrm={"batch_size": 10})
    return world
