"""Our dataclasses as plain JSON values, and back. Pure.

The form follows from the types alone: a dataclass is an object, an enum its value, a UUID its text, a tuple a list.
"""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Mapping
from enum import Enum
from ipaddress import IPv4Address, IPv6Address
from typing import Any, TypeVar
from uuid import UUID

T = TypeVar("T")


def to_plain(value: object) -> Any:
    """`value` as what JSON can hold."""
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, (UUID, IPv4Address, IPv6Address)):
        return str(value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: to_plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(key): to_plain(item) for key, item in sorted(value.items())}
    if isinstance(value, (tuple, list)):
        return [to_plain(item) for item in value]
    return value


def from_plain(kind: type[T], value: object) -> T:
    """The `kind` that `to_plain` made `value` of. Raises ValueError, saying where it is not one."""
    made: T = _decode(kind, value, kind.__name__)
    return made


def _decode(kind: Any, value: object, where: str) -> Any:
    origin = typing.get_origin(kind)
    if origin in (types.UnionType, typing.Union):
        inner = next(option for option in typing.get_args(kind) if option is not type(None))
        return None if value is None else _decode(inner, value, where)
    if origin is tuple:
        items = _expect(list, value, where)
        return tuple(_decode(typing.get_args(kind)[0], item, f"{where}[{i}]") for i, item in enumerate(items))
    if origin is not None:
        return {str(key): _expect(str, item, where) for key, item in _expect(dict, value, where).items()}
    if dataclasses.is_dataclass(kind):
        return _decode_fields(kind, _expect(dict, value, where), where)
    if kind is UUID or issubclass(kind, Enum):
        try:
            return kind(value)
        except (ValueError, TypeError, AttributeError) as error:
            raise ValueError(f"{where}: {value!r} is no {kind.__name__}") from error
    return _expect(kind, value, where)


def _decode_fields(kind: Any, content: Mapping[str, object], where: str) -> Any:
    hints = typing.get_type_hints(kind)
    known = {field.name: field for field in dataclasses.fields(kind)}
    unknown = content.keys() - known.keys()
    if unknown:
        raise ValueError(f"{where}: unknown {', '.join(sorted(unknown))}")
    try:
        return kind(**{name: _decode(hints[name], item, f"{where}.{name}") for name, item in content.items()})
    except TypeError as error:
        raise ValueError(f"{where}: {error}") from error


def _expect(kind: Any, value: object, where: str) -> Any:
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is int):
        raise ValueError(f"{where}: {value!r} is no {kind.__name__}")
    return value
