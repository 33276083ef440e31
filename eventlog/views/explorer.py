"""The widget: a slider over a run, and buttons that fork its past. Needs the extra `notebook` (anywidget).

The slider is the length of the trace; every picture is drawn from the real code, played up to there
(`eventlog.views.replaying`). A fork takes the run's place, and `literal` names it; `back()` goes to the run before.
"""

from __future__ import annotations

from collections.abc import Iterable
from html import escape
from importlib.resources import files
from typing import Any, Final

from eventlog.errors import RequestError
from eventlog.scenarios import SCENARIOS, WRITER, Scenario, find_scenario
from eventlog.sim.faults import Deviation
from eventlog.sim.literal import read_literal
from eventlog.views.html import image
from eventlog.views.making import sheet_of
from eventlog.views.replaying import PALETTE, Past, past_of
from eventlog.views.scripts import Program
from eventlog.views.sheet import Row
from eventlog.views.svg import svg_ladder

try:
    import anywidget
    import traitlets
except ImportError:
    raise ImportError(
        "the Explorer is a notebook widget and needs anywidget: pip install 'eventlog-broker[notebook]'. "
        "Without it, `eventlog.views.replaying.Past` forks the same runs"
    ) from None

MOST_ROWS: Final = 60
MOST_OFFERS: Final = 24
SAID: Final = {
    "reply_lost": "drop the answer:",
    "request_lost": "drop the request:",
    "crash": "crash",
    "election": "elect",
    "pause": "pause",
    "isolate": "isolate",
    "cut": "cut",
    "disconnect": "disconnect",
    "isr_shrink": "out of sync:",
}


