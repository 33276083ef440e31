"""One replica's log: appending, reading, cutting, beginning later, coming back after a restart."""

from __future__ import annotations

import pytest
from log_stage import T0, Table, batch, plain

from eventlog.errors import ErrorCode, InvariantViolation
from eventlog.log.partition_log import LOG_APPEND_TIME
from eventlog.values import placed

HOUR_MS = 3_600_000


def five_batches() -> Table:
    """Producer 1: [0..1] [2..3] [4..5] in leader epoch 0, [6..7] [8..9] in leader epoch 1."""
    table = Table()
    for index in range(5):
        table.leader_epoch = int(index >= 3)
        assert table.send(1, 0, 2 * index, 2) == (2 * index, 2 * index + 1)
    return table


# --- appending ----------------------------------------------------------------------------------------------------


def test_a_leader_gives_offsets_and_stamps_its_epoch() -> None:
    table = five_batches()
    stored = table.log.read(0, table.end, 2**62)
    assert [(each.base_offset, each.last_offset, each.leader_epoch) for each in stored] == [
        (0, 1, 0),
        (2, 3, 0),
        (4, 5, 0),
        (6, 7, 1),
        (8, 9, 1),
    ]
    assert table.log.leader_epochs.entries == [(0, 0), (1, 6)]


def test_the_leader_epoch_in_a_clients_batch_counts_for_nothing() -> None:
    table = Table(leader_epoch=4)
    table.append(batch(1, 0, 0, 1)._replace(leader_epoch=55))
    table.append(batch(1, 0, 1, 1)._replace(leader_epoch=-7))
    assert [each.leader_epoch for each in table.log.read(0, 9, 2**62)] == [4, 4]
    assert table.log.leader_epochs.entries == [(4, 0)]


def test_a_given_base_offset_is_refused() -> None:
    assert Table().append(plain()._replace(base_offset=1)).error is ErrorCode.INVALID_RECORD


def test_a_producer_id_needs_a_sequence() -> None:
    table = Table()
    assert table.append(batch(0, 0, -1, 1)).error is ErrorCode.INVALID_RECORD
    assert table.append(batch(-1, -1, -1, 1)).base_offset == 0
    assert table.append(batch(-2, 0, -1, 1)).base_offset == 1, "an id below -1 is none"


@pytest.mark.parametrize(("excess", "error"), [(0, 0), (1, 10)])
def test_the_size_limit_is_exact_and_its_error_is_found_before_the_log(excess: int, error: int) -> None:
    each = batch(1, 0, 0, 3)
    table = Table(max_message_bytes=each.size_bytes - excess)
    result = table.append(each)
    assert int(result.error) == error
    assert result.found_in_log is (error == 0)


@pytest.mark.parametrize(("at_ms", "error"), [(T0 + HOUR_MS, 0), (T0 + HOUR_MS + 1, 32), (0, 0)])
def test_the_default_timestamp_limit_is_one_hour_ahead(at_ms: int, error: int) -> None:
    assert int(Table().append(plain(at_ms=at_ms)).error) == error


@pytest.mark.parametrize(("at_ms", "error"), [(T0 - 1_000, 0), (T0 - 1_001, 32)])
def test_a_limit_for_old_timestamps_is_exact(at_ms: int, error: int) -> None:
    assert int(Table(message_timestamp_before_max_ms=1_000).append(plain(at_ms=at_ms)).error) == error


def test_on_a_log_append_time_topic_the_leaders_clock_counts_and_is_remembered() -> None:
    table = Table(message_timestamp_type="LogAppendTime")
    first = table.append(batch(1, 0, 0, 1, at_ms=5), now_ms=T0)
    assert first.log_append_time_ms == T0
    again = table.append(batch(1, 0, 0, 1, at_ms=6), now_ms=T0 + 9)
    assert (again.is_duplicate, again.log_append_time_ms) == (True, T0)
    (stored,) = table.log.read(0, 1, 2**62)
    assert stored.max_timestamp_ms == T0
    assert stored.attributes & LOG_APPEND_TIME
    far = table.append(batch(1, 0, 1, 1, at_ms=2**50), now_ms=T0)
    assert far.error is ErrorCode.NONE, "a client's timestamp is not looked at"


def test_a_client_may_not_claim_log_append_time() -> None:
    table = Table()
    table.append(batch(1, 0, 0, 1)._replace(attributes=LOG_APPEND_TIME | 1))
    (stored,) = table.log.read(0, 1, 2**62)
    assert stored.attributes == 1


