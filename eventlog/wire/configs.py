"""Settings of topics and brokers by Kafka's names: what holds, where it comes from, and how it is changed.

A topic's settings can be changed; a broker's are those that the cluster was made with.
"""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING, Any, Final

from eventlog.errors import ErrorCode
from eventlog.messages.controller_api import TopicRecord
from eventlog.values import LogSettings, TopicSettings, log_settings

if TYPE_CHECKING:
    from eventlog.wire.call import Call

TOPIC: Final = 2
BROKER: Final = 4
DEFAULT_SOURCE: Final = 5
BROKER_SOURCE: Final = 4
TOPIC_SOURCE: Final = 1
_TYPES: Final = {bool: 1, str: 2, int: 5}
_NAMES: Final = {field.name.replace("_", "."): field.name for field in fields(TopicSettings)}
_DEFAULTS: Final = LogSettings()


def overrides_of(configs: list[tuple[str, str | None]]) -> tuple[tuple[tuple[str, Any], ...], str]:
    """A topic's overrides as the core takes them, and what is wrong with them ("" if nothing). None takes one away."""
    overrides: list[tuple[str, Any]] = []
    for name, text in configs:
        field = _NAMES.get(name)
        if field is None:
            return (), f"{name!r} is no setting of a topic here; there are {', '.join(_NAMES)}"
        kind = type(getattr(_DEFAULTS, field))
        value: Any = text
        if text is not None and kind is bool:
            if text.lower() not in ("true", "false"):
                return (), f"{name} must be true or false, not {text!r}"
            value = text.lower() == "true"
        elif text is not None and kind is int:
            if not text.removeprefix("-").isdecimal():
                return (), f"{name} must be a whole number, not {text!r}"
            value = int(text)
        overrides.append((field, value))
    return tuple(overrides), ""


def configs_of(call: Call, topic: TopicRecord) -> list[dict[str, Any]]:
    """Every setting of a topic, with where its value comes from."""
    given = dict(topic.settings)
    broker_settings = call.door.world.broker_settings
    without, holding = log_settings(broker_settings), log_settings(broker_settings, topic.settings)
    described = []
    for name, field in _NAMES.items():
        by_broker = getattr(without, field)
        inherited = DEFAULT_SOURCE if by_broker == getattr(_DEFAULTS, field) else BROKER_SOURCE
        source = TOPIC_SOURCE if field in given else inherited
        described.append(_described(name, getattr(holding, field), source, False))
    return described


def configs_of_broker(call: Call) -> list[dict[str, Any]]:
    """Every setting of a broker. None can be changed."""
    settings = call.door.world.broker_settings
    made_with = type(settings)()
    return [
        _described(
            field.name.replace("_", "."),
            getattr(settings, field.name),
            DEFAULT_SOURCE if getattr(settings, field.name) == getattr(made_with, field.name) else BROKER_SOURCE,
            True,
        )
        for field in fields(settings)
    ]


def _described(name: str, value: Any, source: int, is_read_only: bool) -> dict[str, Any]:
    text = str(value).lower() if isinstance(value, bool) else str(value)
    return {
        "name": name,
        "value": text,
        "read_only": is_read_only,
        "is_default": source == DEFAULT_SOURCE,
        "config_source": source,
        "is_sensitive": False,
        "synonyms": [],
        "config_type": _TYPES[type(value)],
    }


def find_refusal(call: Call, resource_type: int, name: str) -> tuple[int, str]:
    """Why there are no settings of this: (error, message); (0, "") when there are."""
    if resource_type == TOPIC:
        if name not in call.image.topics:
            return ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, f"there is no topic {name!r}"
    elif resource_type == BROKER:
        if name not in map(str, call.door.ports):
            return ErrorCode.INVALID_REQUEST, f"there is no broker {name!r}"
    else:
        return ErrorCode.INVALID_REQUEST, f"resources of type {resource_type} have no settings here"
    return ErrorCode.NONE, ""
