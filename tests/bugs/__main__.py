"""`python -m tests.bugs`: plants each bug, hunts, and prints who noticed it.

With `--all` every seed is hunted, and the table says how many of them notice the bug.
"""

from __future__ import annotations

import sys
from itertools import islice
from time import perf_counter

from .catalogue import BUGS
from .hunt import SEEDS, notices


def main(counts_all: bool) -> int:
    """Prints the table as it comes; 1 when a bug is missed or the code as it is gives cause for a notice."""
    print(f"{'bug':<33}{'noticed by':<32}{'first seed':>10}{'seeds':>7}{'seconds':>9}")
    missed = 0
    for name, plant in BUGS.items():
        with plant():
            found = list(islice(notices(), None if counts_all else 1))
        if found:
            seeds = f"{len(found)}/{len(SEEDS)}" if counts_all else ""
            print(f"{name:<33}{found[0].by:<32}{found[0].seed:>10}{seeds:>7}{found[0].seconds:>9.2f}", flush=True)
        else:
            missed += 1
            print(f"{name:<33}not noticed on {len(SEEDS)} seeds", flush=True)
    start = perf_counter()
    alarms = list(notices())
    for notice in alarms:
        print(f"\nfalse alarm: {notice.by} on seed {notice.seed}: {notice.words}")
    print(f"{'(no bug)':<33}{'nothing to notice' if not alarms else '':<49}{perf_counter() - start:>9.2f}")
    return 1 if missed or alarms else 0


if __name__ == "__main__":
    raise SystemExit(main("--all" in sys.argv[1:]))
