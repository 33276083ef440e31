"""Replays a recorded script in process: each step becomes the project's own message to a world of one broker.

What belongs to a wire is left out; `version` decides only which fields an answer has. See `test_recorded_answers.py`.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from asker import Asker
from lying_batches import vector_batch_bytes

from eventlog.codec import decode_records, open_batch
from eventlog.errors import ErrorCode
from eventlog.log.marker import marker_of
from eventlog.messages import CONTROLLER, Connection
from eventlog.messages.broker_api import (
    DeleteRecordsRequest,
    DescribeProducersRequest,
    FetchPartition,
    FetchRequest,
    InitProducerIdRequest,
    ListOffsetsPartition,
    ListOffsetsRequest,
    OffsetForLeaderEpochPartition,
    OffsetForLeaderEpochRequest,
    ProducePartition,
    ProducePartitionReply,
    ProduceRequest,
    TxnMarker,
    WriteTxnMarkersRequest,
)
from eventlog.messages.controller_api import CreateTopicRequest
from eventlog.sim.world import START_MS, World
from eventlog.values import (
    CONTROL,
    TRANSACTIONAL,
    BrokerSettings,
    Record,
    RecordBatch,
    TopicPartition,
    record_batch,
    with_settings,
)

HERE = Path(__file__).parent
TOPIC = "t"
NEAR_T0_MS = 10**9
COMPRESSIONS = {"none": 0, "gzip": 1, "snappy": 2, "lz4": 3, "zstd": 4}
LOG_APPEND_TIME = 0x08
UNSUPPORTED_VERSION = 35
TIMESTAMP_SINCE_VERSION = {-3: 7}
"""Only a wire has versions: it refuses a special timestamp that the request's version didn't have yet."""
ZSTD_SINCE_VERSION = 7
COORDINATED = ("x",)
UNKNOWN_TOPIC_ID = 100
"""Only a wire knows topic ids (produce from version 13 on): there an unknown topic is this, not error 3."""


def read_scripts(name: str) -> dict[str, dict[str, Any]]:
    """The scripts of a file, by name."""
    with (HERE / name).open() as lines:
        return {script["name"]: script for script in map(json.loads, lines)}


class Stage:
    """A world of one broker with the script's topic, and the symbols of its producer ids."""

    def __init__(self, script: dict[str, Any], through_bytes: bool = True) -> None:
        self.through_bytes = through_bytes
        settings = {name: int(value) for name, value in script.get("broker", {}).items()}
        if any("transactional_id" in step and step["op"] == "produce" for step in script["steps"]):
            # Which partitions belong to a transaction is its coordinator's business, and there is none here.
            settings["transaction_partition_verification_enable"] = False
        self.world = World(1, with_settings(BrokerSettings(), settings))
        self.asker = Asker()
        self.world.add(self.asker)
        self.ids: dict[str, int] = {}
        self.connection = Connection("asker", "broker-1", "script", 0)
        self.correlation_id = 0
        configs = script["topic"]["configs"]
        by_clock = any(step["op"] in ("write_txn_markers", "restart") for step in script["steps"])
        if "broker" in script or by_clock or configs.get("message.timestamp.type") == "LogAppendTime":
            # Away from the scripted times, so that the broker's own are told from them and show as None.
            self.world.run_until(START_MS + 2 * NEAR_T0_MS)
        else:
            self.world.run_until(START_MS + 20)
        overrides = tuple(
            (name.replace(".", "_"), int(value) if value.isdigit() else value) for name, value in configs.items()
        )
        self.world.ask(CONTROLLER, CreateTopicRequest(TOPIC, script["topic"]["partitions"], 1, overrides))
        self.world.run_until(self.world.now_ms + 20)

    # --- asking ---------------------------------------------------------------------------------------------------

    def ask(self, *messages: Any) -> list[Any]:
        """What is answered to `messages`, sent at once on one connection: {"closed"} and {"no_answer"} included."""
        connection, first = self.connection, self.correlation_id
        self.correlation_id += len(messages)
        for index, message in enumerate(messages):
            self.asker.send(self.world, connection, first + index, message)
        expected = [(connection, first + index) for index in range(len(messages))]
        until_ms = self.world.now_ms + 50
        while any(key not in self.asker.answers for key in expected) and self.world.step(until_ms):
            pass
        is_closed = connection in self.asker.closed
        if is_closed:
            self.connection = connection._replace(number=connection.number + 1)
        silence = {"closed": True} if is_closed else {"no_answer": True}
        return [self.asker.answers.get(key, silence) for key in expected]

    # --- names and times ------------------------------------------------------------------------------------------

    def id_of(self, symbol: int | str) -> int:
        return symbol if isinstance(symbol, int) else self.ids[symbol]

    def symbol_of(self, producer_id: int) -> int | str:
        for symbol, known in self.ids.items():
            if known == producer_id:
                return symbol
        return producer_id

    def shown_time(self, timestamp_ms: int) -> int | None:
        return timestamp_ms if timestamp_ms == -1 or abs(timestamp_ms - START_MS) <= NEAR_T0_MS else None

    def time_of(self, written: int | str) -> int:
        if isinstance(written, int):
            return written
        return self.world.now_ms + int(written.removeprefix("now") or 0)

    def place(self, step: dict[str, Any], entry: dict[str, Any]) -> TopicPartition:
        return TopicPartition(entry.get("topic", step.get("topic", TOPIC)), entry["partition"])

    # --- steps ----------------------------------------------------------------------------------------------------

    def play(self, step: dict[str, Any]) -> Any:
        """What the project answers to this step, in the form of a recorded answer."""
        answer = getattr(self, f"on_{step['op']}")(step)
        (broker,) = self.world.brokers()
        for replica in broker.replicas.values():
            replica.log.check_invariants()
        return answer

    def on_wait(self, step: dict[str, Any]) -> None:
        self.world.run_until(self.world.now_ms + step["ms"])

    def on_produce(self, step: dict[str, Any]) -> Any:
        return self.shown_produce(step, self.ask(self.produce_request(step))[0])

    def on_pipeline(self, step: dict[str, Any]) -> Any:
        answers = self.ask(*[self.produce_request(each) for each in step["steps"]])
        return [self.shown_produce(each, answer) for each, answer in zip(step["steps"], answers, strict=True)]

    def produce_request(self, step: dict[str, Any]) -> ProduceRequest:
        partitions = []
        for entry in step["partitions"]:
            if self.through_bytes:
                made = [vector_batch_bytes(each, self.ids, self.world.now_ms) for each in entry["batches"]]
                batch = open_batch(b"".join(made), allows_zstd=step["version"] >= ZSTD_SINCE_VERSION)
            else:
                (described,) = entry["batches"]
                batch = self.batch_of(described)
            partitions.append(ProducePartition(self.place(step, entry), batch))
        timeout_ms = step.get("timeout_ms", 15_000)
        return ProduceRequest(step["acks"], timeout_ms, tuple(partitions), step.get("transactional_id"))

    def batch_of(self, batch: dict[str, Any]) -> RecordBatch:
        base_ms = self.time_of(batch.get("timestamp", START_MS))
        key = batch.get("key")
        records = tuple(
            Record(
                None if key is None else key.encode(),
                f"{batch.get('value', 'v')}.{index}".ljust(batch.get("value_size", 0), ".").encode(),
                base_ms + index * batch.get("timestamp_step", 0),
            )
            for index in range(batch.get("count", 1))
        )
        made = record_batch(
            records, self.id_of(batch.get("producer", -1)), batch.get("epoch", -1), batch.get("sequence", -1)
        )
        attributes = COMPRESSIONS[batch.get("compression", "none")]
        attributes |= TRANSACTIONAL if batch.get("transactional") else 0
        attributes |= CONTROL if batch.get("control") else 0
        return made._replace(
            base_offset=batch.get("base_offset", 0),
            leader_epoch=batch.get("leader_epoch", -1),
            record_count=batch.get("header_count", made.record_count),
            last_offset_delta=batch.get("last_offset_delta", made.last_offset_delta),
            base_timestamp_ms=base_ms,
            max_timestamp_ms=batch.get("max_timestamp", records[-1].timestamp_ms if records else base_ms),
            attributes=batch.get("attributes", attributes),
        )

    def shown_produce(self, step: dict[str, Any], answer: Any) -> Any:
        if isinstance(answer, dict):
            return answer
        shown = [self.shown_partition(step["version"], reply) for reply in answer.partitions]
        return sorted(shown, key=_by_place)

    def shown_partition(self, version: int, reply: ProducePartitionReply) -> dict[str, Any]:
        topic, partition = reply.topic_partition
        error = int(reply.error)
        if version >= 13 and topic != TOPIC and reply.error is ErrorCode.UNKNOWN_TOPIC_OR_PARTITION:
            error = UNKNOWN_TOPIC_ID
        shown = {"partition": partition, "error": error, "base_offset": reply.base_offset}
        if topic != TOPIC:
            shown["topic"] = topic
        if version >= 5:
            shown["log_start_offset"] = reply.log_start_offset
        if reply.record_errors and version >= 8:
            shown["record_errors"] = list(reply.record_errors)
        if reply.log_append_time_ms != -1:
            shown["log_append_time"] = self.shown_time(reply.log_append_time_ms)
        return shown

    def on_restart(self, step: dict[str, Any]) -> None:
        """Stop the one broker, in order or not, start it again, and wait until it leads."""
        if step["how"] == "clean":
            self.world.shut_down(1)
            self.world.run_until(self.world.now_ms + 50)
        else:
            self.world.crash(1)
        assert self.world.find_broker(1) is None
        self.world.run_until(self.world.now_ms + 12_000)
        self.world.restart(1)
        self.world.run_until(self.world.now_ms + 2_000)
        self.connection = self.connection._replace(number=self.connection.number + 1)

    def on_init_producer_id(self, step: dict[str, Any]) -> Any:
        # The one thing that is asked here of a transaction's coordinator, any broker can do: give out a new id.
        transactional_id = None if step["transactional_id"] in COORDINATED else step["transactional_id"]
        request = InitProducerIdRequest(
            transactional_id, step.get("timeout_ms", 60_000), self.id_of(step.get("producer", -1)),
            step.get("epoch", -1),
        )  # fmt: skip
        (reply,) = self.ask(request)
        while reply.error is ErrorCode.COORDINATOR_LOAD_IN_PROGRESS:
            self.world.run_until(self.world.now_ms + 5)
            (reply,) = self.ask(request)
        if reply.producer_id >= 0 and reply.producer_id not in self.ids.values():
            self.ids[chr(ord("A") + len(self.ids))] = reply.producer_id
        producer = self.symbol_of(reply.producer_id)
        return {"error": int(reply.error), "producer": producer, "epoch": reply.producer_epoch}

    def on_fetch(self, step: dict[str, Any]) -> Any:
        partitions = tuple(
            FetchPartition(
                self.place(step, entry),
                entry["offset"],
                entry.get("current_leader_epoch", -1),
                max_bytes=entry.get("max_bytes", 10_000_000),
            )
            for entry in step["partitions"]
        )
        (reply,) = self.ask(FetchRequest(-1, -1, 0, 0, 50_000_000, step.get("isolation", 0), partitions))
        shown = []
        for each in reply.partitions:
            answer = {
                **_shown_place(each.topic_partition),
                "error": int(each.error),
                "high_watermark": each.high_watermark,
                "last_stable_offset": each.last_stable_offset,
                "aborted": None
                if each.aborted is None
                else [{"producer": self.symbol_of(who), "first_offset": first} for who, first in each.aborted],
                "batches": [self.shown_batch(batch) for batch in each.batches],
            }
            if step["version"] >= 5:
                answer["log_start_offset"] = each.log_start_offset
            shown.append(answer)
        return sorted(shown, key=_by_place)

    def shown_batch(self, batch: RecordBatch) -> dict[str, Any]:
        shown: dict[str, Any] = {
            "base_offset": batch.base_offset,
            "last_offset": batch.last_offset,
            "producer": self.symbol_of(batch.producer_id),
            "epoch": batch.producer_epoch,
            "sequence": batch.base_sequence,
        }
        if batch.is_transactional:
            shown["transactional"] = True
        if batch.is_control:
            marker = marker_of(batch)
            kind = "commit" if marker.is_commit else "abort"
            return {**shown, "control": kind, "coordinator_epoch": marker.coordinator_epoch}
        shown["timestamp"] = self.shown_time(batch.max_timestamp_ms)
        records = decode_records(batch)
        shown["values"] = [record.value.decode().rstrip(".") for record in records]
        if any(record.key is not None for record in records):
            shown["keys"] = [None if record.key is None else record.key.decode() for record in records]
        for name, bits in COMPRESSIONS.items():
            if bits and batch.attributes & 7 == bits:
                shown["compression"] = name
        if batch.attributes & LOG_APPEND_TIME:
            shown["log_append_time"] = True
        return shown

    def on_list_offsets(self, step: dict[str, Any]) -> Any:
        partitions = tuple(
            ListOffsetsPartition(
                self.place(step, entry), entry["timestamp"], entry.get("current_leader_epoch", -1)
            )
            for entry in step["partitions"]
        )  # fmt: skip
        (reply,) = self.ask(ListOffsetsRequest(-1, step.get("isolation", 0), partitions))
        shown = []
        for entry, each in zip(step["partitions"], reply.partitions, strict=True):
            answer = {
                **_shown_place(each.topic_partition),
                "error": int(each.error),
                "timestamp": self.shown_time(each.timestamp_ms),
                "offset": each.offset,
            }
            if step["version"] < TIMESTAMP_SINCE_VERSION.get(entry["timestamp"], 0):
                each = each._replace(leader_epoch=-1)
                answer.update(error=UNSUPPORTED_VERSION, timestamp=-1, offset=-1)
            if step["version"] >= 4:
                answer["leader_epoch"] = each.leader_epoch
            shown.append(answer)
        return sorted(shown, key=_by_place)

    def on_offset_for_leader_epoch(self, step: dict[str, Any]) -> Any:
        partitions = tuple(
            OffsetForLeaderEpochPartition(
                self.place(step, entry), entry["leader_epoch"], entry.get("current_leader_epoch", -1)
            )
            for entry in step["partitions"]
        )  # fmt: skip
        (reply,) = self.ask(OffsetForLeaderEpochRequest(-1, partitions))
        shown = [
            {
                **_shown_place(each.topic_partition),
                "error": int(each.error),
                "leader_epoch": each.leader_epoch,
                "end_offset": each.end_offset,
            }
            for each in reply.partitions
        ]
        return sorted(shown, key=_by_place)

    def on_delete_records(self, step: dict[str, Any]) -> Any:
        (reply,) = self.ask(
            DeleteRecordsRequest(tuple((self.place(step, entry), entry["offset"]) for entry in step["partitions"]))
        )
        shown = [
            {**_shown_place(where), "error": int(error), "low_watermark": low} for where, error, low in reply.partitions
        ]
        return sorted(shown, key=_by_place)

    def on_describe_producers(self, step: dict[str, Any]) -> Any:
        topic = step.get("topic", TOPIC)
        (reply,) = self.ask(DescribeProducersRequest(tuple(TopicPartition(topic, each) for each in step["partitions"])))
        shown = []
        for where, error, producers in reply.partitions:
            described = [
                {
                    "producer": self.symbol_of(each.producer_id),
                    "epoch": each.producer_epoch,
                    "last_sequence": each.last_sequence,
                    "last_timestamp": self.shown_time(each.last_timestamp_ms),
                    "coordinator_epoch": each.coordinator_epoch,
                    "txn_start_offset": each.txn_start_offset,
                }
                for each in producers
            ]
            described.sort(key=lambda each: str(each["producer"]))
            shown.append({**_shown_place(where), "error": int(error), "producers": described})
        return sorted(shown, key=_by_place)

    def on_write_txn_markers(self, step: dict[str, Any]) -> Any:
        markers = tuple(
            TxnMarker(
                self.id_of(marker["producer"]),
                marker["epoch"],
                marker["commit"],
                marker["coordinator_epoch"],
                tuple(TopicPartition(TOPIC, partition) for partition in marker["partitions"]),
                marker.get("transaction_version", 0),
            )
            for marker in step["markers"]
        )
        (reply,) = self.ask(WriteTxnMarkersRequest(markers))
        return [
            {"producer": self.symbol_of(who), "partition": where.partition, "error": int(error)}
            for who, where, error in reply.partitions
        ]


def _shown_place(where: TopicPartition) -> dict[str, Any]:
    shown: dict[str, Any] = {"partition": where.partition}
    if where.topic != TOPIC:
        shown["topic"] = where.topic
    return shown


def _by_place(shown: dict[str, Any]) -> tuple[bool, str, int]:
    topic = shown.get("topic", TOPIC)
    return (topic != TOPIC, topic, shown["partition"])
