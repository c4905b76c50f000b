"""The environment and `.env`: secrets, addresses, and what `${NAME}` in leadsync.yaml reads. Nothing is ever written.

The environment wins over the `.env` beside leadsync.yaml, and an empty value counts as unset in both, in a setting also
one of blanks.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from io import StringIO
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Any, Self
from urllib.parse import urlsplit

from dotenv import dotenv_values
from dotenv.parser import Binding, parse_stream
from pydantic import AfterValidator, Field, SecretStr, ValidationError, model_validator
from pydantic_core import ErrorDetails, PydanticCustomError
from pydantic_settings import BaseSettings, SettingsConfigDict

from leadsync.errors import ConfigurationError, Place, Problem
from leadsync.sealing import MAKE_ONE, is_key, keys_in

ENVIRONMENT = "the environment"
"""The `file` of a Place that is an environment variable."""

MAX_BYTES = 1 << 20
"""1 MiB, the size up to which a `.env` is read: any larger file got its name by mistake."""

_ENCODING = "utf-8-sig"  # Notepad begins a UTF-8 file with a byte order mark

_OF_VIRTUAL_ENVIRONMENT = "pyvenv.cfg"  # `python -m venv .env` is a habit of many, and no attempt at settings


def is_loopback(host: str) -> bool:
    """Whether a host is this machine and nobody else."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def _address(text: str) -> str:
    try:
        parts = urlsplit(text)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        usable = False
    if not usable:
        raise PydanticCustomError("address", "this is no address such as https://example.amocrm.ru")
    return text


def _base_url(text: str) -> str:
    parts = urlsplit(_address(text))
    if parts.username or parts.query or parts.fragment:
        raise PydanticCustomError("address", "this address holds a login, a ? or a #: only its host and path are used")
    if parts.scheme == "http" and not is_loopback(parts.hostname or ""):
        raise PydanticCustomError("address", "plain http is allowed for a loopback host only: tokens would travel open")
    return text.rstrip("/")


def _secret_address(secret: SecretStr) -> SecretStr:
    _address(secret.get_secret_value())
    return secret


def _secret_keys(secret: SecretStr) -> SecretStr:
    keys = keys_in(secret.get_secret_value())
    wrong = [number for number, key in enumerate(keys, 1) if not is_key(key)]
    if wrong or not keys:
        which = f"key {wrong[0]} of {len(keys)}" if wrong and len(keys) > 1 else "this"
        what = f"{which} is no key for Fernet: 32 bytes in URL-safe Base64, 44 characters"
        do = f"make one with {MAKE_ONE}; several stand there with commas between"
        raise PydanticCustomError("key", what, {"do": do})
    return secret


