"""What a real broker answered to lying batches, answered again; and batches of real clients, read and written again."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from lying_batches import START_MS, vector_batch_bytes

from eventlog.codec import Refusal, check_batch, decode_records, encode_batch, open_batch, pack, read_batches, unpack
from eventlog.errors import ErrorCode
from eventlog.log.partition_log import PartitionLog
from eventlog.storage import MemoryLogStore
from eventlog.values import LogSettings, RecordBatch, TopicPartition, Unreadable

HERE = Path(__file__).parent
LIES = (
    "attributes", "base_offset", "compression", "control", "corrupt", "header_count", "last_offset_delta", "length_error",
    "magic", "max_timestamp", "offset_deltas", "payload", "raw", "timestamp",
)  # fmt: skip
CONFIGS = {"message.timestamp.type": "message_timestamp_type", "max.message.bytes": "max_message_bytes"}


def lines_of(path: Path) -> list[Any]:
    with path.open() as lines:
        return [json.loads(line) for line in lines]


def produces_of(step: dict[str, Any]) -> list[dict[str, Any]]:
    return [step] if step["op"] == "produce" else step["steps"] if step["op"] == "pipeline" else []


def tells_a_lie(script: dict[str, Any]) -> bool:
    """Something of a batch in it can only be said in bytes, or depends on them."""
    if "broker" in script:
        return False  # Those are about time that passes.
    for step in script["steps"]:
        for produce in produces_of(step):
            for entry in produce["partitions"]:
                if len(entry["batches"]) != 1 or any(field in batch for batch in entry["batches"] for field in LIES):
                    return True
    return False


SCRIPTS = {
    script["name"]: script
    for script in lines_of(HERE.parent / "vectors" / "idempotence-hand.jsonl")
    if tells_a_lie(script)
}
RANDOM_LIES = lines_of(HERE / "random_lies.jsonl")
REAL_BATCHES = lines_of(HERE / "real_batches.jsonl")


class Door:
    """A partition's log behind the two doors of the codec: bytes come in, a recorded answer goes out."""

    def __init__(self, configs: dict[str, str]) -> None:
        given = {CONFIGS[name]: int(value) if value.isdigit() else value for name, value in configs.items()}
        self.settings = LogSettings(**given)  # type: ignore[arg-type]
        self.logs: dict[int, PartitionLog] = {}
        self.producer_ids: dict[str, int] = {}

    def log(self, partition: int) -> PartitionLog:
        if partition not in self.logs:
            self.logs[partition] = PartitionLog(TopicPartition("t", partition), MemoryLogStore(), self.settings)
        return self.logs[partition]

    def answer(self, version: int, partition: int, data: bytes) -> dict[str, Any]:
        log = self.log(partition)
        shown: dict[str, Any] = {"partition": partition, "error": 0, "base_offset": -1, "log_start_offset": -1}
        opened = open_batch(data, allows_zstd=version >= 7)
        checked = opened if isinstance(opened, Unreadable) else check_batch(opened, self.settings, START_MS)
        if isinstance(checked, RecordBatch):
            result = log.append_as_leader(checked, 0, START_MS)
            shown.update(error=int(result.error), base_offset=result.base_offset)
            if result.found_in_log:
                shown["log_start_offset"] = log.log_start_offset
            if result.log_append_time_ms != -1:
                is_create_time = self.settings.message_timestamp_type == "CreateTime"
                shown["log_append_time"] = result.log_append_time_ms if is_create_time else None
        else:
            shown["error"] = int(checked.error)
            if isinstance(checked, Refusal) and checked.found_in_log:
                shown["log_start_offset"] = log.log_start_offset
            if isinstance(checked, Refusal) and checked.record_errors and version >= 8:
                shown["record_errors"] = list(checked.record_errors)
        if version < 5:
            del shown["log_start_offset"]
        return shown

    def produce(self, step: dict[str, Any]) -> list[dict[str, Any]]:
        return [
            self.answer(
                step["version"],
                entry["partition"],
                b"".join([vector_batch_bytes(batch, self.producer_ids, START_MS) for batch in entry["batches"]]),
            )
            for entry in step["partitions"]
        ]

    def fetched(self) -> list[list[Any]]:
        """What a consumer would read: (base offset, last offset, sequence, values) of each batch, through bytes."""
        log = self.log(0)
        data = b"".join([encode_batch(batch) for batch in log.read(0, log.log_end_offset, 2**40)])
        batches, taken = read_batches(data)
        assert taken == len(data)
        return [
            [
                each.base_offset,
                each.last_offset,
                each.base_sequence,
                [(record.value or b"").decode().rstrip(".") for record in decode_records(each)],
            ]
            for each in batches
        ]


