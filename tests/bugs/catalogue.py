"""The ten, by name."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager

from . import (
    ack_before_replication,
    checker_blind_to_duplicates,
    follower_keeps_no_state,
    gap_accepted,
    no_dedup,
    retry_takes_new_sequence,
    truncate_to_high_watermark,
    truncation_keeps_state,
    unclean_election,
    window_of_one,
)

BUGS: dict[str, Callable[[], AbstractContextManager[None]]] = {
    module.__name__.rpartition(".")[2]: module.plant
    for module in (
        no_dedup,
        gap_accepted,
        window_of_one,
        follower_keeps_no_state,
        truncation_keeps_state,
        ack_before_replication,
        truncate_to_high_watermark,
        unclean_election,
        retry_takes_new_sequence,
        checker_blind_to_duplicates,
    )
}
