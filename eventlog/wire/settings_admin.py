"""DescribeConfigs, AlterConfigs, IncrementalAlterConfigs."""

from __future__ import annotations

from typing import Any, Final

from eventlog.controller import topics as rules
from eventlog.errors import ErrorCode
from eventlog.messages import CONTROLLER
from eventlog.messages.controller_api import AlterTopicRequest
from eventlog.wire.admin import ByKio, Values
from eventlog.wire.call import Call
from eventlog.wire.configs import TOPIC, configs_of, configs_of_broker, find_refusal, overrides_of

SET: Final = 0
DELETE: Final = 1


class DescribeConfigs(ByKio):
    """v1 to v4."""

    async def answer(self, call: Call) -> Values:
        results = []
        for asked in call.asked.resources:
            error, message = find_refusal(call, asked.resource_type, asked.resource_name)
            configs: list[dict[str, Any]] = []
            if not error:
                is_topic = asked.resource_type == TOPIC
                everything = (
                    configs_of(call, call.image.topics[asked.resource_name]) if is_topic else configs_of_broker(call)
                )
                keys = asked.configuration_keys
                configs = [each for each in everything if not keys or each["name"] in keys]
            results.append(_result(asked, error, message) | {"configs": configs})
        return {"results": results}

    def refuse(self, call: Call, error: int) -> Values:
        return {"results": [_result(asked, error, "") for asked in call.asked.resources]}


class AlterConfigs(ByKio):
    """v0 to v2: what is not given is taken away."""

    async def answer(self, call: Call) -> Values:
        return {"responses": [await self._alter(call, asked) for asked in call.asked.resources]}

    async def _alter(self, call: Call, asked: Any) -> Values:
        error, message = find_refusal(call, asked.resource_type, asked.resource_name)
        if not error and asked.resource_type != TOPIC:
            error, message = ErrorCode.INVALID_REQUEST, "settings of brokers are those that the cluster was made with"
        if not error:
            changes, refusal = self._changes(call, asked)
            if refusal:
                error, message = ErrorCode.INVALID_CONFIG, refusal
            else:
                request = AlterTopicRequest(asked.resource_name, changes)
                if call.asked.validate_only:
                    world = call.door.world
                    _, reply = rules.alter_topic(world.controller.image, world.broker_settings, request)
                else:
                    reply = await call.ask(request, server=CONTROLLER)
                error, message = reply.error, reply.error_message
        return _result(asked, error, message)

    def _changes(self, call: Call, asked: Any) -> tuple[tuple[tuple[str, Any], ...], str]:
        given = [(config.name, config.value) for config in asked.configs]
        names = [name.replace(".", "_") for name, _ in given]
        gone = [(name, None) for name, _ in call.image.topics[asked.resource_name].settings if name not in names]
        changes, refusal = overrides_of(given)
        return (*gone, *changes), refusal

    def refuse(self, call: Call, error: int) -> Values:
        return {"responses": [_result(asked, error, "") for asked in call.asked.resources]}


class IncrementalAlterConfigs(AlterConfigs):
    """v0 and v1. Lists can't be appended to: no setting here is one that grows."""

    def _changes(self, call: Call, asked: Any) -> tuple[tuple[tuple[str, Any], ...], str]:
        given: list[tuple[str, str | None]] = []
        for config in asked.configs:
            if config.config_operation not in (SET, DELETE):
                return (
                    (),
                    f"{config.name}: only to set and to delete (0 and 1) is possible, not {config.config_operation}",
                )
            given.append((config.name, None if config.config_operation == DELETE else config.value))
        return overrides_of(given)


def _result(asked: Any, error: int, message: str) -> Values:
    return {
        "resource_type": asked.resource_type,
        "resource_name": asked.resource_name,
        "error_code": error,
        "error_message": message,
    }


HANDLERS = {32: DescribeConfigs(), 33: AlterConfigs(), 44: IncrementalAlterConfigs()}
