"""A film is true to every log at every step, and costs what is new in a frame."""

from __future__ import annotations

from typing import Any

import pytest

from eventlog import Cluster
from eventlog.sim.faults import fault_plan
from eventlog.values import RecordBatch, TopicPartition
from eventlog.views.film import Batches, Film, Frame, _batches_of, watch
from eventlog.views.page import run_of
from eventlog.views.reading import Reading
from eventlog.views.sheet import strips_of

ORDERS = TopicPartition("orders", 0)


def chaos(seed: int, enable_idempotence: bool = True) -> Film:
    """Logs that are cut, lost, wiped, moved at their start, and grow again."""
    names = ("crash", "crash_losing_tail", "isolate", "reply_lost", "request_lost", "unclean_election", "log_start_moved")
    cluster = Cluster(3, seed, fault_plan(names, 10), min_insync_replicas=1, unclean_leader_election_enable=True)
    film = watch(cluster)
    cluster.create_topic("orders")
    settings = {} if enable_idempotence else {"enable_idempotence": False, "acks": 1}
    writer = cluster.producer("w", linger_ms=0, batch_size=0, request_timeout_ms=300, **settings)
    for number in range(100):
        writer.send("orders", f"{number}")
        cluster.advance(300)
    cluster.recover()
    return film


def test_a_frame_is_the_log_as_it_was_though_it_shares_it(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[Frame, tuple[RecordBatch, ...]]] = []
    keep = Film._keep

    def keep_with_log(film: Film, frame: Frame) -> None:
        if frame.is_up:
            log = film.cluster._world.find_broker(frame.broker_id).replicas[frame.topic_partition].log  # type: ignore[union-attr]
            seen.append((frame, log.read(log.log_start_offset, log.log_end_offset, 2**62)))
        keep(film, frame)

    monkeypatch.setattr(Film, "_keep", keep_with_log)
    cuts = moved = 0
    for seed in range(8):
        film = chaos(seed)
        cuts += sum(type(row).__name__ == "Truncated" for row in film.cluster.recorder.history)
        moved += sum(type(row).__name__ == "LogStartMoved" for row in film.cluster.recorder.history)
    for frame, batches in seen:
        assert tuple(frame.batches) == batches
        assert len(frame.batches) == len(batches)
        assert frame.batches[-2:] == batches[-2:]
        assert tuple(reversed(frame.batches)) == batches[::-1]
    assert min(cuts, moved) > 3
    assert len(seen) > 2000


class Log:
    log_start_offset = 0

    def __init__(self, *batches: RecordBatch) -> None:
        self.batches = batches
        self.log_end_offset = len(batches)

    def read(self, offset: int, end_offset: int, max_bytes: int) -> tuple[RecordBatch, ...]:
        return self.batches[offset:end_offset]


def test_a_log_that_was_cut_and_grew_again_between_two_frames_is_another_list() -> None:
    first, second, other, third = [
        RecordBatch(offset, epoch, -1, -1, -1, 0, 1, 0, 0, 0, 61, b"")
        for offset, epoch in ((0, 0), (1, 0), (1, 1), (2, 1))
    ]
    before = Batches([first, second])
    last = Frame(9, 1, ORDERS, True, False, 0, 0, 0, before, ())
    grown: Any = Log(first, second, third)
    cut: Any = Log(first, other, third)
    assert tuple(_batches_of(cut, last)) == (first, other, third)
    assert tuple(_batches_of(grown, last)) == (first, second, third)
    assert tuple(before) == (first, second)


def test_frames_share_what_has_not_changed() -> None:
    cluster = Cluster(3)
    film = watch(cluster)
    cluster.create_topic("orders")
    writer = cluster.producer("w", linger_ms=0, batch_size=0)
    for number in range(100):
        writer.send("orders", f"{number}")
        cluster.advance(20)
    frames = [frame for frame in film.frames if frame.topic_partition == ORDERS]
    assert len(frames) > 300
    lists = {id(frame.batches._grown): len(frame.batches._grown) for frame in frames if frame.batches}
    assert list(lists.values()) == [100, 100, 100]
    assert len({id(frame.memory) for frame in frames}) <= 3 * 101


@pytest.mark.parametrize("enable_idempotence", [True, False])
def test_the_logs_of_a_page_are_those_of_the_film_whatever_was_cut(enable_idempotence: bool) -> None:
    copies = 0
    for seed in range(4):
        film = chaos(seed, enable_idempotence)
        events = film.cluster.recorder.events
        reading = Reading(events, film, None, False)
        reading.read(0, len(events))
        last = {strip.broker_id: strip for _, strip, _ in run_of(film).states}
        for wanted in strips_of(reading.names, film.replicas(len(events), ORDERS)):
            cells = [cell for cell in last[wanted.broker_id].cells if not cell.is_cut]
            assert cells == list(wanted.cells)[len(wanted.cells) - len(cells) :]
            assert last[wanted.broker_id].left_out + len(cells) == wanted.left_out + len(wanted.cells)
            copies += sum(cell.is_copy for cell in cells)
    assert (copies > 0) is not enable_idempotence, copies
