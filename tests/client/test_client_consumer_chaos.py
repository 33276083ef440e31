"""Whole runs of a consumer engine while connections break, leaders move, answers are late and the user seeks."""

from __future__ import annotations

import pytest
from client_reader_stage import NONE, ReaderStage, batch_of
from client_stage import TP0, TP1

from eventlog.errors import ErrorCode
from eventlog.messages.user_api import ConsumedRecord
from eventlog.values import TopicPartition, draw

TROUBLES = (
    ErrorCode.NOT_LEADER_OR_FOLLOWER,
    ErrorCode.FENCED_LEADER_EPOCH,
    ErrorCode.UNKNOWN_LEADER_EPOCH,
    ErrorCode.LEADER_NOT_AVAILABLE,
    ErrorCode.OFFSET_NOT_AVAILABLE,
    ErrorCode.REQUEST_TIMED_OUT,
)


class Run:
    """Each step draws what happens. `after` holds what must come next in each partition."""

    def __init__(self, seed: int, *, thawing: bool) -> None:
        self.seed = seed
        self.play = ReaderStage(thawing=thawing, assigned=(TP0, TP1), request_timeout_ms=2_000)
        self.written: dict[TopicPartition, list[int]] = {TP0: [], TP1: []}
        self.after = {TP0: -1, TP1: -1}
        self.seen = 0
        self.steps = 0
        self.history: list[ConsumedRecord] = []

    def luck(self, what: str, below: int) -> int:
        return draw(self.seed, f"{what} {self.steps}", below)

    def write(self) -> None:
        where = (TP0, TP1)[self.luck("where", 2)]
        play = self.play
        count = 1 + self.luck("count", 3)
        base_offset = play.end(where) + self.luck("hole", 2)
        is_control = self.luck("control", 4) == 0
        values = [f"{where} {base_offset + index}" for index in range(count)]
        play.logs[where].append(batch_of(base_offset, *values, is_control=is_control))
        if not is_control:
            self.written[where] += range(base_offset, base_offset + count)

    def step(self, *, faulty: bool) -> None:
        self.steps += 1
        play = self.play
        luck = self.luck("luck", 100)
        if faulty and luck < 12:
            self.write()
        elif faulty and luck < 20 and play.out:
            each = play.out[self.luck("which", len(play.out))]
            play.disconnect(each.connection, refused=self.luck("refused", 2) == 0)
        elif faulty and luck < 28 and play.out:
            play.answer(TROUBLES[self.luck("trouble", len(TROUBLES))], at=self.luck("which", len(play.out)))
        elif faulty and luck < 34:
            where = (TP0, TP1)[self.luck("moved", 2)]
            leader_id, leader_epoch = play.leaders[where]
            play.leaders[where] = (3 - leader_id, leader_epoch + 1)
        elif faulty and luck < 38 and self.written[TP0]:
            offset = self.luck("offset", self.written[TP0][-1] + 1)
            play.seek(offset)
            self.after[TP0] = offset - 1
        elif luck < 70 and play.out:
            play.serve(self.luck("served", len(play.out)))
        elif luck < 75 and play.asked:
            play.answer_asked()
        elif luck < 85:
            play.poll(self.luck("timeout", 2) * 500, 1 + self.luck("limit", 5))
        else:
            play.pass_time(self.luck("time", 1_500))
        self.look()

    def look(self) -> None:
        """Each record in its turn: the next one written behind the one before, or behind where the user went."""
        for polled in self.play.polls[self.seen :]:
            assert polled.error is NONE
            for each in polled.records:
                where = each.topic_partition
                assert each.offset == min(offset for offset in self.written[where] if offset > self.after[where])
                assert each.record.value == f"{where} {each.offset}".encode()
                self.after[where] = each.offset
                self.history.append(each)
        self.seen = len(self.play.polls)

    def run(self) -> None:
        for _ in range(300):
            self.step(faulty=True)
        for _ in range(400):
            self.step(faulty=False)


@pytest.mark.parametrize("seed", range(25))
def test_every_record_is_read_once_in_order_whatever_connections_and_leaders_do(seed: int) -> None:
    run = Run(seed, thawing=False)
    run.run()
    assert run.after == {where: written[-1] for where, written in run.written.items()}
    run.play.pass_time(5_000)
    run.play.serve_all()
    assert run.play.engine.deadlines() == {}


@pytest.mark.parametrize("seed", range(8))
def test_a_reader_frozen_and_thawed_at_every_step_reads_the_same(seed: int) -> None:
    alive, thawed = (Run(seed, thawing=thawing) for thawing in (False, True))
    alive.run()
    thawed.run()
    assert alive.history == thawed.history
    assert alive.play.out == thawed.play.out
    assert alive.play.engine.freeze(alive.play.now) == thawed.play.engine.freeze(thawed.play.now)
