"""Chance by name: a number that depends on a seed and on what it is for, and on nothing else.

There is no generator with a state here, so one more event somewhere changes nothing anywhere else, and two writers that
are asked about the same thing meet the same luck. Never Python's own `hash()`: that differs between processes.
"""

from __future__ import annotations

from zlib import crc32

_MASK = 0xFFFFFFFFFFFFFFFF


def chance(seed: int, name: str) -> int:
    """A number in 0..2**64-1, the same for the same seed and name on every machine."""
    mixed = (crc32(name.encode()) * 0x9E3779B97F4A7C15 + seed * 0xD6E8FEB86659FD93 + 0x2545F4914F6CDD1D) & _MASK
    mixed = ((mixed ^ (mixed >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    mixed = ((mixed ^ (mixed >> 27)) * 0x94D049BB133111EB) & _MASK
    return mixed ^ (mixed >> 31)


def draw(seed: int, name: str, count: int) -> int:
    """A number in 0..count-1."""
    return chance(seed, name) % count
