"""A Python type as JSON: how it is offered, how it is checked, how it is read.

One walk over a type makes all three.
"""

from __future__ import annotations

import math
import types
import typing
from collections import abc
from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING, InitVar, dataclass, field, fields, is_dataclass
from dataclasses import replace
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from functools import partial
from inspect import Parameter
from pathlib import PurePath
from typing import Annotated, Any, ForwardRef, Union, get_args, get_origin
from uuid import UUID

from . import reading, scalars
from .docstrings import descriptions
from .hints import Problem, Undescribable, class_hints
from .jsonvalues import ResultInvalid, plain
from .models import Schema, SelfReference, inlined, strict_form, wire_form
from .reading import Read
from .violations import describe

NO_DEFAULT: Any = Parameter.empty

_CURE = (
    "use str, int, float, bool, list[T], dict[str, T], Literal, an Enum, a dataclass, "
    "or another type that the documentation lists"
)


@dataclass(frozen=True)
class Form:
    """What JSON makes of one type.

    Attributes:
        wire: the JSON Schema that the platform is given.
        strict: the JSON Schema that arguments are checked against.
        load: turns a JSON value into the annotated type, or raises InvalidArguments.
        nullable: whether null is a value of the type.
    """

    wire: Schema
    strict: Schema
    load: Read
    nullable: bool = False


@dataclass(frozen=True)
class Scope:
    """Where a type is met.

    Attributes:
        names: what string annotations may refer to besides module globals.
        inside: the types that are being described; one of them again is a cycle.
    """

    names: Mapping[str, Any] = field(default_factory=dict)
    inside: tuple[Any, ...] = ()

    def enter(self, kind: Any) -> Scope:
        """Return the scope inside a named type."""
        if any(kind is outer for outer in self.inside):
            raise _self_reference(type_name(kind))
        return replace(self, inside=(*self.inside, kind))


@dataclass(frozen=True)
class Slot:
    """One parameter of a function, or one field of a record.

    Attributes:
        annotation: its type, without strings.
        required: whether it must be given.
        default: what it is when it is not given, if that is known.
        description: what it means, unless the annotation says so.
    """

    annotation: Any
    required: bool = True
    default: Any = NO_DEFAULT
    description: str | None = None


def form_of(annotation: Any, scope: Scope) -> Form:
    """Describe a type.

    Raises:
        Undescribable: the type, or a part of it, has no JSON form.
    """
    for described in (_simple, _wrapped, _choice, _union, _array, _object, _named):
        form = described(annotation, scope)
        if form is not None:
            return form
    raise Undescribable.because(f"{type_name(annotation)} has no JSON form; {_CURE}")


def record_form(slots: Mapping[str, Slot], scope: Scope) -> Form:
    """Describe a JSON object with known names, which is read as a dict.

    Raises:
        Undescribable: with the problems of all the slots.
    """
    forms: dict[str, Form] = {}
    problems: list[Problem] = []
    for name, slot in slots.items():
        try:
            forms[name] = _slot_form(slot, scope)
        except Undescribable as error:
            problems.extend(error.under(name))
    if problems:
        raise Undescribable(problems)
    return _record(slots, forms)


def type_name(annotation: Any) -> str:
    """Return the name of a type, more or less as its author wrote it."""
    if _is_class(annotation):
        return str(annotation.__qualname__)
    return str(annotation).replace("typing.", "")


def _scalar(read: Read, schema: Schema, nullable: bool = False) -> Form:
    load = partial(reading.read_scalar, read, describe(schema))
    return Form(schema, schema, load, nullable)


def _formatted(read: Read, name: str) -> Form:
    return _scalar(read, {"type": "string", "format": name})


