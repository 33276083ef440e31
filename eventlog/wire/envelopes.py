"""Requests and answers of the rarer APIs by kio's classes, one for each version.

Loaded when the first of these APIs is asked for, class by class: a client that only produces and consumes never waits for
it. Answers are written by kio. Requests are read here, by the description that each class carries: kio takes an array's
length on trust, makes room for four billion items and ends the process; it refuses a tagged field that it doesn't know,
which a broker has to skip; and it takes null where there must be an array.

`build` makes an answer of plain values: what a version doesn't have is left out, what isn't given has its default.
"""

from __future__ import annotations

import datetime
import types
import typing
import uuid
from collections.abc import Mapping
from dataclasses import MISSING, Field, fields, is_dataclass
from io import BytesIO
from typing import Any, Final

from kio.static import _phantom

from eventlog.wire.primitives import MALFORMED, NO_UUID, MalformedError, Reader

# Where Hypothesis is installed, kio's types register strategies. That counts all of Unicode, for seconds, in the loop that
# serves everybody, and leaves a folder `.hypothesis` wherever the process happens to be.
_phantom.hypothesis = None

from kio.index import load_request_schema, load_response_schema  # noqa: E402
from kio.schema.errors import ErrorCode as KioErrorCode  # noqa: E402
from kio.serial import entity_writer  # noqa: E402
from kio.static.primitive import i32Timedelta, i64Timedelta  # noqa: E402

_MS: Final = datetime.timedelta(milliseconds=1)


def read_request(key: int, version: int, body: Reader) -> Any:
    """The request that `body` holds. Raises MalformedError."""
    kind = load_request_schema(key, version)
    try:
        return _read(kind, body)
    except (*MALFORMED, ValueError, OverflowError) as why:
        raise MalformedError(f"{kind.__name__} {version}: {why}") from why


def write_answer(key: int, version: int, values: Mapping[str, Any]) -> bytes:
    """The body of an answer with these fields, as `build` takes them."""
    kind = load_response_schema(key, version)
    buffer = BytesIO()
    entity_writer(kind)(buffer, build(kind, values))
    return buffer.getvalue()


# --- making ---------------------------------------------------------------------------------------------------------


_known_hints: Final[dict[type[Any], dict[str, Any]]] = {}


def _hints(kind: type[Any]) -> dict[str, Any]:
    """Slow to find out, so it is done once for a class."""
    hints = _known_hints.get(kind)
    if hints is None:
        hints = _known_hints[kind] = typing.get_type_hints(kind)
    return hints


def build(kind: type[Any], values: Mapping[str, Any]) -> Any:
    """An entity of plain values: mappings for structures, numbers for errors, milliseconds for times, bytes for ids."""
    made = {}
    for field in fields(kind):
        if field.name in values:
            made[field.name] = _converted(field, _hints(kind)[field.name], values[field.name])
        elif field.default is MISSING:
            made[field.name] = _nothing(field, _hints(kind)[field.name])
    return kind(**made)


def _plain_type(hint: Any) -> tuple[Any, bool]:
    """(the type without None, may it be None)"""
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        kinds = [each for each in typing.get_args(hint) if each is not type(None)]
        return kinds[0], True
    return hint, False


def _converted(field: Field[Any], hint: Any, value: Any) -> Any:
    kind, _ = _plain_type(hint)
    if value is None:
        return None
    if typing.get_origin(kind) is tuple:
        inner = typing.get_args(kind)[0]
        return tuple([_converted_one(field, inner, each) for each in value])
    return _converted_one(field, kind, value)


def _converted_one(field: Field[Any], kind: Any, value: Any) -> Any:
    if is_dataclass(kind):
        return build(typing.cast(type[Any], kind), value)
    kafka_type = field.metadata.get("kafka_type")
    if kafka_type == "error_code":
        return KioErrorCode(value)
    if kafka_type == "timedelta_i32":
        return i32Timedelta.parse(value * _MS)
    if kafka_type == "timedelta_i64":
        return i64Timedelta.parse(value * _MS)
    if kafka_type == "uuid":
        return None if value == NO_UUID else uuid.UUID(bytes=bytes(value))
    return value


def _nothing(field: Field[Any], hint: Any) -> Any:
    kind, may_be_none = _plain_type(hint)
    if may_be_none:
        return None
    if typing.get_origin(kind) is tuple:
        return ()
    if is_dataclass(kind):
        return build(typing.cast(type[Any], kind), {})
    kafka_type = field.metadata["kafka_type"]
    empty: dict[str, Any] = {"string": "", "bytes": b"", "bool": False, "uuid": NO_UUID}
    return _converted_one(field, kind, empty.get(kafka_type, 0))


# --- reading --------------------------------------------------------------------------------------------------------


def _read(kind: type[Any], body: Reader) -> Any:
    tagged = {field.metadata["tag"]: field for field in fields(kind) if "tag" in field.metadata}
    hints = _hints(kind)
    read = {
        field.name: _read_field(field, hints[field.name], body) for field in fields(kind) if "tag" not in field.metadata
    }
    if body.is_flexible:
        for _ in range(body.uvarint()):
            number = body.uvarint()
            content = Reader(body.take(body.uvarint()), is_flexible=True)
            field = tagged.get(number)
            if field is not None:
                read[field.name] = _read_field(field, hints[field.name], content)
    return kind(**read)


def _read_field(field: Field[Any], hint: Any, body: Reader) -> Any:
    kind, may_be_none = _plain_type(hint)
    if typing.get_origin(kind) is tuple:
        inner = typing.get_args(kind)[0]
        values = body.nullable_array(lambda: _read_one(field, inner, body))
        value = None if values is None or None in values else tuple(values)
    elif is_dataclass(kind) and may_be_none:
        value = None if body.int8() < 0 else _read_one(field, kind, body)
    else:
        value = _read_one(field, kind, body)
    if value is None and not may_be_none:
        raise MalformedError(f"{field.name} is null")
    return value


def _read_one(field: Field[Any], kind: Any, body: Reader) -> Any:
    if is_dataclass(kind):
        return _read(typing.cast(type[Any], kind), body)
    kafka_type = field.metadata["kafka_type"]
    if kafka_type in ("bytes", "records"):
        data = body.nullable_bytes()
        return None if data is None else bytes(data)
    if kafka_type == "uuid":
        number = body.uuid()
        return None if number == NO_UUID else uuid.UUID(bytes=number)
    names = {
        "string": "nullable_string",
        "bool": "boolean",
        "error_code": "int16",
        "timedelta_i32": "int32",
        "timedelta_i64": "int64",
    }
    value = getattr(body, names.get(kafka_type, kafka_type))()
    if value is None or kafka_type in ("string", "bool"):
        return value
    return _converted_one(field, kind, value)
