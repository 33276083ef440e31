"""The hook by which things below show themselves in a notebook, without knowing who draws.

Pictures stand higher up in the house than what they show; their room is looked up by name when a notebook asks, and not
before.
"""

from __future__ import annotations

from importlib import import_module

PICTURES = "eventlog.views.bundle"


def mimebundle(shown: object) -> dict[str, str]:
    """What a notebook is given for `shown`."""
    bundle: dict[str, str] = import_module(PICTURES).mimebundle_of(shown)
    return bundle
