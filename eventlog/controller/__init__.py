"""Floor 3: the controller, which says who lives, who leads, who is in sync and who is eligible.

It keeps the metadata log. A handler looks at the image and returns records; `_commit` appends and replays them; brokers
fetch the log by offset and replay the same records with the same code. Being late with that is ordinary lag: for a while
two brokers may think they lead, and the leader epoch tells which one is obeyed.

A partition's next registration is one function's work (`election.reconsider`): given who shall be in sync and who is
alive, it says who is eligible and who leads. A broker fenced, unfenced, stopped or begun anew, a leader's wish and an
administrator's order differ only in what they give to it.

C1. `leader_epoch` rises with every change of leader, also to "nobody" and back; `partition_epoch` with every change.
C2. The leader stays while it is in sync and alive, unless another member is elected on demand. Else the first in the
    order of the assignment that is in sync and alive leads; if nobody is in sync, the first that is eligible and alive,
    and it alone is in sync then.
C3. When nobody is in sync or eligible, the last known leader leads as soon as it is alive: it may lack a tail, but
    nobody can be expected to have more. Else, with `unclean_leader_election_enable`, any that is alive; what
    others were is forgotten, and the new leader alone is in sync.
C4. Whoever leaves the in-sync replicas when fewer than `min_insync_replicas` remain becomes eligible: without that
    many, nothing more is committed, so it misses nothing. Nobody is eligible once so many are in sync again, nor when
    `min_insync_replicas` has become another. The in-sync replicas may so become empty.
C5. A broker that registers anew leaves all in-sync replicas first. Unless it proves an orderly end (it names the broker
    epoch of its registration before this one), it is struck off the eligible ones too: its disk may lack a tail.
C6. A broker in controlled shutdown gives up what it leads and is in sync with at once, stays eligible where C4 says so,
    and is never unfenced: only its next process counts.
C7. Only a broker that is alive, with its present broker epoch, joins the in-sync replicas; only the leader may ask,
    and only about the registration that is in force.
C8. Producer-id blocks never overlap; a block is used up by being asked for.

With `eligible_leader_replicas_enable` off nobody is eligible, and the last member of the in-sync replicas stays in them
when it dies, is stopped or registers anew.

One machine with a durable log, not a replicated quorum. Why: what is studied here is the data's replication; a quorum
would answer the same, only later, and lateness can be had as a fault on its connections.

Why no heartbeats are sent: an idle cluster would do nothing else. A connection stands for them; the network tells the
controller when a broker falls silent and when it is heard again, and the session runs out `broker_session_timeout_ms`
after the first. A real broker's session runs out between seven and nine seconds after it died; here after nine. A
controlled shutdown is one request for the same reason: Kafka's broker asks with every heartbeat until the others have
caught up with the metadata that takes its leaderships away.

Not here: reassignment, deletion of topics, the cluster's own settings changed while it runs, leader recovery state
(nobody acts on it in Kafka yet), automatic leader rebalance, a replicated quorum.
Source: Kafka's KRaft controller (`ReplicationControlManager`, `PartitionChangeBuilder`, `ClusterControlManager`,
`ProducerIdControlManager`), KIP-966.
"""

from eventlog.controller.controller import Controller

__all__ = ["Controller"]