_ANYTHING = Form({}, {}, reading.read_anything, nullable=True)
_NULL = _scalar(scalars.read_null, {"type": "null"}, nullable=True)
_SCALARS: dict[type, Form] = {
    object: _ANYTHING,
    type(None): _NULL,
    str: _scalar(scalars.read_text, {"type": "string"}),
    int: _scalar(scalars.read_integer, {"type": "integer"}),
    float: _scalar(scalars.read_number, {"type": "number"}),
    bool: _scalar(scalars.read_boolean, {"type": "boolean"}),
    date: _formatted(scalars.read_date, "date"),
    time: _formatted(scalars.read_time, "time"),
    datetime: _formatted(scalars.read_datetime, "date-time"),
    timedelta: _formatted(scalars.read_duration, "duration"),
    UUID: _formatted(scalars.read_uuid, "uuid"),
    # Language models like to write prices as numbers; only text keeps every digit.
    Decimal: replace(
        _formatted(scalars.read_decimal, "decimal"),
        strict={"type": ["string", "number"], "format": "decimal"},
    ),
    bytes: _scalar(scalars.read_bytes, {"type": "string", "contentEncoding": "base64"}),
}
_ARRAYS: dict[Any, Callable[[list[Any]], Any]] = {
    list: list,
    tuple: tuple,
    set: set,
    frozenset: frozenset,
    abc.Sequence: list,
    abc.MutableSequence: list,
    abc.Collection: list,
    abc.Iterable: list,
    abc.Set: set,
    abc.MutableSet: set,
}
_OBJECTS = (dict, abc.Mapping, abc.MutableMapping)
_CHOICES = {str: "string", int: "integer", float: "number", bool: "boolean"}
_QUALIFIERS = ("Required", "NotRequired", "ReadOnly", "Final")
_COMBINED = {"enum", "const", "anyOf", "oneOf", "allOf", "not"}


def _simple(annotation: Any, scope: Scope) -> Form | None:
    if isinstance(annotation, (str, ForwardRef)):
        # Names were resolved before the walk: what is left came round to itself.
        raise _self_reference(type_name(annotation))
    if _special(annotation) == "Any":
        return _ANYTHING
    if annotation is None:
        return _NULL
    return _SCALARS.get(annotation) if _is_class(annotation) else None


def _wrapped(annotation: Any, scope: Scope) -> Form | None:
    origin = get_origin(annotation)
    if origin is Annotated:
        form = form_of(get_args(annotation)[0], scope)
        return _described(form, _description_in(annotation.__metadata__))
    if _special(origin) in _QUALIFIERS:
        return form_of(get_args(annotation)[0], scope)
    if type(annotation).__name__ == "TypeAliasType":
        return form_of(annotation.__value__, scope.enter(annotation))
    if hasattr(annotation, "__supertype__"):
        return form_of(annotation.__supertype__, scope)
    return None


def _choice(annotation: Any, scope: Scope) -> Form | None:
    if _special(get_origin(annotation)) == "Literal":
        members = get_args(annotation)
    elif _is_class(annotation) and issubclass(annotation, Enum):
        members = tuple(annotation)
    else:
        return None
    choices = {reading.choice_key(_choice_value(m)): m for m in members}
    values = [value for _, value in choices]
    if not values or not all(map(_is_choice, values)):
        raise Undescribable.because(
            f"{type_name(annotation)} has values that JSON cannot offer as a choice; "
            "use str, int, float or bool values"
        )
    return _choice_form(choices, [value for value in values if value is not None])


def _choice_form(choices: dict[Any, Any], values: list[Any]) -> Form:
    kinds = {_CHOICES[type(value)] for value in values}
    schema: Schema = {"type": kinds.pop()} if len(kinds) == 1 else {}
    form = _scalar(
        partial(reading.read_choice, choices),
        {**schema, "enum": values} if values else {"type": "null"},
    )
    if len(values) == len(choices):
        return form
    # One member stands for null, and it may be a member of an Enum: no _nullable load.
    return replace(_nullable(form) if values else _NULL, load=form.load)


def _choice_value(member: Any) -> Any:
    return member.value if isinstance(member, Enum) else member


def _is_choice(value: Any) -> bool:
    if type(value) is float:
        return math.isfinite(value)
    return value is None or type(value) in _CHOICES


def _union(annotation: Any, scope: Scope) -> Form | None:
    if get_origin(annotation) not in (Union, types.UnionType):
        return None
    members = get_args(annotation)
    forms = [form_of(member, scope) for member in members if member is not type(None)]
    form = forms[0] if len(forms) == 1 else _any_of(forms)
    return form if len(forms) == len(members) else _nullable(form)


def _any_of(forms: Sequence[Form]) -> Form:
    strict = {"anyOf": [form.strict for form in forms]}
    loads = [form.load for form in forms]
    return Form(
        {"anyOf": [form.wire for form in forms]},
        strict,
        partial(reading.read_first, loads, describe(strict)),
        any(form.nullable for form in forms),
    )


