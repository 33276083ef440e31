"""A broker that takes any sequence: what was lost before a batch goes unnoticed."""

from __future__ import annotations

from contextlib import AbstractContextManager

from eventlog.log.producer_state import ProducerState
from eventlog.museum.exhibit import replaced


def plant() -> AbstractContextManager[None]:
    """While it lasts, the rule is broken."""
    return replaced(ProducerState, "_judge_sequence", lambda state, batch, entry: None)
