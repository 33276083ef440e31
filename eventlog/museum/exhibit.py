"""What an exhibit is, and its run with the mistake and without."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, replace
from typing import Any

from eventlog.fanning import find_named
from eventlog.scenarios import Played, Scenario, play
from eventlog.shrinking import failure_of
from eventlog.sim.faults import Deviation


@dataclass(frozen=True, slots=True)
class Exhibit:
    """One mistake, and where it shows.

    `number`: its place in the catalogue, 0 for none; `mistake`: what was changed, in one line; `breaks`: the promise;
    `shortest`: the fewest deviations that break one in `scenario`, None when nobody has looked. `cure`: settings of the
    scenario without which there is no mistake, for what needs no replaced rule; the table of promises excuses that.

    The gallery fills in the rest: `name` is the module's, `title` and `story` are its docstring's, and `plant` names its
    function of that name, "" when it has none.
    """

    mistake: str
    breaks: str
    reference: str
    scenario: Scenario
    shortest: tuple[Deviation, ...] | None = None
    number: int = 0
    cure: tuple[tuple[str, Any], ...] = ()
    name: str = ""
    title: str = ""
    story: str = ""
    plant: str = ""

    @property
    def is_excused(self) -> bool:
        """Kafka's own rules do it, and the table of promises says so."""
        return not self.plant

    @property
    def plants(self) -> tuple[str, ...]:
        """What `explore` and `campaign` take."""
        return (self.plant,) if self.plant else ()

    @property
    def cured(self) -> Scenario:
        """The same world without the mistake."""
        return replace(self.scenario, **dict(self.cure))

    def planted(self) -> AbstractContextManager[Any]:
        """While it lasts, the mistake is made."""
        if not self.plant:
            return nullcontext()
        context: AbstractContextManager[Any] = find_named(self.plant)()
        return context

    def play(self, deviations: tuple[Deviation, ...]) -> Played:
        """The run with the mistake."""
        with self.planted():
            return play(self.scenario, deviations)

    def play_cured(self, deviations: tuple[Deviation, ...]) -> Played:
        """The same run without it."""
        return play(self.cured, deviations)

    def failure(self, played: Played) -> str:
        """The promise that a run does not keep, "" when it keeps all."""
        return failure_of(played, self.is_excused).removesuffix(" (excused)")


@contextmanager
def replaced(owner: Any, name: str, value: Any) -> Iterator[None]:
    """`owner.name` is `value` for a while, in the class that defines it when `owner` is a class that inherits it.

    Raises KeyError when there is no such name: a mistake beside the rule would show nothing.
    """
    if isinstance(owner, type):
        owner = next((base for base in owner.__mro__ if name in base.__dict__), owner)
    original = owner.__dict__[name]
    setattr(owner, name, value)
    try:
        yield
    finally:
        setattr(owner, name, original)
