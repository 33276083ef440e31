"""Floor 3: the controller, which says who lives, who leads and who is in sync.

It keeps the metadata log. A handler looks at the image and returns records; `_commit` appends and replays them; brokers
fetch the log by offset and replay the same records with the same code. Being late with that is ordinary lag: for a while
two brokers may think they lead, and the leader epoch tells which one is obeyed.

C1. `leader_epoch` rises with every change of leader, also to "nobody" and back; `partition_epoch` with every change.
C2. A leader is elected from the in-sync replicas that are alive, in the order of the assignment; with
    `unclean_leader_election_enable` from any that is alive, if no in-sync one is.
C3. The in-sync replicas are never empty: the last member stays in them when it dies.
C4. A broker that registers anew leaves all in-sync replicas first (its disk may lack a tail), except as the last one.
C5. Producer-id blocks never overlap; a block is used up by being asked for.

One machine with a durable log, not a replicated quorum. Why: what is studied here is the data's replication; a quorum
would answer the same, only later, and lateness can be had as a fault on its connections.

Why no heartbeats are sent: an idle cluster would do nothing else. A connection stands for them; the network tells the
controller when a broker falls silent and when it is heard again, and the session runs out `broker_session_timeout_ms`
after the first. A real broker's session runs out between seven and nine seconds after it died; here after nine.

Not here: eligible leader replicas, reassignment, a replicated quorum, configuration changes.
Source: Kafka's KRaft controller (`ReplicationControlManager`, `ClusterControlManager`, `ProducerIdControlManager`).
"""

from eventlog.controller.controller import Controller

__all__ = ["Controller"]
