"""The account's names are kept for an hour, and read anew as soon as something is missing: counted in requests."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from leadsync.amocrm.catalogue import Catalogue
from leadsync.errors import ConfigurationError
from leadsync.sandbox.fields import Option
from leadsync.sandbox.settings import Pipeline as SandboxPipeline
from leadsync.sandbox.settings import User
from leadsync.state.kept_catalogue import LIFE, keep_catalogue, load_catalogue
from tests.cli.terminal import run as command
from tests.world import MAPPING, NAMES, World, talk

NAMING = frozenset(
    {"/api/v4/account", "/api/v4/leads/pipelines", "/api/v4/users"}
    | {f"/api/v4/{entity}/custom_fields" for entity in ("leads", "contacts", "companies")}
)
"""What is asked to learn the account's names: six requests."""

BY_TEMPLATE = MAPPING | {
    "lead": {
        "name": "Заявка",
        "pipeline": "{{ metadata.pipeline }}",
        "status": "{{ metadata.status }}",
        "responsible": "{{ metadata.manager }}",
        "fields": {"Продукт": "{{ product_interest }}", "Интересы": "{{ metadata.likes }}"},
    }
}


def readings(world: World) -> float:
    """How often the account's names were read."""
    return len([one for one in world.requests("GET") if one.path in NAMING]) / len(NAMING)


def add_option(world: World, field: str, label: str) -> None:
    """Somebody adds an option in the account."""
    world.sandbox.account.fields["leads"].named(field).options.append(Option(990_001, label, 900))


async def test_runs_within_the_hour_ask_once(world: World) -> None:
    """The second run, dry run or pipeline makes no request for names; what is kept lives an hour."""
    await world.store([talk("1")])
    await world.run()
    assert readings(world) == 1
    await world.store([talk("2")])
    await world.run()
    assert (await command(world.folder, "dry-run")).code == 0
    async with world.pipeline() as pipeline:
        assert (await pipeline.push(talk("3"))).success
    assert (readings(world), len(world.leads())) == (1, 3)
    assert LIFE - 60 < await world.redis.ttl(NAMES.name("catalogue")) <= LIFE == 3600


async def test_after_the_hour_the_account_is_asked_again(world: World) -> None:
    """When what was kept has ended, the next run reads the account."""
    await world.run()
    await world.redis.delete(NAMES.name("catalogue"))  # what its hour does by itself
    await world.run()
    assert readings(world) == 2


@pytest.mark.parametrize("spoilt", [b"", b"{}", b'{"format":2}', b"\xff\x00", b"[1"])
async def test_what_cannot_be_read_is_no_catalogue(world: World, spoilt: bytes) -> None:
    """Rubbish, or what another leadsync has written, is as good as nothing: the account is read, and kept again."""
    await keep_catalogue(world.redis, NAMES, spoilt)
    await world.run()
    assert readings(world) == 1
    kept = await load_catalogue(world.redis, NAMES)
    assert kept is not None
    assert Catalogue.from_json(kept).account.subdomain == "sandbox"


@pytest.mark.parametrize("name", ["validate", "fields"])
async def test_validate_and_fields_ask_each_time_and_keep_it(world: World, name: str) -> None:
    """Who looks at names wants them as they are now; the run after that does not ask again."""
    await world.run()
    for _ in range(2):
        assert (await command(world.folder, name)).code == 0
    assert readings(world) == 3
    await world.redis.delete(NAMES.name("catalogue"))
    await command(world.folder, name)
    await world.run()
    assert readings(world) == 4


async def test_a_field_that_was_made_meanwhile_is_found_at_the_start(world: World) -> None:
    """A mapping that names what the kept catalogue lacks makes the account be read anew, not complained about."""
    await world.run()
    city = world.sandbox.account.fields["leads"].named("Город")
    world.sandbox.account.fields["leads"].put(replace(city, id=990_002, name="Район"))
    world.write(MAPPING | {"lead": {"name": "Заявка", "fields": {"Район": "Центр"}}})
    await world.store([talk("1")])
    await world.run()
    assert readings(world) == 2
    assert world.leads()[0]["fields"] == {"Район": "Центр"}


