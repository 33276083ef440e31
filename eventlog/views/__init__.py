"""Floor 6: pictures of a run, for a notebook, a terminal, a browser.

| call | gives |
|---|---|
| `watch(cluster)` | a film: from now on the logs of every step are kept |
| `ladder(cluster or film)` | a column for each machine, time down, an arrow for each message; logs beside it |
| `scene("lost-ack")`, `scene(1)` | one of the prepared stories, run anew by the real code |
| `diff(one, other)` | two runs side by side, lit where they part |
| `log_view(cluster, topic)` | every replica's log, and what it remembers of its producers |
| `verdict_card(verdict)` | how each promise stands |
| `metrics_strip(cluster or film)` | in flight, lag and high_watermark over a long run |
| `Explorer(program)` | a widget: go back in a run, and let something else happen (extra `notebook`) |

```python
from eventlog.views import scene
scene("lost-ack")                       # a cell's last value shows itself
scene("lost-ack").to_html("story.html") # one file with a slider
```

A trace becomes rows (`reading`), a film gives the logs at chosen moments (`film`), both make a `Sheet` (`making`), and a
sheet is drawn as text, SVG, HTML or a page. Who draws knows nothing of the protocol.

W1. A view looks and changes nothing; a film passes on all that it sees. The run is the same with and without them.
W2. What a user wrote is escaped where it is drawn, and cut with a count of what was cut. The notebook's views hold no
    script and fetch nothing; so does the page, whose one script is its own.
W3. Colour never speaks alone: an arrow has a stroke, a cell its epoch, a verdict a word. Every picture has a title, and
    a description that tells all of it.
W4. Every refusal and every recognised duplicate has a sentence that says why, from what the broker knew at that moment.
W5. A ladder has at most 40 rows, a log at most 12 cells, a value 12 characters; what is left out is counted.
W6. The same run gives the same picture, byte for byte.

**Why an `<img>` with the SVG inside it.** A notebook that was downloaded is not trusted: inline `<svg>` and `<style>` are
taken out of it, an image with a data URI, a table with its style on its cells and `<details>` are not. A sanitising
converter shows `image/svg+xml` only when there is no HTML beside it: `display="svg"` is for that.

**Why a film.** The trace tells what was sent, not what a log looked like. Reading it back from messages would be a
second broker; a camera looks at the one there is.

Not here: what happened (`sim.recorder`), who judges it (`check`).

Sources: RaftScope (slider, fork the past), ShiViz (space-time diagrams).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from eventlog.views.cards import LogView, VerdictCard, log_view, verdict_card
    from eventlog.views.explorer import Explorer as Explorer
    from eventlog.views.film import Film, watch
    from eventlog.views.metrics import MetricsStrip, metrics_strip
    from eventlog.views.scenes import SCENES
    from eventlog.views.view import Ladder, View, diff, ladder, scene

_HOMES = {
    **dict.fromkeys(("LogView", "VerdictCard", "log_view", "verdict_card"), "cards"),
    **dict.fromkeys(("Film", "watch"), "film"),
    **dict.fromkeys(("MetricsStrip", "metrics_strip"), "metrics"),
    **dict.fromkeys(("Ladder", "View", "diff", "ladder", "scene"), "view"),
    **dict.fromkeys(("SCENES",), "scenes"),
    **dict.fromkeys(("Explorer",), "explorer"),
}

# Not the Explorer: `import *` is for everybody, and it needs the extra `notebook`.
__all__ = [
    "SCENES",
    "Film",
    "Ladder",
    "LogView",
    "MetricsStrip",
    "VerdictCard",
    "View",
    "diff",
    "ladder",
    "log_view",
    "metrics_strip",
    "scene",
    "verdict_card",
    "watch",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'eventlog.views' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"eventlog.views.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted(_HOMES)
