"""All of them, by name, in the order of the way of a batch: memory, disk, replication, election, clients, checker."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from importlib import import_module

from eventlog.fanning import find_named
from eventlog.museum.gallery import gallery

NAMES = [
    "no_dedup",
    "gap_accepted",
    "window_of_one",
    "window_shifted",
    "wrap_refused",
    "wrap_one_early",
    "same_epoch_begins_anew",
    "old_epoch_remembered",
    "rejected_batch_remembered",
    "remembered_before_written",
    "duplicate_at_log_end",
    "duplicate_at_zero",
    "duplicate_not_waited_for",
    "truncation_keeps_state",
    "truncation_forgets_all",
    "restart_forgets_all",
    "snapshot_at_wrong_offset",
    "snapshot_above_end_loaded",
    "snapshot_left_behind",
    "everybody_expires",
    "nobody_expires",
    "deletion_forgets_producers",
    "follower_keeps_no_state",
    "follower_judges",
    "ack_before_replication",
    "truncate_to_high_watermark",
    "divergence_cut_to_high_watermark",
    "divergence_not_looked_for",
    "joins_too_early",
    "expansion_without_catching_up",
    "unheard_follower_counted",
    "majority_is_enough",
    "isr_never_shrinks",
    "min_insync_replicas_ignored",
    "last_replica_standing",
    "success_on_resigning",
    "leader_does_not_resign",
    "followers_mark_beyond_its_end",
    "reads_beyond_high_watermark",
    "unclean_election",
    "unclean_restart_stays_eligible",
    "leader_epoch_not_raised",
    "producer_ids_given_twice",
    "stale_alter_partition",
    "retry_takes_new_sequence",
    "retries_newest_first",
    "retry_goes_last",
    "timeout_taken_for_success",
    "ten_in_flight",
    "new_epoch_keeps_sequences",
    "answers_matched_by_order",
    "reader_ignores_truncation",
    "reader_one_too_far",
    "checker_blind_to_duplicates",
    "checker_blind_to_order",
    "checker_blind_to_losses",
    "checker_blind_to_dirty_reads",
    "checker_blind_to_refusals",
]

SHOWN = gallery()
"""Some of them are exhibits of the museum; they live there."""


def _plant(name: str) -> Callable[[], AbstractContextManager[None]]:
    if name in SHOWN:
        return find_named(SHOWN[name].plant)
    plant: Callable[[], AbstractContextManager[None]] = import_module(f".museum.{name}", __package__).plant
    return plant


BUGS = {name: _plant(name) for name in NAMES}
