"""How a cluster and a verdict show themselves when they are a cell's last value."""

from __future__ import annotations

from eventlog.check.verdict import Verdict
from eventlog.cluster import Cluster
from eventlog.errors import RequestError
from eventlog.views.cards import verdict_card
from eventlog.views.view import ladder


def mimebundle_of(shown: object) -> dict[str, str]:
    """The ladder of a cluster's run, the card of a verdict; a cluster that has nothing to show is its repr."""
    if isinstance(shown, Verdict):
        return verdict_card(shown)._repr_mimebundle_()
    if isinstance(shown, Cluster):
        try:
            return ladder(shown, title=repr(shown).strip("<>"))._repr_mimebundle_()
        except RequestError:
            return {"text/plain": repr(shown)}
    return {"text/plain": repr(shown)}