@pytest.mark.parametrize("name", list(SCRIPTS))
def test_lying_batches_are_answered_as_the_real_broker_did(name: str) -> None:
    script = SCRIPTS[name]
    door = Door(script["topic"]["configs"])
    for step in script["steps"]:
        if step["op"] == "init_producer_id":
            door.producer_ids[step["answer"]["producer"]] = 1000 + len(door.producer_ids)
        elif step["op"] in ("produce", "pipeline"):
            answers = [step["answer"]] if step["op"] == "produce" else step["answer"]
            for produce, answer in zip(produces_of(step), answers, strict=True):
                assert door.produce(produce) == answer, produce
        elif step["op"] == "fetch" and step["partitions"] == [{"partition": 0, "offset": 0}]:
            (answer,) = step["answer"]
            told = [
                [batch["base_offset"], batch["last_offset"], batch["sequence"], batch["values"]]
                for batch in answer["batches"]
            ]
            assert door.fetched() == told


def test_the_scripts_that_lie_are_all_here() -> None:
    wanted = "corrupt count-mismatch count-mismatch-inside-compressed offsets-not-dense offsets-not-dense-compressed"
    wanted += " magic-old garbage length-wrong two-batches-in-partition attributes-odd timestamp-too-far"
    assert [name for name in wanted.split() if name not in SCRIPTS] == []


@pytest.mark.parametrize("lie", RANDOM_LIES, ids=lambda lie: lie["script"])
def test_lies_of_generated_scripts_get_the_same_error(lie: dict[str, Any]) -> None:
    """They were told in the middle of a script, but what is wrong with them is wrong in any log."""
    data = vector_batch_bytes(lie["batch"], {"A": 1000, "B": 1001, "C": 1002, "D": 1003}, START_MS)
    answer = Door({}).answer(lie["version"], 0, data)
    assert answer["error"] == lie["error"]
    if lie["found_in_log"] is not None:
        assert (answer["log_start_offset"] >= 0) == lie["found_in_log"]


@pytest.mark.parametrize("real", REAL_BATCHES, ids=lambda real: f"{real['client']}-{real['compression']}")
def test_batches_of_real_clients_are_read_and_written_again(real: dict[str, Any]) -> None:
    data = bytes.fromhex(real["batch"])
    opened = open_batch(data)
    assert isinstance(opened, RecordBatch)
    records = decode_records(opened)
    assert len(records) == real["count"] == opened.record_count
    assert records[0].timestamp_ms == opened.base_timestamp_ms
    assert max(record.timestamp_ms for record in records) == opened.max_timestamp_ms
    assert encode_batch(opened) == data
    if real["compression"] == "none":
        assert pack(unpack(opened)) == opened
    if not opened.is_control:
        fresh = opened._replace(base_offset=0)
        assert check_batch(fresh, LogSettings(), opened.max_timestamp_ms) == fresh


def test_real_batches_hold_every_compression_and_both_framings_of_snappy() -> None:
    kinds = {real["compression"] for real in REAL_BATCHES}
    assert kinds == {"none", "gzip", "snappy", "lz4", "zstd"}
    framed = [
        bytes.fromhex(real["batch"])[61:69] == b"\x82SNAPPY\x00"
        for real in REAL_BATCHES
        if real["compression"] == "snappy"
    ]
    assert True in framed
    assert False in framed


def test_a_transactions_marker_is_read_as_kafka_wrote_it() -> None:
    (marker,) = [real for real in REAL_BATCHES if real["client"] == "broker"]
    opened = open_batch(bytes.fromhex(marker["batch"]))
    assert isinstance(opened, RecordBatch)
    assert opened.is_control
    assert decode_records(opened)[0].key in (b"\x00\x00\x00\x00", b"\x00\x00\x00\x01")


def test_zstd_is_refused_in_old_requests() -> None:
    data = vector_batch_bytes({"compression": "zstd", "count": 3}, {}, START_MS)
    refused = open_batch(data, allows_zstd=False)
    assert isinstance(refused, Unreadable)
    assert refused.error is ErrorCode.UNSUPPORTED_COMPRESSION_TYPE
    assert isinstance(open_batch(data), RecordBatch)
    lz4 = vector_batch_bytes({"compression": "lz4", "count": 3}, {}, START_MS)
    assert isinstance(open_batch(lz4, allows_zstd=False), RecordBatch)
