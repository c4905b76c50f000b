"""The catalogue: names become ids exactly, or the error says what the account has."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

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


def refusal(find: Callable[[], object]) -> tuple[str, str]:
    """What an error says, and what to do."""
    with pytest.raises(NameNotFound) as caught:
        find()
    return caught.value.what, str(caught.value.do)


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


@pytest.mark.parametrize("spoilt", [b"", b"[]", b"\xff", b'{"format": 2'])
async def test_a_catalogue_of_another_format_is_none(catalogue: Catalogue, spoilt: bytes) -> None:
    """What another leadsync has written, or nobody, is not read."""
    other = catalogue.to_json().replace(b'{"format":1', spoilt)
    with pytest.raises(ValueError, match="validation error"):
        Catalogue.from_json(other)


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
    """«Телеф» is not «Телефон»; the nearest name is proposed, with its entity, type and id."""
    assert refusal(lambda: catalogue.field("contacts", "Телеф")) == (
        "the account has no field of contacts named «Телеф»",
        "did you mean «Телефон» (contacts, multitext, id 838433)? `leadsync fields` lists what the account has",
    )


@pytest.mark.parametrize("name", ["продукт", "ПРОДУКТ"])
async def test_case_and_spaces_count(catalogue: Catalogue, name: str) -> None:
    """A name in another case, or with other spaces, is told how it is written."""
    assert refusal(lambda: catalogue.field("leads", name))[1] == (
        "write «Продукт» (leads, select, id 838403), upper and lower case and spaces count; "
        "`leadsync fields` lists what the account has"
    )
    assert refusal(lambda: catalogue.field("leads", "Дата  Встречи"))[1].startswith("write «Дата встречи» (")
    assert refusal(lambda: catalogue.user("анна"))[1].startswith("upper and lower case and spaces of a name count;")


async def test_a_field_elsewhere_is_told_with_the_section_it_belongs_to(catalogue: Catalogue) -> None:
    """A name that another entity has says so; one that is nearly another entity's, too; companies are not filled."""
    assert refusal(lambda: catalogue.field("leads", "Telegram")) == (
        "«Telegram» is a field of contacts, not of leads",
        "write it under contact.fields",
    )
    assert refusal(lambda: catalogue.field("contacts", "UTM_SOURCE")) == (
        "«UTM_SOURCE» is a field of leads, not of contacts",
        "write it under lead.fields",
    )
    assert refusal(lambda: catalogue.field("leads", "telegramm")) == (
        "the account has no field of leads named «telegramm»",
        "did you mean «Telegram» (contacts, text, id 838445)? write it under contact.fields",
    )
    assert refusal(lambda: catalogue.field("leads", "ADDRESS")) == (
        "«ADDRESS» is a field of companies, not of leads",
        "a mapping fills no companies",
    )


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
    assert refusal(lambda: catalogue.pipeline("воронка ")) == (
        "the account has no pipeline named «воронка»",
        "write «Воронка», upper and lower case and spaces count; there are «Воронка», «Повторные продажи»",
    )


async def test_a_status_of_another_pipeline_says_which(catalogue: Catalogue) -> None:
    """A status that exists elsewhere names its pipeline; an unknown one the nearest, and all there are."""
    main = catalogue.main_pipeline()
    what, do = refusal(lambda: catalogue.status(main, "Новое обращение"))
    assert what == "«Новое обращение» is a status of «Повторные продажи», not of «Воронка»"
    assert do.startswith("name that pipeline, or a status of «Воронка»: «Неразобранное», «Первичный контакт», ")
    what, do = refusal(lambda: catalogue.status(main, "Первичный  контакт"))
    assert what == "the account has no status of pipeline «Воронка» named «Первичный  контакт»"
    assert do.startswith("write «Первичный контакт», upper and lower case and spaces count; there are «Неразобранное»")
    assert refusal(lambda: catalogue.status(main, "Переговор"))[1].startswith("did you mean «Переговоры»? there are")


