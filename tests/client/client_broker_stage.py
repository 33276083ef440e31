"""A broker for a producer on its stage: it judges as Kafka's does, and the test says what becomes of its answers.

`Log` is one partition: five batches remembered of the last producer id, in sequence or not; written for these tests
alone. `Play` is a stage whose requests are served by such logs, honestly, or refused, or with another answer than the
true one, or with none.
"""

from __future__ import annotations

from typing import Any

from client_stage import NONE, TP0, TP1, Stage

from eventlog.codec import unpack
from eventlog.errors import ErrorCode
from eventlog.messages.broker_api import ProducePartition
from eventlog.values import Record, RecordBatch, TopicPartition, increment

OUT_OF_ORDER = ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER


class Log:
    """One partition's log with the producer state of one id. `memory` is how many batches it remembers."""

    def __init__(self, memory: int = 5) -> None:
        self.records: list[bytes] = []
        self.labels: list[str] = []
        self.memory = memory
        self.producer_id = -1
        self.epoch = -1
        self.window: list[tuple[int, int, int]] = []

    def append(self, part: ProducePartition) -> tuple[ErrorCode, int]:
        batch = part.batch
        assert isinstance(batch, RecordBatch)
        values = [record.value or b"" for record in unpack(batch).records if isinstance(record, Record)]
        if batch.producer_id >= 0:
            if batch.producer_id != self.producer_id:
                self.producer_id, self.epoch, self.window = batch.producer_id, -1, []
            if batch.producer_epoch < self.epoch:
                return ErrorCode.INVALID_PRODUCER_EPOCH, -1
            if batch.producer_epoch > self.epoch:
                if batch.base_sequence != 0 and self.epoch >= 0:
                    return OUT_OF_ORDER, -1
                self.epoch, self.window = batch.producer_epoch, []
            for base, count, offset in self.window:
                if (base, count) == (batch.base_sequence, len(values)):
                    return NONE, offset
            if self.window and increment(self.window[-1][0], self.window[-1][1]) != batch.base_sequence:
                return OUT_OF_ORDER, -1
            self.window = [*self.window, (batch.base_sequence, len(values), len(self.records))][-self.memory :]
        self.records += values
        for index, value in enumerate(values):
            label = f"{batch.producer_epoch}/{increment(batch.base_sequence, index)}" if batch.producer_id >= 0 else ""
            self.labels.append(f"{label} {value.decode()}")
        return NONE, len(self.records) - len(values)

    def restart(self) -> None:
        """What a restarted broker knows of a producer is its newest batch."""
        self.window = self.window[-1:]


class Play(Stage):
    """`told` says what the application was told, `log` what is written where."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.logs = {TP0: Log(), TP1: Log()}

    def serve(self, count: int = 1, *, say: ErrorCode | None = None, log_start: int = 0) -> None:
        """Serves the oldest `count` requests; `say` is answered instead of the truth about all of them."""
        for _ in range(count):
            answers = {}
            for part in self.out[0].message.partitions:
                error, offset = self.logs[part.topic_partition].append(part)
                answers[part.topic_partition] = (error, offset) if say is None else (say, -1)
            self.answer_each(answers, log_start=log_start)

    def refuse(self, error: ErrorCode, count: int = 1) -> None:
        """Answers the oldest `count` requests with `error`; nothing is appended."""
        for _ in range(count):
            self.answer(error)

    def lose(self, count: int = 1) -> None:
        """Serves the oldest `count` requests; their answers get lost. The connection stays."""
        for _ in range(count):
            for part in self.out.pop(0).message.partitions:
                self.logs[part.topic_partition].append(part)

    def drop(self) -> None:
        """Requests that wait never reach the broker. The connection stays."""
        self.out.clear()

    def break_connection(self) -> None:
        link = next(link for link in self.engine.links.values() if link.opened)
        self.disconnect(link.connection)

    def settle(self) -> None:
        """Serves honestly until the producer is at rest."""
        for _ in range(1_000):
            while self.out:
                self.serve()
            if not self.engine.deadlines():
                return
            self.pass_time(50)
        raise AssertionError("it never comes to rest")

    def acknowledged(self, *values: str) -> None:
        """Sends and serves each of these by itself."""
        for value in values:
            self.send(value)
            self.serve()

    @property
    def log(self) -> list[str]:
        return self.logs[TP0].labels

    @property
    def contents(self) -> str:
        return " ".join(value.decode() for value in self.logs[TP0].records)

    def told(self, where: TopicPartition = TP0) -> dict[str, str]:
        """What the application was told about each record: the offset, `implied`, or the error's name."""
        told: dict[str, str] = {}
        for each in self.results:
            if each.topic_partition != where:
                continue
            for index, record in enumerate(each.records):
                value = (record.value or b"").decode()
                assert value not in told, f"{value} has two ends"
                unknown = "implied" if each.is_implied else "unknown offset"
                place = str(each.base_offset + index) if each.base_offset >= 0 else unknown
                told[value] = place if each.error is NONE else each.error.name
        return told

    def fatal(self) -> bool:
        """True if a further send is refused; the send is made."""
        before = len(self.refusals)
        self.send("afterwards")
        return len(self.refusals) > before
