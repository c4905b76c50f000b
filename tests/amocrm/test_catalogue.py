"""The catalogue: names become ids exactly, or the error says what the account has."""

from __future__ import annotations

import pytest

from leadsync.amocrm import (
    Account,
    AmoCRMClient,
    Catalogue,
    CustomField,
    LongLivedToken,
    NameNotFound,
    Pipeline,
    Status,
    User,
)
from leadsync.amocrm.catalogue import load
from leadsync.sandbox import Sandbox

from .conftest import Connect


@pytest.fixture
async def catalogue(amocrm: AmoCRMClient) -> Catalogue:
    """The sandbox's catalogue."""
    return await load(amocrm)


async def test_the_account_is_read_whole(catalogue: Catalogue) -> None:
    """Account, fields of all entity types beyond one page, pipelines, statuses, users."""
    assert catalogue.account.timezone == "Europe/Moscow"
    assert catalogue.account.is_api_filter_enabled
    assert {field.entity for field in catalogue.fields} == {"leads", "contacts", "companies"}
    assert catalogue.main_pipeline().name == "Воронка"
    assert [user.is_active for user in catalogue.users] == [True, True, False]


async def test_a_catalogue_survives_its_json(catalogue: Catalogue) -> None:
    """What is cached is what was read."""
    assert Catalogue.from_json(catalogue.to_json()) == catalogue
    with pytest.raises(ValueError, match="account"):
        Catalogue.from_json(b"{}")


async def test_a_field_is_found_by_id_code_and_name(catalogue: Catalogue) -> None:
    """Id, then code, then exact name give the same field."""
    field = catalogue.field("leads", "UTM_SOURCE")
    assert catalogue.field("leads", field.id) is catalogue.field("leads", str(field.id)) is field
    assert catalogue.field("leads", " utm_source ") is field
    assert catalogue.field("leads", "Продукт").enums[0].value == "AI Manager"


async def test_a_field_of_another_entity_is_not_found(catalogue: Catalogue) -> None:
    """The phone belongs to people, not to leads."""
    assert catalogue.field("contacts", "PHONE").type == "multitext"
    with pytest.raises(NameNotFound):
        catalogue.field("leads", "PHONE")


async def test_a_part_of_a_name_is_no_name(catalogue: Catalogue) -> None:
    """«Телеф» is not «Телефон»; the nearest name is proposed."""
    with pytest.raises(NameNotFound, match="did you mean «Телефон»"):
        catalogue.field("contacts", "Телеф")


async def test_something_quite_different_gets_the_list(catalogue: Catalogue) -> None:
    """With nothing near, the command that lists the fields is named."""
    with pytest.raises(NameNotFound, match="leadsync fields") as unknown:
        catalogue.field("leads", "щщщщ")
    assert "did you mean" not in str(unknown.value)


async def test_pipelines_and_statuses(catalogue: Catalogue) -> None:
    """By id or exact name; won and lost exist in every pipeline."""
    pipeline = catalogue.pipeline("Повторные продажи")
    assert catalogue.pipeline(pipeline.id) is pipeline
    assert catalogue.status(pipeline, "Новое обращение").pipeline_id == pipeline.id
    assert catalogue.status(pipeline, 142).pipeline_id == pipeline.id
    with pytest.raises(NameNotFound, match="did you mean «Воронка»"):
        catalogue.pipeline("воронка ")
    with pytest.raises(NameNotFound, match="of pipeline «Повторные продажи»"):
        catalogue.status(pipeline, "Переговоры")


async def test_users_by_id_mail_and_name(catalogue: Catalogue) -> None:
    """A user is found by id, e-mail in any case, or name; the error repeats none of them."""
    anna = catalogue.user("Анна")
    assert catalogue.user("ANNA@example.com") is catalogue.user(anna.id) is anna
    with pytest.raises(NameNotFound, match="leadsync fields") as unknown:
        catalogue.user("ivan@example.com")
    assert "ivan" not in str(unknown.value)


async def test_a_plain_users_catalogue_has_no_users(connect: Connect, sandbox: Sandbox) -> None:
    """Only an administrator may list users: the rest of the catalogue is there all the same."""
    plain = next(one.id for one in sandbox.account.users.values() if not one.is_admin and one.is_active)
    token = sandbox.oauth.pair(plain)["access_token"]
    catalogue = await load(connect(LongLivedToken(token)))
    assert catalogue.users == ()
    assert catalogue.fields
    with pytest.raises(NameNotFound, match="administrator"):
        catalogue.user("Анна")


def double() -> Catalogue:
    """An account where names stand twice."""
    fields = tuple(CustomField(one, "Бюджет", None, "numeric", "leads") for one in (1, 2))
    statuses = (Status(10, "Новая", 5), Status(11, "Новая", 5))
    pipelines = (Pipeline(5, "А", False, False, statuses), Pipeline(6, "А", False, True, ()))
    users = (User(7, "Иван", "a@example.com", True), User(8, "Иван", "b@example.com", True))
    return Catalogue(Account(1, "", "", None, False, None), fields, pipelines, users)


def test_a_name_that_stands_twice_asks_for_an_id() -> None:
    """The ids are listed, nothing is chosen."""
    catalogue = double()
    with pytest.raises(NameNotFound, match="ids 1, 2"):
        catalogue.field("leads", "Бюджет")
    assert catalogue.field("leads", 2).id == 2
    with pytest.raises(NameNotFound, match="ids 10, 11"):
        catalogue.status(catalogue.pipelines[0], "Новая")
    with pytest.raises(NameNotFound, match="ids 7, 8") as twice:
        catalogue.user("Иван")
    assert "Иван" not in str(twice.value)


def test_an_archived_pipeline_is_found_by_id_only() -> None:
    """The living pipeline of a name wins; the archived one has its id."""
    catalogue = double()
    assert catalogue.pipeline("А").id == 5
    assert catalogue.pipeline(6).is_archive
    with pytest.raises(NameNotFound, match="main pipeline"):
        catalogue.main_pipeline()
