"""Planted bugs: rules broken on purpose, and one hunt that must notice each of them.

A test suite that has never seen a bug proves little. Each module of `museum` says what went wrong somewhere once, or
easily could, and has a `plant()`: a context manager that replaces one rule of the product by that mistake, from outside,
and puts the rule back. `hunt` is the same for all of them: the same runs (`hunted_runs`), the same looks at them
(`signs`), the same twenty seeds, nothing tailored to a bug. Code without a bug passes it on every seed.

`python -m tests.bugs` prints who noticed what, on which seed, in how many seconds; with `--all`, on how many seeds.

Not here: bugs of transactions, and those that only a search of the smallest world finds.
"""
