"""The Jinja environment of mappings: immutable sandbox, bounded work, none where data has no key."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import tzinfo
from functools import wraps
from types import BuiltinMethodType, MethodType
from typing import Any, cast

from jinja2.exceptions import SecurityError
from jinja2.runtime import Context, LoopContext, Undefined
from jinja2.sandbox import ImmutableSandboxedEnvironment, SandboxedFormatter
from jinja2.utils import Namespace, _PassArg

from leadsync.errors import ConfigurationError
from leadsync.mapping import bounds
from leadsync.mapping.absent import Missing, MissingOfNone, UnknownName, UnknownNameError, default, is_none, loud
from leadsync.mapping.heard import Heard
from leadsync.mapping.talk import history_text
from leadsync.plugins import installed, load
from leadsync.records import Message

GET, PEEK, CUT, COUNTED, JOINED = " get", " peek", " cut", " counted", " joined"
"""What compiled templates call for `a.b`, the same under `default` or `is defined`, `a[1:2]`, loops, and `a ~ b`.

They are filters, whose names nobody can write in a template, since a filter is the cheapest call Jinja compiles."""

_MESSAGE_PARTS = frozenset({"role", "text", "at"})

_TEXT_FILTERS = frozenset(
    {"capitalize", "center", "e", "escape", "forceescape", "format", "indent", "lower", "replace", "string"}
    | {"striptags", "title", "trim", "truncate", "upper", "urlencode", "urlize", "wordwrap"}
)
"""Jinja's filters that would make the text `None` of none; here they make an empty text of it."""

_CALL_STEPS, _OWN_FILTER_STEPS = 10, 8
"""A call costs so many steps; a filter that is not Jinja's, which may search its text, so many times the usual."""

PRESENCE = frozenset({"defined", "undefined"})
"""The tests that may be asked about a name nobody knows."""

_LEFT_OUT = frozenset({"random", "pprint"})
"""Jinja's filters without a place in a mapping: the same record must give the same answer."""

Filter = Callable[..., Any]


@dataclass(frozen=True, slots=True)
class MapperContext:
    """What filters read texts by: the country of phones (ISO 3166), the zone of times, and the project's tables."""

    country: str
    zone: tzinfo
    tables: Mapping[str, Mapping[str, str]] = field(default_factory=dict)