def test_a_duplicate_tells_the_remembered_timestamp_and_an_append_tells_none() -> None:
    table = Table()
    assert table.append(batch(1, 0, 0, 1, at_ms=T0 + 5)).log_append_time_ms == -1
    assert table.append(batch(1, 0, 0, 1, at_ms=T0 + 9)).log_append_time_ms == T0 + 5


def test_sequence_and_epoch_errors_are_found_in_the_log() -> None:
    table = Table()
    table.send(1, 1, 0, 1)
    for each in (batch(1, 1, 5, 1), batch(1, 0, 1, 1)):
        result = table.append(each)
        assert result.error
        assert (result.found_in_log, result.base_offset, result.last_offset) == (True, -1, -1)


def test_a_refusal_says_what_came_and_what_was_expected() -> None:
    table = Table()
    table.send(1, 2, 0, 3)
    assert "base_sequence 7 came, 3 was expected after last_sequence 2 at offset 2" in table.append(
        batch(1, 2, 7, 1)
    ).message.replace("\n", " ")
    assert "epoch 1 came, 2 or higher was expected" in table.append(batch(1, 1, 3, 1)).message


def test_a_follower_refuses_offsets_that_do_not_rise() -> None:
    table = Table()
    table.follow(batch(1, 0, 0, 2), 0)
    with pytest.raises(InvariantViolation, match="came to be appended at 2"):
        table.follow(batch(1, 0, 2, 1), 1)


def test_a_follower_takes_holes_in_the_offsets() -> None:
    table = Table()
    table.follow(plain(), 3)
    table.follow(plain(2), 10, leader_epoch=2)
    assert table.end == 12
    assert table.log.leader_epochs.entries == [(0, 3), (2, 10)]
    assert [each.base_offset for each in table.log.read(4, 12, 2**62)] == [10]
    assert [each.base_offset for each in table.log.read(0, 12, 2**62)] == [3, 10]
    table.reload()
    assert table.end == 12


# --- reading ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("offset", "first"), [(0, 0), (1, 0), (2, 2), (3, 2), (9, 8)])
def test_a_read_inside_a_batch_gives_it_whole(offset: int, first: int) -> None:
    found = five_batches().log.read(offset, 10, 2**62)
    assert found[0].base_offset == first
    assert found[-1].base_offset == 8


def test_a_read_stops_at_the_end_offset_and_at_the_size() -> None:
    log = five_batches().log
    size = log.read(0, 10, 2**62)[0].size_bytes
    assert [each.base_offset for each in log.read(0, 4, 2**62)] == [0, 2]
    assert [each.base_offset for each in log.read(0, 10, 2 * size)] == [0, 2]
    assert [each.base_offset for each in log.read(0, 10, 2 * size - 1)] == [0]
    assert [each.base_offset for each in log.read(2, 10, 0)] == [2], "the first batch always"
    assert log.read(10, 10, 2**62) == ()
    assert log.read(5, 5, 2**62) == ()


# --- cutting ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("to", "end", "window", "epochs"),
    [
        (10, 10, [(0, 1), (2, 3), (4, 5), (6, 7), (8, 9)], [(0, 0), (1, 6)]),
        (99, 10, [(0, 1), (2, 3), (4, 5), (6, 7), (8, 9)], [(0, 0), (1, 6)]),
        (8, 8, [(0, 1), (2, 3), (4, 5), (6, 7)], [(0, 0), (1, 6)]),
        (6, 6, [(0, 1), (2, 3), (4, 5)], [(0, 0)]),
        (5, 5, [(0, 1), (2, 3)], [(0, 0)]),  # inside a batch: it goes whole, a hole of offsets remains
        (0, 0, [], []),
    ],
)
def test_truncation_rolls_state_and_epochs_back(
    to: int, end: int, window: list[tuple[int, int]], epochs: list[tuple[int, int]]
) -> None:
    table = five_batches()
    table.commit()
    table.log.truncate_to(to)
    table.check()
    assert table.end == end
    assert table.log.high_watermark == end
    assert table.window() == window
    assert table.log.leader_epochs.entries == epochs
    if window:
        assert table.send(1, 0, window[-1][1] + 1, 1) == (end, end)


