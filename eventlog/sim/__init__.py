"""Floor 4: the deterministic world.

**One loop.** `world` moves every machine, in virtual time; `state` is what there is and how it is sent. **One question.**
At every event that a fault could replace it asks the answerer (`choices`), which says "the benign thing" or names a
deviation (`faults`). A run is its deviations: written down, they repeat it exactly. **One way to fail a connection**:
`network`. **A fault is a row in three tables**: whom it would strike (`targets`), what it does (`striking`, by way of
`harming`), what it is called and how long it lasts (`values.faults`). `recorder` and `invariants` watch, `refold` knows
a log's answers a second time, `recovery` says what still waits once every fault is over.

W1. The same scenario and deviations give the same trace, in another process and under another hash seed.
W2. Watching changes nothing: recorder and invariants on or off, the trace is the same.
W3. A frozen world goes on, thawed anywhere, as it would have.
W4. An event at rest costs nothing: advancing an idle world is a comparison.
W5. Every fault ends: after `heal_all` nothing of it is left but what it did (`find_unrecovered`).

Why replication links lose nothing silently: brokers keep no timer on an idle fetch, so a fetch that vanished would hang
for ever. They can be cut, slow, late and broken, which is what happens to connections between brokers.

Why a failing disk is an answer: `append_fails` is given by the world in the leader's place, before the log is asked. A
store in memory can't fail, and what has to be seen is that nothing was written, in the log or in its memory.

Why datagram faults have to be named: a copy, a second answer and a changed order don't happen on one connection of a
real network. They are what a connection protects from, for whoever wants to see that.

Not here: the search and the shrinker; disks that lie, tear or misplace what is written; clocks that drift. A zombie
leader is no fault of its own: `isolate`, `pause` and `metadata_delay` make one.
"""
