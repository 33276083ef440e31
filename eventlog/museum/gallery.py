"""Which exhibits there are: the modules of a package, whatever they are; and which wait."""

from __future__ import annotations

import inspect
from dataclasses import replace
from importlib import import_module
from pkgutil import iter_modules
from types import ModuleType
from typing import Final

from eventlog.errors import RequestError
from eventlog.museum.exhibit import Exhibit

HOME: Final = "eventlog.museum.exhibits"
WAITING: Final[dict[int, str]] = {
    28: "an epoch that is raised by every failed attempt, until there is none left (KAFKA-9666)",
    32: "a hanging transaction: a late write opens it again behind its abort marker (KAFKA-12671, KIP-890)",
    33: "a late end of one transaction decides the next (KAFKA-17754)",
    34: "a coordinator that forgets where a transaction began when it fails over (Redpanda 6018)",
    38: "a coordinator epoch that goes back when a producer's state expires (KAFKA-9144)",
}
"""What can't be shown yet, by its number: a transactional client is needed, or a coordinator."""


def gallery(package: str = HOME) -> dict[str, Exhibit]:
    """The exhibits of `package` by name: those with a number first, in its order. Raises RequestError where a module
    isn't one."""
    try:
        found = import_module(package)
    except ImportError as error:
        raise RequestError(f"the package of exhibits {package!r} can't be imported: {error}") from None
    exhibits = [
        _exhibit(import_module(f"{package}.{module.name}"), module.name)
        for module in iter_modules(getattr(found, "__path__", []))
        if not module.name.startswith("_")
    ]
    if not exhibits:
        raise RequestError(f"there are no exhibits in {package}: each is a module with an EXHIBIT")
    exhibits.sort(key=lambda exhibit: (exhibit.number == 0, exhibit.number, exhibit.name))
    return {exhibit.name: exhibit for exhibit in exhibits}


def _exhibit(module: ModuleType, name: str) -> Exhibit:
    exhibit = getattr(module, "EXHIBIT", None)
    if not isinstance(exhibit, Exhibit):
        raise RequestError(f"{module.__name__} is not an exhibit: it needs an EXHIBIT = Exhibit(...)")
    plant = f"{module.__name__}:plant" if hasattr(module, "plant") else ""
    if not plant and not exhibit.cure:
        raise RequestError(f"{module.__name__} makes no mistake: it needs a plant(), or a cure in its EXHIBIT")
    title, _, story = inspect.cleandoc(module.__doc__ or "").partition("\n")
    if not title:
        raise RequestError(f"{module.__name__} has no docstring: its first line is the title, the rest is the story")
    return replace(exhibit, name=name, title=title.rstrip("."), story=story.strip(), plant=plant)


def find_exhibit(wanted: str, package: str = HOME) -> Exhibit:
    """The exhibit of that number or name. Raises RequestError for an unknown one, and for one that waits."""
    exhibits = gallery(package)
    if wanted in exhibits:
        return exhibits[wanted]
    if wanted.isdecimal():
        for exhibit in exhibits.values():
            if exhibit.number and exhibit.number == int(wanted):
                return exhibit
        if int(wanted) in WAITING:
            raise RequestError(f"exhibit {wanted} can't be shown yet: {WAITING[int(wanted)]}")
    known = ", ".join([f"{exhibit.number} {name}" if exhibit.number else name for name, exhibit in exhibits.items()])
    raise RequestError(f"there is no exhibit {wanted!r}; there are: {known}")