async def test_what_is_really_missing_is_asked_for_once_before_it_is_told(world: World) -> None:
    """A name the account has not costs one reading, and the refusal is that of the account as it is now."""
    await world.run()
    world.write(MAPPING | {"lead": {"name": "Заявка", "fields": {"Район": "Центр"}}})
    with pytest.raises(ConfigurationError, match="no field of leads named «Район»"):
        await world.run()
    assert readings(world) == 2
    await world.redis.delete(NAMES.name("catalogue"))
    with pytest.raises(ConfigurationError, match="no field of leads named «Район»"):
        await world.run()
    assert readings(world) == 3  # it was read just now: not again


async def test_an_option_that_is_added_later_is_found_by_the_living_pipeline(world: World) -> None:
    """A record that names an unknown option makes a living pipeline read anew, and goes through in the same call."""
    async with world.pipeline() as pipeline:
        add_option(world, "Продукт", "AI Cook")
        pushed = await pipeline.push(talk("1", product_interest="AI Cook"))
    assert pushed.success, pushed.message
    assert readings(world) == 2
    assert world.leads()[0]["fields"]["Продукт"] == "AI Cook"


async def added_status(world: World, pipeline_id: int = 7_028_886) -> None:
    account = world.sandbox.account
    found: SandboxPipeline = account.pipelines[pipeline_id]
    status = replace(found.statuses[1], id=990_003, name="Демонстрация")
    account.pipelines[pipeline_id] = replace(found, statuses=(*found.statuses, status))


async def added_pipeline(world: World) -> None:
    account = world.sandbox.account
    account.pipelines[990_004] = replace(account.pipelines[7_055_602], id=990_004, name="Опт")


async def added_user(world: World) -> None:
    world.sandbox.account.users[990_005] = User(990_005, "Глеб", "gleb@example.com")


async def added_choice(world: World) -> None:
    add_option(world, "Интересы", "Обучение")


@pytest.mark.parametrize(
    ("change", "metadata", "shown"),
    [
        (added_status, {"pipeline": "Воронка", "status": "Демонстрация"}, ("status_id", 990_003)),
        (added_pipeline, {"pipeline": "Опт"}, ("pipeline_id", 990_004)),
        (added_user, {"manager": "gleb@example.com"}, ("responsible_user_id", 990_005)),
        (added_choice, {"likes": "Продажи, Обучение"}, ("price", 0)),
    ],
)
async def test_whatever_a_template_names_is_found(
    world: World, change: Any, metadata: dict[str, str], shown: tuple[str, int]
) -> None:
    """A status, a pipeline, a user and an option of several that came later: all of them go through at once."""
    world.write(BY_TEMPLATE)
    async with world.pipeline() as pipeline:
        await change(world)
        pushed = await pipeline.push(talk("1", metadata=metadata))
    assert pushed.success, pushed.message
    (lead,) = world.leads()
    assert lead[shown[0]] == shown[1]
    assert readings(world) == 2


async def test_a_wrong_name_in_every_record_is_asked_for_once_a_minute(world: World) -> None:
    """Fifty records with an option that nobody has cost one reading, also when they are pushed one after another."""
    async with world.pipeline() as pipeline:
        results = await asyncio.gather(*(pipeline.push(talk(str(n), product_interest="AI Cook")) for n in range(50)))
        results += [await pipeline.push(talk("50", product_interest="AI Baker"))]
    assert not any(one.success for one in results)
    assert {one.message.partition(";")[0] for one in results} == {
        "lead.fields.Продукт: the field «Продукт» (select) has no such option"
    }
    assert readings(world) == 2


