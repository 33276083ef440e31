"""Where batches are kept: what is durable, what a power cut takes, and freezing."""

from __future__ import annotations

import pickle

from log_stage import TP, plain

from eventlog.storage import MemoryLogStore, MemoryStores
from eventlog.values import TopicPartition, placed


def filled(count: int, *, flushed: int = 0) -> MemoryLogStore:
    store = MemoryLogStore()
    for index in range(count):
        store.append(placed(plain(2), 2 * index, 0))
        if index + 1 == flushed:
            store.flush()
    return store


def test_an_empty_store_ends_and_is_durable_at_zero() -> None:
    store = MemoryLogStore()
    assert (store.end_offset, store.durable_end_offset) == (0, 0)
    assert store.read(0, 10, 2**62) == ()
    assert store.lose_unflushed_tail() == (0, 0)


def test_the_durable_mark_moves_with_a_flush_only() -> None:
    store = filled(3, flushed=2)
    assert (store.durable_end_offset, store.end_offset) == (4, 6)
    store.flush()
    assert store.durable_end_offset == 6
    assert filled(3).durable_end_offset == 0


def test_a_power_cut_takes_what_was_not_flushed() -> None:
    store = filled(3, flushed=2)
    assert store.lose_unflushed_tail() == (4, 6)
    assert [each.base_offset for each in store.batches] == [0, 2]
    assert store.end_offset == 4
    assert store.lose_unflushed_tail() == (4, 4)
    assert filled(2).lose_unflushed_tail() == (0, 4)


def test_truncation_takes_the_durable_mark_down_with_it() -> None:
    store = filled(3, flushed=3)
    store.truncate(2)
    store.append(placed(plain(), 2, 1))
    assert (store.durable_end_offset, store.end_offset) == (2, 3)
    assert store.lose_unflushed_tail() == (2, 3)


def test_truncation_inside_a_batch_takes_it_whole_and_ends_where_it_was_asked() -> None:
    store = filled(3)
    store.truncate(3)
    assert [each.base_offset for each in store.batches] == [0]
    assert store.end_offset == 3


def test_a_log_emptied_at_an_offset_keeps_that_offset_through_a_power_cut() -> None:
    store = filled(2, flushed=2)
    store.truncate(0)
    store.truncate(50)
    assert store.end_offset == 50
    store.append(placed(plain(), 50, 0))
    assert store.lose_unflushed_tail() == (50, 51)
    assert store.end_offset == 50


def test_checkpoints_are_durable_at_once() -> None:
    store = filled(1)
    store.write_checkpoint("high_watermark", 1)
    store.lose_unflushed_tail()
    assert store.read_checkpoint("high_watermark", 0) == 1
    assert store.read_checkpoint("unknown", 7) == 7


def test_a_broker_gets_the_same_store_again_and_loses_all_tails_at_once() -> None:
    stores = MemoryStores()
    other = TopicPartition("t", 1)
    assert stores.log_store(TP) is stores.log_store(TP)
    stores.log_store(TP).append(placed(plain(), 0, 0))
    stores.log_store(other).append(placed(plain(), 0, 0))
    stores.log_store(other).flush()
    assert stores.lose_unflushed_tails() == [(TP, 0, 1)]
    assert stores.lose_unflushed_tails() == []


def test_stores_are_thawed_equal() -> None:
    stores = MemoryStores()
    stores.logs[TP] = filled(3, flushed=1)
    stores.logs[TP].write_checkpoint("leader_epochs", ((0, 0),))
    frozen = pickle.loads(pickle.dumps(stores.freeze()))
    thawed = MemoryStores.thaw(frozen)
    assert thawed.freeze() == stores.freeze()
    assert thawed.logs[TP].lose_unflushed_tail() == (2, 6)
    thawed.logs[TP].append(placed(plain(), 2, 0))
    assert thawed.logs[TP].end_offset == 3
    assert stores.logs[TP].end_offset == 6
