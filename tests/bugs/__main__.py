"""Prints the table: bug, noticed by, first seed, seconds."""

from __future__ import annotations

from time import perf_counter

from .catalogue import BUGS
from .hunt import SEEDS, hunt


def main() -> int:
    print(f"{'bug':<30}{'noticed by':<20}{'first seed':>10}{'seconds':>9}")
    missed = 0
    for name, plant in BUGS.items():
        with plant():
            notice = hunt()
        if notice is None:
            missed += 1
            print(f"{name:<30}not noticed on {len(SEEDS)} seeds")
        else:
            print(f"{name:<30}{notice.by:<20}{notice.seed:>10}{notice.seconds:>9.2f}")
    start = perf_counter()
    notice = hunt()
    missed += notice is not None
    said = "nothing to notice" if notice is None else f"{notice.by} on seed {notice.seed}: {notice.words}"
    print(f"{'(no bug)':<30}{said:<20}{'':>7}{perf_counter() - start:>9.2f}")
    return min(missed, 1)


if __name__ == "__main__":
    raise SystemExit(main())
