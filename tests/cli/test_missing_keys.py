"""Keys that the data does not have: counted, and told when no record of a mapping has them."""

from __future__ import annotations

from typing import Any

import orjson
import yaml

from tests.cli.terminal import run
from tests.world import MAPPING, World, talk

TOLD = "mapping.yaml: 'metadata.citty' was missing in all 5 records; the records have 'metadata.city'"
ARGUMENTS = (("dry-run",), ("dry-run", "--offline"), ("run",))


async def with_a_slip(world: World, records: int) -> None:
    """Two mappings, one of which misspells a key of the data; as many talks of it, and one of the other."""
    slip = {**MAPPING, "lead": {**MAPPING["lead"], "tags": ["{{ metadata.citty }}", "{{ metadata.utm }}"]}}
    mappings = {"telegram": "mapping.yaml", "avito": "avito.yaml"}
    world.write(slip, sources={"talks": {"type": "redis-dialogs", "match": "dialog:*", "mapping": mappings}})
    (world.folder / "avito.yaml").write_text(yaml.safe_dump(dict(MAPPING), allow_unicode=True), encoding="utf-8")
    data: list[dict[str, Any]] = [{"city": "Казань"}] * (records - 1) + [{"city": "Казань", "utm": "x"}]
    talks = [talk(str(at), metadata=one) for at, one in enumerate(data)]
    await world.store([*talks, talk("9", source="avito")])


async def test_a_key_that_no_record_of_a_mapping_has_is_told(world: World) -> None:
    """Whatever other mappings the run has: with file and nearest key; one that some records have is not told."""
    await with_a_slip(world, records=5)
    for arguments in ARGUMENTS:
        ended = await run(world.folder, *arguments)
        assert TOLD in " ".join((ended.out + ended.err).split())
        assert "metadata.utm" not in ended.out + ended.err


async def test_missing_keys_are_counted(world: World) -> None:
    """JSON says in how many records each was missing; a handful of records is too few to call it a slip."""
    await with_a_slip(world, records=4)
    for arguments in ARGUMENTS:
        document = orjson.loads((await run(world.folder, *arguments, "--format", "json")).out)
        assert document["missing"] == {"metadata.citty": 4, "metadata.utm": 3}
        assert not [one for one in document["warnings"] if "missing" in one]
