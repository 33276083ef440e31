"""A controller that takes a leader's wish for other in-sync replicas by whatever it last knew of them."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any

from eventlog.controller.controller import Controller
from eventlog.errors import ErrorCode
from eventlog.museum.exhibit import replaced


def plant() -> AbstractContextManager[None]:
    """While it lasts, the rule is broken."""
    original = Controller._find_refusal

    def find_refusal(controller: Controller, request: Any, partition: Any) -> ErrorCode:
        error = original(controller, request, partition)
        if error in (ErrorCode.INVALID_UPDATE_VERSION, ErrorCode.FENCED_LEADER_EPOCH, ErrorCode.INELIGIBLE_REPLICA):
            return ErrorCode.NONE
        return error

    return replaced(Controller, "_find_refusal", find_refusal)
