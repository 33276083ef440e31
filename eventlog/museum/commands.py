"""What `eventlog museum` does: list, tell, hunt."""

from __future__ import annotations

from collections.abc import Callable

from eventlog.errors import RequestError
from eventlog.museum.exhibit import Exhibit
from eventlog.museum.gallery import HOME, find_exhibit, gallery
from eventlog.museum.table import EXAMPLES, SEEDS, Row, hunt_exhibit, tell_table
from eventlog.museum.telling import show, tell, tell_list


def museum_text(
    wanted: str = "",
    is_hunt: bool = False,
    seeds: int = SEEDS,
    examples: int = EXAMPLES,
    package: str = HOME,
    heard: Callable[[Exhibit], None] | None = None,
    page: str = "",
) -> str:
    """The list; or one exhibit, told; or with `is_hunt` the table of all, or of that one. With `page`, a file's name, that
    exhibit's two runs are written there as a page. Raises RequestError for an exhibit that isn't there."""
    if page:
        if is_hunt or not wanted:
            raise RequestError("--html is for one exhibit and its story: say which, and leave --hunt out")
        return f"written: {show(wanted, package).to_html(page)}"
    if not is_hunt:
        return tell(find_exhibit(wanted, package)) if wanted else tell_list(gallery(package))
    exhibits = [find_exhibit(wanted, package)] if wanted else list(gallery(package).values())
    rows: list[Row] = []
    for exhibit in exhibits:
        if heard is not None:
            heard(exhibit)
        rows.append(hunt_exhibit(exhibit, seeds, examples))
    return tell_table(rows)