def test_truncation_at_or_after_the_end_drops_an_epoch_without_records() -> None:
    table = five_batches()
    table.log.assign_leader_epoch(7)
    assert table.log.leader_epochs.entries == [(0, 0), (1, 6), (7, 10)]
    table.log.truncate_to(10)
    assert table.log.leader_epochs.entries == [(0, 0), (1, 6)]
    assert table.store.read_checkpoint("leader_epochs", ()) == ((0, 0), (1, 6))


def test_truncation_gives_the_window_of_five_back() -> None:
    table = Table()
    for sequence in range(8):
        table.send(1, 0, sequence, 1)
    table.log.truncate_to(6)
    assert table.window() == [(1, 1), (2, 2), (3, 3), (4, 4), (5, 5)]
    assert table.send(1, 0, 1, 1) == "dup 1..1"
    assert table.send(1, 0, 0, 1) == 45


def test_truncation_of_a_whole_producer_forgets_it_and_takes_a_gap_at_the_start() -> None:
    table = Table()
    table.append(plain())
    table.send(1, 0, 0, 1)
    table.send(1, 0, 1, 1)
    table.log.truncate_to(1)
    assert table.last() is None
    assert table.send(1, 0, 2, 1) == (1, 1)
    assert table.send(1, 0, 0, 1) == 45


def test_truncation_takes_a_raised_epoch_back() -> None:
    table = Table()
    table.send(1, 0, 0, 3)
    table.send(1, 1, 0, 1)
    table.log.truncate_to(3)
    assert table.last() == (0, 2)
    assert table.send(1, 0, 3, 1) == (3, 3)


def test_truncation_below_the_log_start_moves_the_start_down() -> None:
    table = five_batches()
    table.commit()
    table.log.advance_log_start(6)
    table.log.truncate_to(4)
    table.check()
    assert (table.log.log_start_offset, table.log.high_watermark, table.end) == (4, 4, 4)
    table.reload()
    assert (table.log.log_start_offset, table.end) == (4, 4)


def test_a_log_that_restarts_at_an_offset_has_forgotten_everything() -> None:
    table = five_batches()
    table.log.restart_at(500)
    table.check()
    assert (table.log.log_start_offset, table.log.high_watermark, table.end) == (500, 500, 500)
    assert table.last() is None
    assert table.log.leader_epochs.entries == []
    assert table.send(1, 0, 9, 1) == (500, 500)
    table.reload()
    assert (table.log.log_start_offset, table.end) == (500, 501)


# --- a later start ------------------------------------------------------------------------------------------------


def test_producers_are_not_forgotten_when_their_records_are_deleted() -> None:
    table = five_batches()
    table.commit()
    table.log.advance_log_start(10)
    table.check()
    assert table.send(1, 0, 8, 2) == "dup 8..9"
    assert table.send(1, 0, 11, 1) == 45
    assert table.send(1, 0, 10, 1) == (10, 10)
    assert table.log.leader_epochs.entries == [(1, 10)]


@pytest.mark.parametrize("how", ["clean", "kill"])
def test_a_later_start_that_was_written_down_survives_a_restart_and_may_lie_inside_a_batch(how: str) -> None:
    table = five_batches()
    table.commit()
    table.log.advance_log_start(5)
    table.log.write_checkpoints()
    table.reload(how)
    assert table.log.log_start_offset == 5
    assert table.log.high_watermark >= 5
    assert table.log.read(5, 10, 2**62)[0].base_offset == 4


def test_a_crash_soon_after_a_later_start_undoes_it_and_a_clean_stop_does_not() -> None:
    for how, start_offset in (("kill", 0), ("clean", 5)):
        table = five_batches()
        table.commit()
        table.log.advance_log_start(5)
        table.reload(how)
        assert table.log.log_start_offset == start_offset


# --- coming back --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["clean", "kill"])
def test_a_restart_remembers_the_newest_batch_only(how: str) -> None:
    table = five_batches()
    table.reload(how)
    assert table.window() == [(8, 9)]
    assert [table.send(1, 0, first, 2) for first in (0, 2, 4, 6)] == [45] * 4
    assert table.send(1, 0, 8, 2) == "dup 8..9"
    assert table.send(1, 0, 10, 2) == (10, 11)
    assert table.send(1, 0, 8, 2) == "dup 8..9"


@pytest.mark.parametrize("how", ["clean", "kill"])
def test_with_five_in_a_snapshot_a_restart_remembers_all_five(how: str) -> None:
    table = Table(producer_snapshot_batches=5)
    for sequence in range(7):
        table.send(1, 0, sequence, 1)
    table.reload(how)
    assert [table.send(1, 0, sequence, 1) for sequence in range(7)] == [
        45,
        45,
        *[f"dup {sequence}..{sequence}" for sequence in range(2, 7)],
    ]


