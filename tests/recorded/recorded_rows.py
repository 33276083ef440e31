"""Raw requests to a cluster of three (or one), told shortly: what a recording's table has in a row is a line here.

An answer is `ok(offset)` or `refused(code)`; a retry that the log has already is answered like the first writing.
"""

from __future__ import annotations

from typing import Any

from failover_stage import METADATA_LEAD_MS, TP, FailoverStage

from eventlog.messages import CONTROLLER, broker_name
from eventlog.messages.broker_api import FetchPartition, FetchRequest
from eventlog.messages.controller_api import AlterTopicRequest

ROLES = ("leader", "follower1", "follower2")
OUT_OF_ORDER, FENCED, TIMED_OUT, NOT_LEADER = 45, 47, 7, 6


def ok(offset: int) -> tuple[int, int]:
    return (0, offset)


def refused(code: int) -> tuple[int, int]:
    return (code, -1)


class Rows(FailoverStage):
    """The stage on which failover recordings are replayed, with shorter words for its steps."""

    def __init__(self, replicas: tuple[str, ...] = ROLES, min_insync_replicas: int = 2) -> None:
        super().__init__({"replicas": list(replicas), "topic": {"min_insync_replicas": min_insync_replicas}})

    def do(self, what: str, **how: Any) -> Any:
        return self.play({"do": what, **how})

    def _produce_step(self, to: str, what: str, acks: int, timeout_ms: int) -> dict[str, Any]:
        """`what` is producer/epoch/sequence, as in A/0/3."""
        producer, epoch, sequence = what.split("/")
        whose = {"producer": producer, "epoch": int(epoch), "base_sequence": int(sequence), "count": 1}
        return {"to": to, "acks": acks, "timeout_ms": timeout_ms, **whose}

    def produce(self, to: str, what: str, acks: int = -1, timeout_ms: int = 10_000) -> tuple[int, int]:
        answer = self.do("produce", **self._produce_step(to, what, acks, timeout_ms))
        return (answer["error"], answer["base_offset"])

    def produce_all(self, to: str, producer: str, first: int, last: int, acks: int = -1) -> None:
        """Sequences `first` to `last` of `producer`, each of which must land behind the one before."""
        offsets = []
        for sequence in range(first, last + 1):
            error, offset = self.produce(to, f"{producer}/0/{sequence}", acks)
            assert error == 0
            offsets.append(offset)
        assert offsets == list(range(offsets[0], offsets[0] + len(offsets)))

    def begin(self, to: str, what: str, timeout_ms: int) -> None:
        """Asks and goes on: `end` has the answer."""
        self.do("produce_start", id=what, **self._produce_step(to, what, -1, timeout_ms))

    def still_waits(self, what: str, after_ms: int) -> None:
        self.do("still_pending", id=what, after_ms=after_ms)

    def end(self, what: str) -> tuple[int, int]:
        answer = self.do("produce_end", id=what)
        return (answer["error"], answer["base_offset"])

    def retries(self, to: str, producer: str, first: int, last: int) -> list[int]:
        """What retries of these sequences get: the offset of the copy in the log, or the error below zero."""
        answers = [self.produce(to, f"{producer}/0/{sequence}") for sequence in range(first, last + 1)]
        return [offset if error == 0 else -error for error, offset in answers]

    def log(self, at: str) -> list[str]:
        """producer/epoch/sequence@leader epoch of each batch on that broker's disk."""
        return [f"{each[0]}/{each[1]}/{each[2]}@{each[5]}" for each in self.do("log", at=at)]

    def known(self, at: str) -> dict[str, str]:
        """What DescribeProducers says: epoch/last sequence."""
        shown = self.do("describe_producers", at=at)
        return {producer: f"{each['epoch']}/{each['last_sequence']}" for producer, each in shown.items()}

    def wait_leader(self, role: str) -> int:
        return int(self.do("wait_leader", leader=role)["leader_epoch"])

    def wait_late_leader(self, role: str) -> int:
        """As in the recordings: metadata is everywhere before the new leader acts, and its followers come too early."""
        name = broker_name(self.ids[role])
        self.world.cut_one_way(CONTROLLER, name)
        self.wait(lambda: self.partition().leader_id == self.ids[role])
        self.do("sleep", ms=METADATA_LEAD_MS)
        self.world.heal_one_way(CONTROLLER, name)
        return self.wait_leader(role)

    def wait_whole(self) -> None:
        self.do("wait_isr", isr=list(self.ids))

    def move_leader(self, role: str) -> int:
        self.do("move_leader", to=role)
        return self.wait_leader(role)

    def stop_and_start(self, role: str, how: str) -> None:
        """`how` it ends: "stop_clean" or "crash". In sync again when this returns."""
        self.do(how, broker=role)
        self.do("start", broker=role)
        self.wait_whole()

    def snapshots(self, at: str) -> dict[str, list[list[Any]]]:
        """By offset: [producer, epoch, last sequence, last offset, offset delta] of each producer in it."""
        found: dict[str, list[list[Any]]] = self.do("snapshots", at=at)
        return found

    def lower_min_insync_replicas(self, to: int) -> None:
        self.world.ask(CONTROLLER, AlterTopicRequest("t", (("min_insync_replicas", to),)))
        self.do("sleep", ms=50)

    def fetch_as_replica(self, replica_id: int, at: str, leader_epoch: int) -> int:
        """The error of a fetch that says it comes from that broker; `leader_epoch` -1: it names none."""
        broker = self.world.find_broker(replica_id) if replica_id in self.world.stores else None
        broker_epoch = -1 if broker is None else self.world.controller.image.brokers[replica_id].broker_epoch
        wanted = FetchPartition(TP, 0, leader_epoch)
        (reply,) = self.ask(at, FetchRequest(replica_id, broker_epoch, 0, 0, 10_000_000, 0, (wanted,))).partitions
        return int(reply.error)

    def epoch_end(self, at: str, leader_epoch: int) -> tuple[int, int]:
        """OffsetForLeaderEpoch: (epoch, end offset)."""
        answer = self.do("offset_for_leader_epoch", to=at, leader_epoch=leader_epoch)
        assert answer["error"] == 0
        return (answer["leader_epoch"], answer["end_offset"])

    def who_leads(self) -> tuple[str | None, int, list[str]]:
        """Leader, leader epoch, ISR, by the controller."""
        answer = self.do("metadata")
        return (answer["leader"], answer["leader_epoch"], answer["isr"])
