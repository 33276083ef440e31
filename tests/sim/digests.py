"""Prints one digest of the digests of many runs: `python digests.py CHECKS SEEDS`."""

from __future__ import annotations

import sys
from hashlib import sha256

from sim_runs import small_run


def main(checks: str, seeds: int) -> str:
    digest = sha256()
    for seed in range(seeds):
        digest.update(small_run(seed, checks).trace_digest().encode())
    return digest.hexdigest()


if __name__ == "__main__":
    print(main(sys.argv[1], int(sys.argv[2])))
