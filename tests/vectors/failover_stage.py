"""Replays a failover scenario in a world of three brokers: the same steps, the same answers.

Where a real cluster's outcome hangs on who is first by a few milliseconds, the schedule of the recording is played: a
broker that is made leader hears of it after its followers do, so their first fetch is refused and they back off for a
second (that is what the recordings show each time).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from asker import Asker

from eventlog.errors import ErrorCode
from eventlog.log.snapshot import Unusable, decode_snapshot
from eventlog.messages import CONTROLLER, Connection, broker_name
from eventlog.messages.broker_api import (
    EARLIEST_TIMESTAMP,
    LATEST_TIMESTAMP,
    DescribeProducersRequest,
    FetchPartition,
    FetchRequest,
    ListOffsetsPartition,
    ListOffsetsRequest,
    OffsetForLeaderEpochPartition,
    OffsetForLeaderEpochRequest,
    ProducePartition,
    ProduceRequest,
)
from eventlog.messages.controller_api import CreateTopicRequest, ElectLeaderRequest
from eventlog.sim.network import Links
from eventlog.sim.world import World
from eventlog.values import BrokerSettings, Record, RecordBatch, TopicPartition, record_batch

TP = TopicPartition("t", 0)
FIRST_PRODUCER_ID = 1_000
METADATA_LEAD_MS = 5
"""How much earlier the followers hear of a new leader than it does itself."""
LONGEST_WAIT_MS = 60_000


class FailoverStage:
    """A cluster with the scenario's settings; `play` answers one step in the form of the recording."""

    def __init__(self, scenario: dict[str, Any]) -> None:
        self.ids = {role: 1 + index for index, role in enumerate(scenario["replicas"])}
        self.roles = {broker_id: role for role, broker_id in self.ids.items()}
        self.producers: dict[str, int] = {}
        self.world = World(len(self.ids), BrokerSettings(broker_session_timeout_ms=3_000))
        self.asker = Asker()
        self.world.add(self.asker)
        self.world.run_until(self.world.now_ms + 50)
        self.asked = 0
        self.pending: dict[str, tuple[Connection, int]] = {}
        self.cuts: list[tuple[str, str]] = []
        overrides = tuple(scenario["topic"].items())
        self.world.ask(CONTROLLER, CreateTopicRequest("t", 1, len(self.ids), overrides))
        self.world.run_until(self.world.now_ms + 50)
        assert self.partition().replicas == tuple(self.ids.values())

    # --- asking ---------------------------------------------------------------------------------------------------

    def start(self, role: str, message: Any) -> tuple[Connection, int]:
        self.asked += 1
        connection = Connection("asker", broker_name(self.ids[role]), "step", self.asked)
        self.asker.send(self.world, connection, 0, message)
        return (connection, 0)

    def answer(self, key: tuple[Connection, int]) -> Any:
        """The answer, or None when the connection broke first."""
        self.wait(lambda: key in self.asker.answers or key[0] in self.asker.closed)
        return self.asker.answers.get(key)

    def ask(self, role: str, message: Any) -> Any:
        return self.answer(self.start(role, message))

    def wait(self, predicate: Callable[[], bool]) -> None:
        until_ms = self.world.now_ms + LONGEST_WAIT_MS
        while not predicate():
            assert self.world.step(until_ms), "waited in vain"

    # --- who is who -----------------------------------------------------------------------------------------------

    def partition(self) -> Any:
        return self.world.controller.image.partitions[TP]

    def producer_id(self, letter: str) -> int:
        return self.producers.setdefault(letter, FIRST_PRODUCER_ID + len(self.producers))

    def letter(self, producer_id: int) -> str:
        return next(letter for letter, known in self.producers.items() if known == producer_id)

    def shown(self, batches: tuple[RecordBatch, ...]) -> list[list[Any]]:
        return [
            [
                self.letter(batch.producer_id),
                batch.producer_epoch,
                batch.base_sequence,
                batch.record_count,
                batch.base_offset,
                batch.leader_epoch,
            ]
            for batch in batches
        ]

    def in_sync(self) -> list[str]:
        return sorted(self.roles[broker_id] for broker_id in self.partition().in_sync_replicas)

    # --- steps ----------------------------------------------------------------------------------------------------

    def play(self, step: dict[str, Any]) -> Any:
        answer = getattr(self, f"on_{step['do']}")(step)
        for broker in self.world.brokers():
            for replica in broker.replicas.values():
                replica.log.check_invariants()
        return answer

    def produce_request(self, step: dict[str, Any]) -> ProduceRequest:
        records = tuple(Record(None, b"v", self.world.now_ms) for _ in range(step["count"]))
        batch = record_batch(records, self.producer_id(step["producer"]), step["epoch"], step["base_sequence"])
        return ProduceRequest(step["acks"], step["timeout_ms"], (ProducePartition(TP, batch),))

    def shown_produce(self, step: dict[str, Any], reply: Any) -> dict[str, Any]:
        if reply is None:
            return {"error": "disconnected"}
        (part,) = reply.partitions
        shown: dict[str, Any] = {"error": int(part.error), "base_offset": part.base_offset}
        if step.get("version") == 10 and part.error is ErrorCode.NOT_LEADER_OR_FOLLOWER:
            shown["current_leader"] = {"leader": self.roles[part.leader_id], "leader_epoch": part.leader_epoch}
        return shown

    def on_produce(self, step: dict[str, Any]) -> Any:
        return self.shown_produce(step, self.ask(step["to"], self.produce_request(step)))

    def on_produce_start(self, step: dict[str, Any]) -> None:
        self.pending[step["id"]] = self.start(step["to"], self.produce_request(step))

    def on_still_pending(self, step: dict[str, Any]) -> None:
        self.on_sleep({"ms": step["after_ms"]})
        key = self.pending[step["id"]]
        assert key not in self.asker.answers
        assert key[0] not in self.asker.closed

    def on_produce_end(self, step: dict[str, Any]) -> Any:
        return self.shown_produce(step, self.answer(self.pending.pop(step["id"])))

    def on_crash(self, step: dict[str, Any]) -> None:
        self.world.crash(self.ids[step["broker"]])

    def on_stop_clean(self, step: dict[str, Any]) -> None:
        broker_id = self.ids[step["broker"]]
        self.world.shut_down(broker_id)
        self.wait(lambda: self.world.find_broker(broker_id) is None)

    def on_start(self, step: dict[str, Any]) -> None:
        broker_id = self.ids[step["broker"]]
        self.world.restart(broker_id)
        image = self.world.controller.image
        self.wait(lambda: image.is_alive(broker_id))
        broker = self.world.find_broker(broker_id)
        assert broker is not None
        self.wait(lambda: TP in broker.replicas)

    def on_pause(self, step: dict[str, Any]) -> None:
        self.world.pause(broker_name(self.ids[step["broker"]]))

    def on_resume(self, step: dict[str, Any]) -> None:
        self.world.resume(broker_name(self.ids[step["broker"]]))

    def on_cut_replication(self, step: dict[str, Any]) -> None:
        source = broker_name(self.ids[step["from"]])
        targets = [step["to"]] if "to" in step else [role for role in self.ids if role != step["from"]]
        for role in targets:
            self.world.cut_one_way(source, broker_name(self.ids[role]))
            self.cuts.append((source, broker_name(self.ids[role])))

    def on_heal_replication(self, step: dict[str, Any]) -> None:
        """What the cut held is lost: the connections break, and the followers connect again."""
        for link in self.cuts:
            self.world.links.held[link] = []
            self.world.heal_one_way(*link)
            for connection in list(self.world.connections):
                if (connection.server, connection.client) in (link, link[::-1]):
                    self.world.break_connection(connection)
        self.cuts = []
        assert self.world.links.freeze() == Links().freeze()

    def on_wait_leader(self, step: dict[str, Any]) -> Any:
        broker_id = self.ids[step["leader"]]

        def leads() -> bool:
            broker = self.world.find_broker(broker_id)
            return (
                self.partition().leader_id == broker_id
                and broker is not None
                and TP in broker.replicas
                and broker.replicas[TP].leadership is not None
                and broker.replicas[TP].partition.leader_epoch == self.partition().leader_epoch
            )

        self.wait(leads)
        return {"leader_epoch": self.partition().leader_epoch, "isr": self.in_sync()}

    def on_wait_isr(self, step: dict[str, Any]) -> Any:
        self.wait(lambda: self.in_sync() == sorted(step["isr"]))
        self.on_sleep({"ms": 20})
        return {"leader": self.roles[self.partition().leader_id], "leader_epoch": self.partition().leader_epoch}

    def on_move_leader(self, step: dict[str, Any]) -> None:
        name = broker_name(self.ids[step["to"]])
        self.world.cut_one_way(CONTROLLER, name)
        self.world.ask(CONTROLLER, ElectLeaderRequest(TP, self.ids[step["to"]]))
        self.world.run_until(self.world.now_ms + METADATA_LEAD_MS)
        self.world.heal_one_way(CONTROLLER, name)

    def on_metadata(self, step: dict[str, Any]) -> Any:
        partition = self.partition()
        return {
            "leader": self.roles.get(partition.leader_id),
            "leader_epoch": partition.leader_epoch,
            "isr": self.in_sync(),
        }

    def on_sleep(self, step: dict[str, Any]) -> None:
        self.world.run_until(self.world.now_ms + step["ms"])

    def on_describe_producers(self, step: dict[str, Any]) -> Any:
        ((_, error, producers),) = self.ask(step["at"], DescribeProducersRequest((TP,))).partitions
        assert error is ErrorCode.NONE
        return {
            self.letter(each.producer_id): {"epoch": each.producer_epoch, "last_sequence": each.last_sequence}
            for each in producers
        }

    def on_log(self, step: dict[str, Any]) -> Any:
        """What is on its disk, whether it runs or not."""
        store = self.world.stores[self.ids[step["at"]]].log_store(TP)
        return self.shown(store.read(0, store.end_offset, 2**62))

    def on_snapshots(self, step: dict[str, Any]) -> Any:
        store = self.world.stores[self.ids[step["at"]]].log_store(TP)
        shown = {}
        for offset in store.snapshot_offsets():
            producers = decode_snapshot(store.read_snapshot(offset))
            assert not isinstance(producers, Unusable)
            shown[str(offset)] = [
                [self.letter(each.producer_id), each.producer_epoch, *each.batches[-1][:3]] for each in producers
            ]
        return shown

    def on_consume(self, step: dict[str, Any]) -> Any:
        wanted = FetchPartition(TP, 0, max_bytes=10_000_000)
        (reply,) = self.ask(step["from"], FetchRequest(-1, -1, 0, 0, 50_000_000, 0, (wanted,))).partitions
        return [
            [self.letter(batch.producer_id), batch.producer_epoch, batch.base_sequence + index]
            for batch in reply.batches
            for index in range(batch.record_count)
        ]

    def on_fetch(self, step: dict[str, Any]) -> Any:
        wanted = FetchPartition(
            TP, step["offset"], step.get("current_leader_epoch", -1), step.get("last_fetched_epoch", -1)
        )
        (reply,) = self.ask(step["from"], FetchRequest(-1, -1, 500, 1, 50_000_000, 0, (wanted,))).partitions
        shown: dict[str, Any] = {"error": int(reply.error), "high_watermark": reply.high_watermark}
        if reply.diverging_epoch >= 0:
            shown["diverging"] = {"epoch": reply.diverging_epoch, "end_offset": reply.diverging_end_offset}
        if reply.error is ErrorCode.NOT_LEADER_OR_FOLLOWER:
            shown["current_leader"] = {"leader": self.roles[reply.leader_id], "leader_epoch": reply.leader_epoch}
        shown["batches"] = self.shown(reply.batches)
        return shown

    def on_list_offsets(self, step: dict[str, Any]) -> Any:
        timestamp_ms = EARLIEST_TIMESTAMP if step.get("at") == "earliest" else LATEST_TIMESTAMP
        wanted = ListOffsetsPartition(TP, timestamp_ms, step.get("current_leader_epoch", -1))
        (reply,) = self.ask(step["to"], ListOffsetsRequest(-1, 0, (wanted,))).partitions
        return {"error": int(reply.error), "offset": reply.offset, "leader_epoch": reply.leader_epoch}

    def on_offset_for_leader_epoch(self, step: dict[str, Any]) -> Any:
        wanted = OffsetForLeaderEpochPartition(TP, step["leader_epoch"], step.get("current_leader_epoch", -1))
        (reply,) = self.ask(step["to"], OffsetForLeaderEpochRequest(-1, (wanted,))).partitions
        return {"error": int(reply.error), "leader_epoch": reply.leader_epoch, "end_offset": reply.end_offset}