class MappingEnvironment(ImmutableSandboxedEnvironment):
    """Compiles and runs the templates of one mapping; one thread at a time.

    `project` is what filters marked with `jinja2.pass_environment` use. `missing` collects the dotted paths of the
    keys that templates asked for and the record's data did not have; `heard` the messages that gave a value.
    """

    intercepted_binops = frozenset({"+", "*", "%", "**"})

    def __init__(self, project: MapperContext) -> None:
        super().__init__(undefined=UnknownName, trim_blocks=True, lstrip_blocks=True, finalize=self._shown)
        self.project = project
        self.work = bounds.Work()
        self.missing: dict[str, None] = {}
        self.heard = Heard()
        self._shared = Context(self, {}, None, {})
        del self.globals["lipsum"]  # random as well
        self.tests["none"] = is_none
        tests: dict[str, Any] = cast(Any, self.tests)
        for name, test in tests.items():
            if name not in PRESENCE and _PassArg.from_obj(test) is None:
                tests[name] = loud(test)
        own = {name: function for name, function in self.filters.items() if name not in _LEFT_OUT}
        own.update(default=default, d=default)
        self.filters = {name: self._limited(name, function) for name, function in (own | plugin_filters()).items()}
        self.filters.update({GET: self._get, PEEK: self._peek, CUT: self._cut})
        self.filters.update({COUNTED: self.work.counted, JOINED: self._joined})

    def context_of(self, values: dict[str, Any]) -> Context:
        """The context of a record's values: the same one for all templates that set nothing in it."""
        if self._shared.parent is not values:
            self._shared = Context(self, values, None, {})
        return self._shared

    # Looking into data

    def _get(self, obj: Any, key: Any, path: str = "") -> Any:
        """`obj.key` and `obj[key]`: data first, then what the sandbox allows.

        `path` is what the mapping calls it (`metadata.city`); when that is known, an absent key goes to `missing`.
        """
        if type(obj) is dict:
            try:
                return obj[key]
            except (KeyError, TypeError):
                pass
        elif type(obj) is Message and key in _MESSAGE_PARTS:
            if self.heard.listening and key != "role":
                self.heard.add(obj)
            return getattr(obj, key)
        value = self._peek(obj, key, path)
        if value is obj and isinstance(obj, UnknownName):
            str(obj)  # raises
        if path and isinstance(value, Missing) and not isinstance(obj, Missing | LoopContext):
            self.missing[path] = None
        return value

    def _peek(self, obj: Any, key: Any, path: str = "") -> Any:
        if isinstance(obj, UnknownName):
            return obj
        if obj is None or isinstance(obj, Missing):
            return MissingOfNone(name=path)
        if self.heard.listening and type(obj) is Message and key != "role":
            self.heard.add(obj)
        value = self._found(obj, key)
        if isinstance(value, Undefined):
            if isinstance(obj, LoopContext | Namespace) and not hasattr(LoopContext, key):
                raise UnknownNameError(path)
            return Missing(name=path)
        return value

    def _found(self, obj: Any, key: Any) -> Any:
        if isinstance(obj, Mapping):
            try:
                return obj[key]
            except (LookupError, TypeError):
                pass
        elif isinstance(key, str) and key.startswith("_"):
            raise self._unsafe()
        return super().getattr(obj, key) if isinstance(key, str) else super().getitem(obj, key)

    def getattr(self, obj: Any, attribute: str) -> Any:
        """What Jinja's own filters use: `map(attribute='text')`."""
        return self._get(obj, attribute, attribute)

    def getitem(self, obj: Any, argument: Any) -> Any:
        """The same for `[...]`."""
        return self._get(obj, argument, argument if isinstance(argument, str) else "")

    def _cut(self, obj: Any, start: Any = None, stop: Any = None, step: Any = None) -> Any:
        """`obj[start:stop:step]`; nothing of nothing."""
        return obj if obj is None or isinstance(obj, Missing) else obj[start:stop:step]

    def unsafe_undefined(self, obj: Any, attribute: str) -> Undefined:
        """Jinja would go on until the value is used; a mapping learns of it at once."""
        raise self._unsafe()

    def _unsafe(self) -> SecurityError:
        return SecurityError("private and internal parts of values are closed to templates")

    # Making text

    def _shown(self, value: Any) -> Any:
        """What `{{ … }}` prints: none as nothing, and no list that is too long to print."""
        if type(value) is str:
            return value
        if value is None:
            return ""
        if isinstance(value, Message | Iterable) and not isinstance(value, Undefined):
            self.work.handle(value)
            bounds.check_length(bounds.total_length(value))
        if isinstance(value, Message):
            return history_text((value,))
        if isinstance(value, list | tuple) and value and all(type(item) is Message for item in value):
            return history_text(value)
        return value

    def _joined(self, values: list[Any]) -> str:
        """`a ~ b`."""
        return self.concat([str(self._shown(value)) for value in values])

    def concat(self, parts: Iterable[str]) -> str:
        """Put pieces of text together; Jinja's compiled code calls it too, for `{% set %}…{% endset %}` and macros."""
        pieces = list(parts)
        length = sum(map(len, pieces))
        bounds.check_length(length)
        self.work.spend(1 + (length >> 6))
        return "".join(pieces)

    # Bounded calls

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        """`+`, `*`, `%` and `**`, looked at before they are done."""
        bounds.check_operation(operator, left, right)
        if operator == "%" and isinstance(left, str):
            right = tuple(map(_blank, right)) if isinstance(right, tuple) else _blank(right)
        result = super().call_binop(context, operator, left, right)
        self.work.spend(1 + (bounds.text_length(result) >> 6))
        return result

    def call(self, context: Context, obj: Any, *args: Any, **kwargs: Any) -> Any:
        """A call written in a template: of a method, a macro or one of Jinja's functions."""
        self.work.spend(_CALL_STEPS)
        if isinstance(obj, LoopContext):
            args = tuple(map(self.work.counted, args))
        elif isinstance(obj, BuiltinMethodType) and isinstance(obj.__self__, str | bytes | int):
            args = tuple(list(self.work.counted(arg)) if isinstance(arg, Iterator) else arg for arg in args)
            self.work.handle(obj.__self__)
            self._check_method(obj, args, kwargs)
        return super().call(context, obj, *args, **kwargs)

    def _check_method(self, method: BuiltinMethodType, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        text, others = method.__self__, [*args, *kwargs.values()]
        if method.__name__ == "join":
            text, others = args, [text]
        bounds.check_growth(method.__name__, text, others)

    def wrap_str_format(self, value: Any) -> Callable[..., str] | None:
        """`'{}'.format(…)` with bounded widths; `format_map` is left out, `format(**data)` says the same."""
        if not isinstance(value, MethodType | BuiltinMethodType) or not isinstance(value.__self__, str):
            return None
        if value.__name__ == "format_map":
            raise self._unsafe()
        if value.__name__ != "format":
            return None
        text = value.__self__
        return lambda *args, **kwargs: _BoundedFormatter(self).vformat(text, args, kwargs)

    def _limited(self, name: str, function: Filter) -> Filter:
        """A filter that pays for what it handles and is looked at before it makes something huge."""
        at = 0 if _PassArg.from_obj(function) is None else 1
        blanks_none, own = name in _TEXT_FILTERS, getattr(function, "__module__", "").partition(".")[0] != "jinja2"
        grows = name in bounds.WIDENING | bounds.MULTIPLYING
        work, passes_absent = self.work, function is default

        @wraps(function)
        def limited(*args: Any, **kwargs: Any) -> Any:
            value = args[at] if len(args) > at else None
            if type(value) is str:
                more = len(value) >> 6
                work.spend(1 + more * (_OWN_FILTER_STEPS if own else 1))
            elif type(value) in bounds.SINGLE:
                work.spend(1)
            elif value is None or isinstance(value, Missing):
                work.spend(1)
                if blanks_none:
                    return ""
                if own and not passes_absent:
                    args = (*args[:at], None, *args[at + 1 :])
            elif isinstance(value, Iterator):
                args = (*args[:at], list(work.counted(value)), *args[at + 1 :])
            elif type(value) is not UnknownName:
                before = work.left
                work.handle(value)
                if own:
                    work.spend((before - work.left - 1) * (_OWN_FILTER_STEPS - 1))
            elif not passes_absent:
                str(value)  # raises: no filter but `default` may see an unknown name
            if grows or name == "format":
                args = self._look(name, args, at, kwargs)
            return function(*args, **kwargs)

        return limited

    def _look(self, name: str, args: tuple[Any, ...], at: int, kwargs: dict[str, Any]) -> tuple[Any, ...]:
        """Check the growth; none among the things to join or to format is left out or blank."""
        value, others = args[at], [*args[at + 1 :], *kwargs.values()]
        if name == "format":
            bounds.check_percent(str(value), others)
            return (*args[: at + 1], *map(_blank, args[at + 1 :]))
        if name == "join" and isinstance(value, list | tuple):
            value = [item for item in value if item is not None and not isinstance(item, Missing)]
            args = (*args[:at], value, *args[at + 1 :])
        bounds.check_growth(name, value, others)
        if name == "wordwrap":  # slower than its length: it cuts long words piece by piece
            self.work.spend(4 * bounds.text_length(value))
        return args


class _BoundedFormatter(SandboxedFormatter):
    """`str.format` that looks at widths, pays for what it makes, and shows none as nothing."""

    def __init__(self, environment: MappingEnvironment) -> None:
        super().__init__(environment)
        self._work = environment.work

    def format_field(self, value: Any, format_spec: str) -> Any:
        if value is None or isinstance(value, Missing):
            return ""
        bounds.check_format_spec(format_spec)
        self._work.handle(value)
        return super().format_field(value, format_spec)


def _blank(value: Any) -> Any:
    return "" if value is None or isinstance(value, Missing) else value


def plugin_filters() -> dict[str, Filter]:
    """Every filter of the group `leadsync.filters`: an entry point gives one function, or a mapping of them by name.

    Raises ConfigurationError for a plugin that gives neither, or a name that another one gives too.
    """
    found: dict[str, Filter] = {}
    for name in installed("filters"):
        plugin = load("filters", name)
        functions = dict(plugin) if isinstance(plugin, Mapping) else {name: plugin}
        if not all(map(callable, functions.values())):
            raise ConfigurationError(
                f"the plugin {name!r} of leadsync.filters gives something that cannot be called",
                do="give a function, or a mapping of functions by name",
            )
        if twice := sorted(found.keys() & functions.keys()):
            raise ConfigurationError(
                f"the filter `{twice[0]}` comes from two plugins of leadsync.filters", do=f"uninstall one: {name}?"
            )
        found |= functions
    return found