class Settings(BaseSettings):
    """What stands in the environment and never in YAML. Every name is read in upper case: `AMOCRM_CLIENT_ID`."""

    model_config = SettingsConfigDict(
        env_ignore_empty=True,
        env_file_encoding=_ENCODING,
        extra="ignore",
        frozen=True,
        hide_input_in_errors=True,
        str_strip_whitespace=True,
    )

    amocrm_subdomain: str | None = Field(default=None, description="the account; leadsync.yaml may read it")
    amocrm_client_id: str | None = Field(default=None, description="the integration's id")
    amocrm_client_secret: SecretStr | None = Field(default=None, description="the integration's secret key")
    amocrm_redirect_uri: Annotated[str, AfterValidator(_address)] | None = Field(
        default=None, description="exactly as registered in the integration's card"
    )
    amocrm_access_token: SecretStr | None = Field(default=None, description="a long-lived token instead of OAuth")
    amocrm_base_url: Annotated[str, AfterValidator(_base_url)] | None = Field(
        default=None, description="replaces https://{subdomain}.{domain}; plain http for a loopback host only"
    )
    redis_url: str | None = Field(default=None, description="where Redis answers; leadsync.yaml may read it")
    leadsync_config: Path | None = Field(default=None, description="the leadsync.yaml to use")
    leadsync_api_key: SecretStr | None = Field(default=None, description="what callers of the HTTP service must show")
    leadsync_secret_key: Annotated[SecretStr, AfterValidator(_secret_keys)] | None = Field(
        default=None, description="encrypts tokens and refused records in Redis; several, with commas, for a rotation"
    )
    leadsync_webhook: Annotated[SecretStr, AfterValidator(_secret_address)] | None = Field(
        default=None, description="is called when a service gets into trouble, out of it, or needs a login"
    )

    @model_validator(mode="before")
    @classmethod
    def _without_blanks(cls, values: Any) -> Any:
        """A value of blanks counts as unset, too: as a key it would be one that anybody can show."""
        return {name: value for name, value in values.items() if not isinstance(value, str) or value.strip()}

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read the environment and `folder/.env`. Raises ConfigurationError with every problem and no value."""
        file = folder / ".env"
        _, problems = read_environment(folder)
        try:
            settings = cls(_env_file=None if problems else file)  # type: ignore[call-arg]  # taken by BaseSettings.__init__
        except ValidationError as error:
            problems += [_problem(part, file) for part in error.errors(include_input=False)]
        if problems:
            raise ConfigurationError("the settings cannot be used", problems=problems) from None
        return settings


def variables(folder: Path) -> Mapping[str, str]:
    """What `${NAME}` reads: the environment over `folder/.env`, without empty values. Raises ConfigurationError."""
    merged, problems = read_environment(folder)
    if problems:
        raise ConfigurationError(f"{folder / '.env'} cannot be read", problems=problems)
    return merged


def read_environment(folder: Path) -> tuple[Mapping[str, str], list[Problem]]:
    """The same as `variables`, with the problems of `.env` handed back instead of raised."""
    file = folder / ".env"
    text = _env_text(file)
    if isinstance(text, Problem):
        return _filled(os.environ), [text]
    bindings = list(parse_stream(StringIO(text)))
    problems = [
        Problem("this line is not NAME=value", Place(str(file), _line(one)), do="repair it, or put # before it")
        for one in bindings
        if one.error
    ]
    readable = "".join(one.original.string for one in bindings if not one.error)
    return {**_filled(dotenv_values(stream=StringIO(readable))), **_filled(os.environ)}, problems


def _env_text(file: Path) -> str | Problem:
    """What stands in a `.env`, or why it cannot be read; nothing where there is none."""
    place = Place(str(file))
    try:
        if file.is_dir() and not (file / _OF_VIRTUAL_ENVIRONMENT).exists():
            do = "rename it, or put a file of NAME=value lines in its place"
            return Problem("this is a folder, not a file", place, do=do)
        raw = _beginning(file) if file.is_file() else b""
    except OSError as error:
        reason = f"the file cannot be read: {(error.strerror or 'no reason given').lower()}"
        return Problem(reason, place, do="let this user read it, or remove it")
    if len(raw) > MAX_BYTES:
        what = f"the file has more than the {MAX_BYTES} bytes (1 MiB) that are read"
        return Problem(what, place, do="is it the right file? Otherwise make it smaller")
    return _decoded(raw, place)


def _beginning(file: Path) -> bytes:
    """As much of a file as is read, and one byte more when it is longer."""
    with file.open("rb") as opened:
        return opened.read(MAX_BYTES + 1)


def _decoded(raw: bytes, place: Place) -> str | Problem:
    try:
        text = raw.decode(_ENCODING)
    except UnicodeDecodeError:
        return Problem("the file is not in UTF-8", place, do="save it as UTF-8")
    if "\0" in text:
        at = Place(place.file, text.count("\n", 0, text.index("\0")) + 1)
        return Problem("a zero byte stands here: this is no text file", at, do="remove it, or save the file as UTF-8")
    return text


def _filled(values: Mapping[str, str | None]) -> dict[str, str]:
    return {name: value for name, value in values.items() if value}


def _line(binding: Binding) -> int:
    """Where a statement of a `.env` begins: the parser counts the empty lines above as part of it."""
    text = binding.original.string
    return binding.original.line + text.count("\n", 0, len(text) - len(text.lstrip()))


def _problem(error: ErrorDetails, file: Path) -> Problem:
    """A setting's problem, placed where the setting was read."""
    name, do = str(error["loc"][0]).upper(), error.get("ctx", {}).get("do")
    place = Place(ENVIRONMENT)
    if not any(value and known.upper() == name for known, value in os.environ.items()):
        place = Place(str(file), _line_of(name, file))
    return Problem(f"{name}: {error['msg']}", place, do=do or f"correct {name} there")


def _line_of(name: str, file: Path) -> int:
    bindings = parse_stream(StringIO(file.read_text(encoding=_ENCODING)))
    return next((_line(binding) for binding in bindings if (binding.key or "").upper() == name), 0)
