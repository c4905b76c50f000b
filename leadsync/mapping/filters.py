"""The filters of mappings beyond Jinja's own; none in, nothing out.

A filter marked with `pass_environment` reads the country, the zone and the tables from `environment.project`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

from jinja2 import pass_environment

from leadsync.mapping.contact_keys import email_key, find_emails, phone_key, phones_in
from leadsync.mapping.money import money
from leadsync.mapping.person_names import first_name, last_name
from leadsync.mapping.plain_text import plain, truncate_words
from leadsync.records import Message, moment

if TYPE_CHECKING:
    from leadsync.mapping.environment import MappingEnvironment
    from leadsync.mapping.heard import Heard

CLIENT = "user"
"""The role whose messages hold the client's own phone; a bot or manager gives the firm's."""

_USUAL = "%d.%m.%Y %H:%M"


@pass_environment
def phone(environment: MappingEnvironment, value: Any) -> str:
    """`8 (916) 123-45-67` → `+79161234567`; nothing for what is no phone."""
    return phone_key(str(value or ""), environment.project.country) or ""


def email(value: Any) -> str:
    """An address in lower case, without `mailto:` or a name around it; nothing for what is no address."""
    return email_key(str(value or "")) or ""


@pass_environment
def as_datetime(environment: MappingEnvironment, value: Any, format: str = _USUAL) -> str:
    """A time in the project's zone, `01.11.2026 12:00`; a text that is no time stays as it is."""
    if value is None:
        return ""
    at = value if isinstance(value, datetime) else moment(value, environment.project.zone)
    if at is None:
        return str(value)
    local = at.astimezone(environment.project.zone)
    if format == _USUAL and local.year >= 1000:  # what strftime says, in a third of the time
        return f"{local.day:02}.{local.month:02}.{local.year} {local.hour:02}:{local.minute:02}"
    return local.strftime(format)


@pass_environment
def as_date(environment: MappingEnvironment, value: Any, format: str = "%d.%m.%Y") -> str:
    """The day of a time in the project's zone, `01.11.2026`."""
    return as_datetime(environment, value, format)


@pass_environment
def lookup(environment: MappingEnvironment, value: Any, table: str, instead: str = "") -> str:
    """The value's row in a table of leadsync.yaml; without such a row `instead`: nothing, so nothing is sent."""
    return environment.project.tables[table].get(str(value), instead)


@pass_environment
def find_phone(environment: MappingEnvironment, value: Any) -> str:
    """The first phone in a text, or in the client's own messages; `+79161234567` or nothing."""
    return _first(environment.heard, value, lambda text: phones_in(text, environment.project.country))


@pass_environment
def find_email(environment: MappingEnvironment, value: Any) -> str:
    """The first e-mail address in a text, or in the client's own messages; or nothing."""
    return _first(environment.heard, value, find_emails)


def _first(heard: Heard, value: Any, find: Callable[[str], Iterable[str]]) -> str:
    """What is found first; the message in which it stands has given it."""
    for text, message in _texts(value):
        for found in find(text):
            if message is not None and heard.listening:
                heard.add(message)
            return found
    if heard.listening:
        heard.forget(value)
    return ""


def _texts(value: Any) -> Iterable[tuple[str, Message | None]]:
    """Texts to look into, each with the message whose text it is."""
    if isinstance(value, list | tuple):
        for item in value:
            if type(item) is Message:
                if item.role == CLIENT:
                    yield item.text, item
            else:
                yield from _texts(item)
    elif isinstance(value, Message):
        if value.role == CLIENT:
            yield value.text, value
    elif value is not None:
        yield str(value), None


FILTERS: Mapping[str, Callable[..., Any]] = {
    "date": as_date,
    "datetime": as_datetime,
    "email": email,
    "find_email": find_email,
    "find_phone": find_phone,
    "first_name": first_name,
    "last_name": last_name,
    "lookup": lookup,
    "money": money,
    "phone": phone,
    "plain": plain,
    "truncate_words": truncate_words,
}
"""Every filter by the name a template calls it."""
