"""What a template finds where nothing is: an unknown name is a mistake, a key missing inside data is none."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

from jinja2.exceptions import TemplateRuntimeError, UndefinedError
from jinja2.runtime import StrictUndefined, Undefined
from jinja2.utils import missing


class UnknownNameError(UndefinedError):
    """A name that is neither a field of records nor in this one; `message` is the name."""


class Missing(Undefined):
    """A key that the data does not have: it prints nothing, is false, equals none, and so do its own parts."""

    __slots__ = ()

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return self

    def __eq__(self, other: object) -> bool:
        return other is None or isinstance(other, Missing)

    def __hash__(self) -> int:
        return hash(None)

    @property
    def _undefined_message(self) -> str:
        return self._undefined_hint or f"`{self._undefined_name}`"


class MissingOfNone(Missing):
    """A part of none. It may be called too: `user_name.split()` is none for a record without a name."""

    __slots__ = ()

    def __call__(self, *args: Any, **kwargs: Any) -> MissingOfNone:  # type: ignore[override]
        return self


class UnknownName(StrictUndefined):
    """A name nobody knows: any use of it but `is defined` and `| default(...)` raises UnknownNameError.

    Jinja makes its undefined values with this class, also the harmless ones that come with a hint ("the sequence was
    empty"): those are Missing.
    """

    __slots__ = ()

    def __new__(
        cls,
        hint: str | None = None,
        obj: Any = missing,
        name: str | None = None,
        exc: type[TemplateRuntimeError] = UndefinedError,
    ) -> Any:
        if hint is not None or obj is not missing:
            return Missing(hint, obj, name, exc)
        return super().__new__(cls)

    def __init__(
        self,
        hint: str | None = None,
        obj: Any = missing,
        name: str | None = None,
        exc: type[TemplateRuntimeError] = UndefinedError,
    ) -> None:
        super().__init__(hint, obj, name, UnknownNameError)

    @property
    def _undefined_message(self) -> str:
        return str(self._undefined_name)


def is_none(value: Any) -> bool:
    """The test `is none`: also for a key that is missing."""
    return value is None or isinstance(value, Missing)


def loud(test: Callable[..., bool]) -> Callable[..., bool]:
    """A test of Jinja's that tells of an unknown name instead of answering no."""

    @wraps(test)
    def asked(value: Any, *args: Any) -> bool:
        return test(str(value) if type(value) is UnknownName else value, *args)  # its text raises

    return asked


def default(value: Any, instead: Any = "", boolean: bool = False) -> Any:
    """The filter `default`: also for none, since none and absent mean the same in a record.

    With `true` as second argument also for an empty text and anything else that is false.
    """
    if value is None or isinstance(value, Undefined) or (boolean and not value):
        return instead
    return value