async def test_users_by_id_mail_and_name(catalogue: Catalogue) -> None:
    """A user is found by id, e-mail in any case, or name; the error repeats none of them."""
    anna = catalogue.user("Анна")
    assert catalogue.user("ANNA@example.com") is catalogue.user(anna.id) is anna
    with pytest.raises(NameNotFound, match="leadsync fields") as unknown:
        catalogue.user("ivan@example.com")
    assert "ivan" not in str(unknown.value)


async def test_an_inactive_user_is_refused(catalogue: Catalogue) -> None:
    """Who has left the firm is known, and not made responsible, by whatever name."""
    for name in ("Вера", "VERA@example.com", 10_451_210):
        assert refusal(partial(catalogue.user, name)) == (
            "this user is not active any more and cannot be responsible",
            "activate the user in amoCRM, or name another one; `leadsync fields` says who is active",
        )


async def test_a_plain_users_catalogue_has_no_users(connect: Connect, sandbox: Sandbox) -> None:
    """Only an administrator may list users: the rest of the catalogue is there all the same."""
    plain = next(one.id for one in sandbox.account.users.values() if not one.is_admin and one.is_active)
    token = sandbox.oauth.pair(plain)["access_token"]
    catalogue = await load(connect(LongLivedToken(token)))
    assert catalogue.users == ()
    assert catalogue.fields
    with pytest.raises(NameNotFound, match="administrator"):
        catalogue.user("Анна")
    assert catalogue.user("10450722").id == 10_450_722  # as the advice says


def double() -> Catalogue:
    """An account where names stand twice."""
    types = {1: "numeric", 2: "text"}
    fields = tuple(CustomField(one, "Бюджет", None, type, "leads") for one, type in types.items())
    statuses = (Status(10, "Новая", 5), Status(11, "Новая", 5))
    pipelines = (Pipeline(5, "А", False, False, statuses), Pipeline(6, "А", False, True, ()))
    users = (User(7, "Иван", "a@example.com", True), User(8, "Иван", "b@example.com", True))
    return Catalogue(Account(1, "", "", None, False, None), fields, pipelines, users)


def test_a_name_that_stands_twice_asks_for_an_id() -> None:
    """The ids are listed, those of fields with their types, and nothing is chosen."""
    catalogue = double()
    assert refusal(lambda: catalogue.field("leads", "Бюджет")) == (
        "more than one field of leads is named «Бюджет»",
        "give one of the ids 1 (numeric), 2 (text)",
    )
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
    old = Pipeline(9, "Старая", False, True, ())
    catalogue.become(Catalogue(catalogue.account, (), (*catalogue.pipelines, old), ()))
    assert refusal(lambda: catalogue.pipeline("Старая")) == (
        "the pipeline «Старая» (id 9) is archived",
        "take it out of the archive in amoCRM, or name one of «А»",
    )


async def test_a_newer_catalogue_takes_the_place_of_an_older_one(catalogue: Catalogue) -> None:
    """Whoever holds a catalogue finds what a newer one has, and no longer what it has not, also after finding it."""
    held, older = catalogue, Catalogue.from_json(catalogue.to_json())
    assert held.field("leads", "Город").id == 838_405
    city = replace(held.field("leads", "Город"), name="Город клиента")
    users = tuple(replace(one, is_active=False) for one in held.users)
    held.user("Анна")
    held.become(Catalogue(held.account, (city,), held.pipelines[:1], users))
    assert held != older
    assert held.field("leads", "Город клиента") is city
    for gone in (
        lambda: held.field("leads", "Город"),
        lambda: held.pipeline("Повторные продажи"),
        lambda: held.user("Анна"),
    ):
        with pytest.raises(NameNotFound):
            gone()
    held.become(older)
    assert held == older


async def test_of_two_people_of_one_name_the_active_one_is_meant() -> None:
    """Only an active user can be responsible, so there is nothing to ask."""
    users = (User(7, "Иван", "a@example.com", False), User(8, "Иван", "b@example.com", True))
    assert Catalogue(Account(1, "", "", None, False, None), (), (), users).user("Иван").id == 8