def test_a_restart_drops_leader_epochs_beyond_a_lost_tail() -> None:
    table = five_batches()
    table.store.flush()
    table.leader_epoch = 2
    table.send(1, 0, 10, 1)
    assert table.store.lose_unflushed_tail() == (10, 11)
    table.reload()
    assert table.end == 10
    assert table.last() == (0, 9)
    assert table.log.leader_epochs.entries == [(0, 0), (1, 6)]


def test_a_restart_never_has_a_high_watermark_beyond_its_log() -> None:
    table = five_batches()
    table.store.write_checkpoint("high_watermark", 10)
    table.store.lose_unflushed_tail()
    table.reload()
    assert (table.log.high_watermark, table.end) == (0, 0)


def test_expiry_is_not_part_of_the_log_so_a_crash_knows_the_producer_again() -> None:
    table = Table()
    table.send(1, 0, 0, 1)
    table.send(1, 0, 1, 1)
    assert table.log.producer_state.expire(T0 + 1, 1) == (1,)
    assert table.send(1, 0, 7, 1) == (2, 2)
    assert table.window() == [(7, 7)]
    table.log.producer_state.expire(T0 + 1, 1)
    table.reload()
    assert table.window() == [(7, 7)]
    table.log.producer_state.expire(T0 + 1, 1)
    table.reload("clean")
    assert table.window() == [(7, 7)], "there was a snapshot at the log's end already, so none was written"
    table.log.producer_state.expire(T0 + 1, 1)
    table.append(plain())
    table.reload("clean")
    assert table.last() is None


def test_an_expired_producers_fence_is_forgotten_with_it() -> None:
    table = Table()
    table.send(1, 9, 0, 1)
    table.log.producer_state.expire(T0 + 1, 1)
    assert table.send(1, 0, 4, 1) == (1, 1)
    table.check()


def test_the_check_notices_a_state_that_the_log_does_not_say() -> None:
    for spoil in ("batches", "producer_epoch", "next_sequence"):
        table = five_batches()
        entry = table.log.producer_state.find_entry(1)
        assert entry is not None
        if spoil == "batches":
            del entry.batches[0]
        elif spoil == "producer_epoch":
            entry.producer_epoch = 1
        else:
            entry.next_sequence = 77
        with pytest.raises(InvariantViolation):
            table.log.check_invariants()


def test_a_batch_in_a_log_is_the_clients_batch_in_its_place() -> None:
    table = Table(leader_epoch=3)
    sent = batch(1, 0, 0, 2, value="kept")
    table.append(plain())
    table.append(sent)
    assert table.log.read(1, 3, 2**62) == (placed(sent, 1, 3),)


@pytest.mark.parametrize(("at_ms", "error"), [(T0 + HOUR_MS, 0), (T0 + HOUR_MS + 1, 32)])
def test_the_timestamp_limit_is_as_exact_for_a_batch_that_is_odd_otherwise(at_ms: int, error: int) -> None:
    result = Table().append(plain(at_ms=at_ms)._replace(attributes=LOG_APPEND_TIME))
    assert (int(result.error), result.last_offset) == (error, -1 if error else 0)


def test_the_check_notices_batches_out_of_place() -> None:
    table = five_batches()
    entry = table.log.producer_state.find_entry(1)
    assert entry is not None
    entry.batches[1] = entry.batches[0]
    with pytest.raises(InvariantViolation, match="out of place"):
        table.log.producer_state.check_invariants()
    other = five_batches()
    entry = other.log.producer_state.find_entry(1)
    assert entry is not None
    entry.batches = [each._replace(producer_epoch=1) for each in entry.batches]
    with pytest.raises(InvariantViolation, match="another epoch"):
        other.log.producer_state.check_invariants()


def test_a_segment_is_counted_anew_when_other_batches_come_in_place_of_a_lost_tail() -> None:
    table = Table()
    table.append(plain())
    table.store.flush()
    table.append(plain(3))
    table.log.write_checkpoints()
    table.store.lose_unflushed_tail()
    table.reload()
    for _ in range(3):
        table.append(plain())
    table.store.flush()
    table.reload()
    assert table.log.segments.all[0].size_bytes == sum(each.size_bytes for each in table.store.batches)