def _nullable(form: Form) -> Form:
    return Form(
        {**form.wire, "nullable": True},
        form.strict if form.nullable else _or_null(form.strict),
        partial(reading.read_nullable, form.load),
        nullable=True,
    )


def _or_null(strict: Schema) -> Schema:
    kind = strict.get("type")
    if isinstance(kind, str) and not _COMBINED & strict.keys():
        return {**strict, "type": [kind, "null"]}
    return {"anyOf": [strict, {"type": "null"}]}


def _array(annotation: Any, scope: Scope) -> Form | None:
    kind = get_origin(annotation) or annotation
    if not isinstance(kind, type) or kind not in _ARRAYS:
        return None
    members = get_args(annotation)
    bare = annotation in (tuple, typing.Tuple)
    if kind is tuple and not bare and members[1:] != (...,):
        # Python 3.10 has ((),) for Tuple[()].
        return _fixed_array([m for m in members if m != ()], scope)
    item = members[0] if members else Any
    if not issubclass(kind, abc.Set):
        return _open_array(form_of(item, scope), {"type": "array"}, _ARRAYS[kind])
    if getattr(get_origin(item) or item, "__hash__", None) is None:
        raise Undescribable.because(
            f"{type_name(annotation)} holds what Python cannot hash; use list[T], "
            "or a frozen dataclass"
        )
    base = {"type": "array", "uniqueItems": True}
    build = partial(reading.read_set, _ARRAYS[kind])
    return _open_array(form_of(item, scope), base, build)


def _open_array(item: Form, base: Schema, build: Read) -> Form:
    strict = _with("items", item.strict, base)
    load = partial(reading.read_array, item.load, build, describe(strict))
    return Form(_with("items", item.wire, base), strict, load)


def _fixed_array(members: Sequence[Any], scope: Scope) -> Form:
    forms = [form_of(member, scope) for member in members]
    size = len(forms)
    base: Schema = {"type": "array", "minItems": size, "maxItems": size}
    strict = _with("prefixItems", [form.strict for form in forms], base)
    loads = [form.load for form in forms]
    return Form(
        _with("prefixItems", [form.wire for form in forms], base),
        strict,
        partial(reading.read_tuple, loads, describe(strict)),
    )


def _object(annotation: Any, scope: Scope) -> Form | None:
    if (get_origin(annotation) or annotation) not in _OBJECTS:
        return None
    key, value = get_args(annotation) or (str, Any)
    if key is not str and _special(key) != "Any":
        raise Undescribable.because(
            f"{type_name(annotation)} has keys that JSON does not have; "
            "use dict[str, T], or a list of records"
        )
    item = form_of(value, scope)
    base = {"type": "object"}
    strict = _with("additionalProperties", item.strict, base)
    load = partial(reading.read_object, item.load, describe(strict))
    return Form(_with("additionalProperties", item.wire, base), strict, load)


def _named(annotation: Any, scope: Scope) -> Form | None:
    if not _is_class(annotation):
        return None
    if issubclass(annotation, PurePath):
        schema = {"type": "string", "format": "path"}
        return _scalar(partial(reading.read_path, annotation), schema)
    if hasattr(annotation, "model_json_schema"):
        return _model(annotation)
    if is_dataclass(annotation):
        return _instance(annotation, _dataclass_slots, scope)
    if issubclass(annotation, dict) and hasattr(annotation, "__required_keys__"):
        return _class_record(annotation, _typed_dict_slots, scope)
    if issubclass(annotation, tuple) and hasattr(annotation, "_fields"):
        return _instance(annotation, _named_tuple_slots, scope)
    return None


_SlotsOf = Callable[[Any, dict[str, Any]], dict[str, Slot]]


def _instance(kind: Any, slots_of: _SlotsOf, scope: Scope) -> Form:
    form = _class_record(kind, slots_of, scope)
    return replace(form, load=partial(reading.read_instance, kind, form.load))


def _class_record(kind: Any, slots_of: _SlotsOf, scope: Scope) -> Form:
    inner = scope.enter(kind)
    told = descriptions(kind.__doc__)
    slots = slots_of(kind, class_hints(kind, scope.names))
    return record_form(
        {
            name: replace(slot, description=told.get(name))
            for name, slot in slots.items()
        },
        inner,
    )


