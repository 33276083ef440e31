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

**The search.** `search` visits every state of a space in order of deviations; `explore` makes a space of a world, by
`explored_world`, in which `cells` (frozen machines, each kept once, with what they did with an envelope) stand where
machines would. `glance` is `invariants` without a memory. The machines know of none of it; that the explored world is the
world is a test (a path of the search is repeated by the world, and ends alike).

W6. Equal states answer alike: what a machine sends does not depend on the order in which others asked.

Why a coarse world: the number of states grows with the number of steps. Letting what is said to the controller, metadata
and requests for data arrive in the step that sends them leaves a third of the states at one deviation and a fifth at two;
what it can't see, the fine one can, so both are run.

Not here: the shrinker; disks that lie, tear or misplace what is written; clocks that drift. A zombie
leader is no fault of its own: `isolate`, `pause` and `metadata_delay` make one.
"""