async def test_a_run_takes_its_records_again_after_one_reading(world: World) -> None:
    """Of a run's records those with a new option go through with the others, in one batch, and count once."""
    world.write(MAPPING | {"contact": {"name": "{{ metadata.nick }}", "phone": "{{ phone }}"}})
    await world.run()
    add_option(world, "Продукт", "AI Cook")
    await world.store(talk(str(n), product_interest=("AI Cook", "AI Lawyer", "AI Thief")[n % 3]) for n in range(9))
    report = await world.run()
    assert (report.outcomes["create"], report.outcomes["failed"]) == (6, 3)
    assert len(world.requests("POST", "/api/v4/leads")) == 1
    assert readings(world) == 2


async def test_what_amocrm_refuses_by_a_name_is_not_believed_any_more(world: World) -> None:
    """A field deleted meanwhile: amoCRM refuses it, and the next run asks for the names and says what is missing."""
    await world.run()
    await world.store([talk("1", product_interest="AI Lawyer")])
    account = world.sandbox.account
    account.remove_field(account.fields["leads"].named("Продукт"))
    report = await world.run()
    assert (readings(world), report.outcomes["failed"]) == (1, 1)
    assert "NotSupportedChoice" in report.refused[0].reason
    with pytest.raises(ConfigurationError, match="no field of leads named «Продукт»"):
        await world.run()
    assert readings(world) == 2


async def test_a_living_pipeline_does_not_believe_it_either(world: World) -> None:
    """After such a refusal a pipeline that goes on reads the names before its next records."""
    account = world.sandbox.account
    async with world.pipeline() as pipeline:
        account.remove_field(account.fields["leads"].named("Продукт"))
        refused = await pipeline.push(talk("1", product_interest="AI Lawyer"))
        again = await pipeline.push(talk("1", product_interest="AI Lawyer"))
    assert "amoCRM refused it" in refused.message
    assert "the account has no field of leads named «Продукт»" in again.message
    assert readings(world) == 2


async def test_other_refusals_change_nothing(world: World) -> None:
    """A value that does not fit, or a contact that amoCRM forbids, is no matter of names: nothing is asked again."""
    async with world.pipeline() as pipeline:
        assert not (await pipeline.push(talk("1", phone="123"))).success
        assert not (await pipeline.push(talk("2", budget="дорого"))).success
    await world.run()
    assert readings(world) == 1


async def test_an_inactive_user_out_of_a_template_is_refused(world: World) -> None:
    """Who is no longer active answers for nothing; the sentence does not repeat the name."""
    world.write(BY_TEMPLATE)
    async with world.pipeline() as pipeline:
        pushed = await pipeline.push(talk("1", metadata={"manager": "vera@example.com"}))
    assert not pushed.success
    assert pushed.message == (
        "lead.responsible: this user is not active any more and cannot be responsible; what to do: "
        "activate the user in amoCRM, or name another one; `leadsync fields` says who is active"
    )


async def test_a_name_out_of_a_talk_is_not_repeated(world: World) -> None:
    """A stage, a pipeline or a user that a talk names and the account has not is refused without its name, which the
    kept record shows."""
    lead = {"name": "x", "pipeline": "{{ metadata.funnel or 'Воронка' }}", "status": "{{ metadata.stage }}"}
    world.write({"key": "{{ id }}", "lead": {**lead, "responsible": "{{ metadata.manager }}"}})
    names = {"funnel": "Для Евстафия", "stage": "Звонок Евстафию", "manager": "Евстафий"}
    async with world.pipeline() as pipeline:
        results = [await pipeline.push(talk(kind, metadata={kind: name})) for kind, name in names.items()]
    assert [one.message.partition(";")[0] for one in results] == [
        "lead.pipeline: the account has no pipeline named «…»",
        "lead.status: the account has no status of pipeline «Воронка» named «…»",
        "lead.responsible: no user of the account has this id, e-mail or name",
    ]
    assert "Евстафи" not in "".join(one.message for one in results)
    kept = [one.record or {} for one in await world.refused()]
    assert [one["metadata"] for one in kept] == [{kind: name} for kind, name in names.items()]


async def test_each_account_has_names_of_its_own(world: World) -> None:
    """Another account behind the same Redis is asked for its own names."""
    await world.run()
    world.write(amocrm={"subdomain": "other"})
    await world.run()
    assert readings(world) == 2