def _dataclass_slots(kind: Any, hints: dict[str, Any]) -> dict[str, Slot]:
    for name, hint in hints.items():
        if isinstance(hint, InitVar):
            raise Undescribable.because(
                f"{type_name(kind)}.{name} is an InitVar, which no result can show; "
                "make it a field"
            )
    return {
        item.name: Slot(
            hints[item.name],
            item.default is MISSING and item.default_factory is MISSING,
            NO_DEFAULT if item.default is MISSING else item.default,
        )
        for item in fields(kind)
        if item.init
    }


def _typed_dict_slots(kind: Any, hints: dict[str, Any]) -> dict[str, Slot]:
    return {
        name: Slot(hint, _is_required(hint, name in kind.__required_keys__))
        for name, hint in hints.items()
    }


def _named_tuple_slots(kind: Any, hints: dict[str, Any]) -> dict[str, Slot]:
    defaults = kind._field_defaults
    return {
        name: Slot(
            hints.get(name, Any), name not in defaults, defaults.get(name, NO_DEFAULT)
        )
        for name in kind._fields
    }


def _is_required(hint: Any, presumed: bool) -> bool:
    # With string annotations __required_keys__ does not see the qualifiers.
    qualifier = _special(get_origin(hint))
    if qualifier == "ReadOnly" or get_origin(hint) is Annotated:
        return _is_required(get_args(hint)[0], presumed)
    return {"Required": True, "NotRequired": False}.get(qualifier, presumed)


def _model(kind: Any) -> Form:
    try:
        schema = inlined(kind.model_json_schema())
        load = partial(reading.read_model, kind)
        return Form(wire_form(schema), strict_form(schema), load)
    except SelfReference as error:
        raise _self_reference(str(error)) from None
    except Exception as error:  # the library raises, or gives what is no schema
        raise Undescribable.because(
            f"{type_name(kind)}.model_json_schema failed ({type(error).__name__}); "
            "use field types that have a JSON Schema"
        ) from error


def _record(slots: Mapping[str, Slot], forms: Mapping[str, Form]) -> Form:
    required = [name for name, slot in slots.items() if slot.required]
    optional = {
        name
        for name, form in forms.items()
        if not slots[name].required and not form.nullable
    }
    strict = {
        "type": "object",
        "properties": {
            name: _or_null(form.strict) if name in optional else form.strict
            for name, form in forms.items()
        },
        "required": required,
        "additionalProperties": False,
    }
    wire = {
        "type": "object",
        "properties": {name: form.wire for name, form in forms.items()},
        "required": required,
    }
    load = partial(
        reading.read_record,
        {name: form.load for name, form in forms.items()},
        {name: describe(forms[name].strict) for name in required},
        frozenset(optional),
        describe(strict),
    )
    return Form(wire, strict, load)


def _slot_form(slot: Slot, scope: Scope) -> Form:
    form = form_of(slot.annotation, scope)
    if slot.default is None and not form.nullable:
        form = _nullable(form)  # `x: str = None` is how Optional was once written
    if "description" not in form.wire:
        form = _described(form, slot.description)
    try:
        default = {} if slot.default is NO_DEFAULT else {"default": plain(slot.default)}
    except ResultInvalid:
        default = {}
    return replace(form, wire={**form.wire, **default})


def _described(form: Form, description: str | None) -> Form:
    if not description:
        return form
    return replace(form, wire={**form.wire, "description": description})


def _description_in(metadata: Sequence[Any]) -> str | None:
    for item in metadata:
        for text in (
            item,
            getattr(item, "documentation", None),
            getattr(item, "description", None),
        ):
            if isinstance(text, str):
                return text
    return None


def _with(keyword: str, value: Any, schema: Schema) -> Schema:
    return {**schema, keyword: value} if value else schema


def _is_class(annotation: Any) -> bool:
    # On Python 3.10 list[int] is an instance of type.
    return isinstance(annotation, type) and get_origin(annotation) is None


def _special(annotation: Any) -> str:
    # By name, because typing_extensions has forms of its own on older Pythons.
    module, _, name = repr(annotation).rpartition(".")
    return name if module in ("typing", "typing_extensions") else ""


def _self_reference(name: str) -> Undescribable:
    return Undescribable.because(
        f"{name} refers to itself, and the platform has no way to say so; "
        "use a flat list of records, or dict"
    )
