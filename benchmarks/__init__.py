"""How fast the hot paths are, each against a yardstick that is measured in the same run.

`python -m benchmarks` measures all rows and prints a table; `--row NAME` measures one, `--markdown` prints the table for
a document. Absolute times depend on the machine; what is promised is the ratio to a yardstick, or a generous limit.

How it is measured: the two sides take turns, several times over, and the smallest time of each side counts, because
whatever else the machine does can only add to it. The garbage collector runs as it does in a user's program, for both
sides alike; each turn begins with a full collection, after which what is still there (this process's modules) is set
aside, so that a side pays for collecting what it makes itself and for nothing else.

Not here: profiles, memory, real brokers.
"""