class Explorer(anywidget.AnyWidget):
    """A run, and all that may go wrong in it.

    `played`: a function that takes a new cluster (of `settings`, as for `Cluster`) and does something with it, the same
    each time; or a scenario's name (P3, P2, one broker) with `settings` of its own, a `Scenario`, or the literal of a
    scenario's run. `deviations` are those to begin with, also as the literal of a fork. Raises RequestError for what can't
    be played.
    """

    _esm = files("eventlog.views").joinpath("explorer.js").read_text("utf-8")
    _css = files("eventlog.views").joinpath("explorer.css").read_text("utf-8")
    first = traitlets.Int(0).tag(sync=True)
    last = traitlets.Int(0).tag(sync=True)
    index = traitlets.Int(0).tag(sync=True)
    stops: Any = traitlets.List().tag(sync=True)
    picture = traitlets.Unicode("").tag(sync=True)
    now = traitlets.Unicode("").tag(sync=True)
    reasons: Any = traitlets.List().tag(sync=True)
    offers: Any = traitlets.List().tag(sync=True)
    can_heal = traitlets.Bool(False).tag(sync=True)
    depth = traitlets.Int(0).tag(sync=True)
    literal = traitlets.Unicode("").tag(sync=True)
    repeated_by = traitlets.Unicode("").tag(sync=True)
    verdict = traitlets.Unicode("").tag(sync=True)
    is_broken = traitlets.Bool(False).tag(sync=True)
    error = traitlets.Unicode("").tag(sync=True)

    def __init__(
        self,
        played: str | Scenario | Program = "P3",
        deviations: str | Iterable[Deviation | tuple[Any, ...]] = (),
        faults: tuple[str, ...] = PALETTE,
        **settings: Any,
    ) -> None:
        given = read_literal(deviations)[1] if isinstance(deviations, str) else [Deviation(*each) for each in deviations]
        if not isinstance(played, str):
            past = Past(played, given, faults, **settings)
        elif played.lstrip().startswith("{"):
            past = past_of(played)
        else:
            past = Past(find_scenario(played, **settings), given, faults)
        self._pasts = [past]
        self._offered: tuple[Deviation, ...] = ()
        super().__init__()
        self.on_msg(self._asked)
        self._open(past, past.last)

    @property
    def past(self) -> Past:
        """The run that is shown."""
        return self._pasts[-1]

    def _repr_mimebundle_(self, **kwargs: Any) -> Any:
        """With the picture for whoever has no kernel, or does not trust the notebook."""
        bundle = super()._repr_mimebundle_(**kwargs)
        if bundle is None:
            return None
        data, metadata = bundle if isinstance(bundle, tuple) else (bundle, {})
        parts = [image(self.picture, self.now)] if self.picture else []
        parts.append(f"<p>{escape(f'Event {self.index} of {self.last}. {self.verdict}')}</p>")
        parts.append("<p>The slider and the buttons need a kernel: run the cells of this notebook.</p>")
        return {**data, "text/html": f"<div>{''.join(parts)}</div>"}, metadata

    def __repr__(self) -> str:
        return f"<Explorer of {self.past!r}, at event {self.index}>"

    def fork(self, deviation: Deviation | tuple[str, int, str, str, int]) -> None:
        """Go back to the event that is shown, and let `deviation` happen after it."""
        self._take(self.past.fork(self.index, deviation))

    def heal(self) -> None:
        """Undo, at the event that is shown, every fault that lasts."""
        self._take(self.past.heal(self.index))

    def back(self) -> None:
        """The run before the last fork."""
        if len(self._pasts) == 1:
            raise RequestError("this is the first run; there is no fork to undo")
        self._pasts.pop()
        self._open(self.past, self.index)

    def _take(self, past: Past) -> None:
        self._pasts.append(past)
        self._open(past, past.last)

    def _open(self, past: Past, index: int) -> None:
        rows = sheet_of(past.film, past.first, most_rows=10_000).rows
        with self.hold_sync():
            self.first, self.last = past.first, past.last
            self.stops = [past.first, *[row.event + 1 for row in rows], past.last]
            self.depth = len(self._pasts) - 1
            self.literal, self.repeated_by = past.literal, past.script.repeated_by
            self.verdict = past.message.splitlines()[0] if past.message else ""
            self.is_broken = bool(past.promise)
            self.index = max(past.first, min(past.last, index))
            self._show()

    @traitlets.observe("index")
    def _moved(self, change: Any) -> None:
        if self._pasts and self.first <= change["new"] <= self.last:
            with self.hold_sync():
                self._show()

    def _show(self) -> None:
        past, index = self.past, self.index
        self.error = ""
        self._offered = past.offers(index)[:MOST_OFFERS]
        self.offers = [_offer_text(deviation) for deviation in self._offered]
        self.can_heal = bool(past.standing(index))
        try:
            sheet = sheet_of(past.film_at(index), past.first, index, most_rows=MOST_ROWS, moments=(-1,))
        except RequestError:
            self.picture, self.now, self.reasons = "", "Nothing has happened yet.", []
            return
        self.picture = svg_ladder(sheet, highlight=len(sheet.rows) - 1)
        self.reasons = [_reason(row) for row in sheet.rows]
        self.now = self.reasons[-1]

    def _asked(self, widget: Any, content: Any, buffers: Any) -> None:
        """A button was pressed."""
        try:
            if content.get("do") == "fork":
                self.fork(self._offered[content["index"]])
            elif content.get("do") == "heal":
                self.heal()
            elif content.get("do") == "back":
                self.back()
        except RequestError as error:
            self.error = str(error)


def _offer_text(deviation: Deviation) -> list[str]:
    """(what is on the button, the whole of it)."""
    said = SAID.get(deviation.fault, deviation.fault.replace("_", " "))
    target = deviation.target
    if deviation.fault in ("reply_lost", "request_lost"):
        target = deviation.event.removeprefix("answer: ").removeprefix(f"{WRITER} produces ")
        target = target.replace("@", "batch ").rstrip()
    elif deviation.fault in ("election", "isr_shrink"):
        target = target.partition(">")[2]
    return [f"{said} {target}", f"at {deviation.event!r}: {deviation.fault} {deviation.target}"]


def _reason(row: Row) -> str:
    return f"{row}"


def scenarios() -> tuple[str, ...]:
    """The names that an `Explorer` takes."""
    return tuple(SCENARIOS)
