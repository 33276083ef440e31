from __future__ import annotations

import pytest

from .catalogue import BUGS
from .hunt import hunt


@pytest.mark.parametrize("name", BUGS)
def test_the_hunt_notices_the_bug(name: str) -> None:
    with BUGS[name]():
        notice = hunt()
    assert notice is not None, f"{name} went unnoticed"


def test_the_hunt_has_nothing_to_say_about_the_code_as_it_is() -> None:
    notice = hunt()
    assert notice is None, f"{notice.by} on seed {notice.seed}: {notice.words}"
