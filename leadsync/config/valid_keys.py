"""Which keys may stand at a place of a file, read off the models: what `did you mean` chooses from."""

from __future__ import annotations

from collections.abc import Collection
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel


def valid_keys(model: type[BaseModel], path: tuple[str | int, ...]) -> set[str]:
    """The keys of the model or models a path leads to; empty where any key may stand."""
    here: list[Any] = [model]
    for step in path:
        here = [inner for annotation in here for inner in _inside(annotation, step)]
    return {key for annotation in here if _is_model(annotation) for key in _fields(annotation)}


def _is_model(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)


def _fields(model: type[BaseModel]) -> dict[str, Any]:
    return {field.alias or name: field.annotation for name, field in model.model_fields.items()}


def _inside(annotation: Any, step: str | int) -> list[Any]:
    """What may stand one step further in."""
    if _is_model(annotation):
        return _alternatives(_fields(annotation).get(str(step)))
    arguments = get_args(annotation)
    origin = get_origin(annotation)
    is_collection = isinstance(origin, type) and issubclass(origin, Collection)
    return _alternatives(arguments[-1]) if arguments and is_collection else []


def _alternatives(annotation: Any) -> list[Any]:
    """The members of a union, without what is only annotated."""
    origin = get_origin(annotation)
    if origin is Annotated:
        return _alternatives(get_args(annotation)[0])
    if origin in (Union, UnionType):
        return [inner for member in get_args(annotation) for inner in _alternatives(member)]
    return [annotation]
