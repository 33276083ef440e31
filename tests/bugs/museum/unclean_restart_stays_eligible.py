"""A controller that lets a broker lead which came back from a crash: the end of its log may be gone.

The rule is KIP-966's: only an orderly stop proves that nothing is missing.
"""

from __future__ import annotations

from contextlib import AbstractContextManager

from eventlog.controller.controller import Controller
from eventlog.messages.controller_api import MetadataRecord
from eventlog.museum.exhibit import replaced


def plant() -> AbstractContextManager[None]:
    """While it lasts, the rule is broken."""
    original = Controller._without

    def without(controller: Controller, broker_id: int, struck_off: int = -1) -> list[MetadataRecord]:
        return original(controller, broker_id)

    return replaced(Controller, "_without", without)
