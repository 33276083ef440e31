"""A broker that takes a batch of a lower producer epoch: what was given up and sent anew is written all the same."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any

from eventlog.errors import ErrorCode
from eventlog.log.producer_state import ACCEPTED, ProducerState, Rejected

from ..patching import replaced


def plant() -> AbstractContextManager[None]:
    """While it lasts, the rule is broken."""
    original = ProducerState._judge_closely

    def judge(state: ProducerState, *given: Any) -> Any:
        verdict = original(state, *given)
        is_fenced = isinstance(verdict, Rejected) and verdict.error is ErrorCode.INVALID_PRODUCER_EPOCH
        return ACCEPTED if is_fenced else verdict

    return replaced(ProducerState, "_judge_closely", judge)
