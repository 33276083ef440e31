"""Planted bugs: ten rules broken on purpose, and one hunt that must notice each of them.

A test suite that has never seen a bug proves little. Each module here has a `plant()`: a context manager that replaces
one rule of the product by a plausible mistake, from outside, and puts the rule back. `hunt` is the same for all of them:
the same scenario, fault plan and seeds, with nothing tailored to a bug. Unpatched code passes it on every seed.

`python -m tests.bugs` prints who noticed what, after how many seeds, in how many seconds.
"""
