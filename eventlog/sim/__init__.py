"""Floor 4: the deterministic world.

**One loop.** `world` moves every machine, in virtual time. **One question.** At every event that a fault could replace
it asks the answerer (`choices`), which says "the benign thing" or names a deviation (`faults`). A run is its deviations:
written down, they repeat it exactly. **One way to fail a connection**: `network`.

W1. The same scenario and deviations give the same trace, in another process and under another hash seed.
W2. Watching changes nothing: recorder and invariants on or off, the trace is the same.
W3. A frozen world goes on, thawed anywhere, as it would have.
W4. An event at rest costs nothing: advancing an idle world is a comparison.

Why replication links lose nothing silently: brokers keep no timer on an idle fetch, so a fetch that vanished would hang
for ever. They can be cut, slow, late and broken, which is what happens to connections between brokers.

Not here: the search and the shrinker; free loss and reordering of datagrams.
"""
