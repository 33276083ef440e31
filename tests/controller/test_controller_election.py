"""Who leads, who is in sync and who is eligible: the rules one by one."""

from __future__ import annotations

import pytest

from eventlog.controller.election import Rules, elect, reconsider
from eventlog.messages.controller_api import PartitionRecord
from eventlog.values import TopicPartition

TP = TopicPartition("t", 0)
ON = Rules(2, False, True)
OFF = Rules(2, False, False)
UNCLEAN = Rules(2, True, True)
UNCLEAN_OFF = Rules(2, True, False)


def partition(
    members: tuple[int, ...], leader: int, eligible: tuple[int, ...] = (), last: int = -1, replicas: object = (3, 1, 2)
) -> PartitionRecord:
    return PartitionRecord(TP, replicas, members, leader, 5, 7, eligible, last)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("known", "wanted", "alive", "rules", "after"),
    [
        # after: (leader, in sync, eligible, last known leader, leader epoch); None: nothing changes
        # an in-sync leader
        (partition((3, 1, 2), 3), (1, 2), (1, 2), ON, (1, (1, 2), (), -1, 6)),
        (partition((2, 1), 3), (2, 1), (1, 2), ON, (1, (2, 1), (), -1, 6)),
        (partition((3, 1, 2), 1), (1, 2, 3), (1, 2, 3), ON, (1, (1, 2, 3), (), -1, 5)),
        (partition((1, 2), 2), (1, 2), (1, 2, 3), ON, None),
        # too few in sync: who leaves is eligible, dead or alive
        (partition((3, 1), 3), (3,), (3, 2), ON, (3, (3,), (1,), -1, 5)),
        (partition((3, 1), 3), (3,), (3, 1, 2), ON, (3, (3,), (1,), -1, 5)),
        (partition((3, 1), 3), (1,), (1, 2), ON, (1, (1,), (3,), -1, 6)),
        (partition((3, 1, 2), 3), (3,), (3,), ON, (3, (3,), (1, 2), -1, 5)),
        (partition((3,), 3, (1,)), (), (2,), ON, (-1, (), (3, 1), 3, 6)),
        (partition((1,), 1, (3,)), (), (2,), ON, (-1, (), (3, 1), 1, 6)),
        # an eligible one leads only when nobody is in sync
        (partition((3,), 3, (1,)), (), (1, 2), ON, (1, (1,), (3,), -1, 6)),
        (partition((2,), 3, (1,)), (2,), (1, 2), ON, (2, (2,), (1,), -1, 6)),
        (partition((), -1, (3, 1), 3), (), (1, 2), ON, (1, (1,), (3,), -1, 6)),
        (partition((), -1, (3, 1), 3), (), (2,), ON, None),
        # enough again: nobody is eligible any more; as many as there are replicas are enough
        (partition((3,), 3, (1, 2)), (3, 2), (3, 2), ON, (3, (3, 2), (), -1, 5)),
        (partition((3,), 3, (1,)), (3,), (3,), ON._replace(min_insync_replicas=1), (3, (3,), (), -1, 5)),
        (partition((3, 1), 3, replicas=(3, 1)), (3,), (3,), ON._replace(min_insync_replicas=9), (3, (3,), (1,), -1, 5)),
        (partition((3,), 3, (1,), replicas=(3, 1)), (3, 1), (3, 1), Rules(9, False, True), (3, (3, 1), (), -1, 5)),
        # the last known leader: only when nobody is in sync or eligible, and only alive
        (partition((), -1, (), 1), (), (1, 2), ON, (1, (1,), (), -1, 6)),
        (partition((), -1, (), 1), (), (3, 2), ON, None),
        (partition((), -1, (3,), 1), (), (1, 2), ON, None),
        (partition((), -1, (), -1), (), (1, 2, 3), ON, None),
        (partition((), -1, (), 1), (), (3, 1), UNCLEAN, (1, (1,), (), -1, 6)),
        # an unclean one: only when nobody else can, and then all else is forgotten
        (partition((), -1, (3,), 3), (), (2, 1), UNCLEAN, (1, (1,), (), -1, 6)),
        (partition((), -1, (1,), 3), (), (2, 1), UNCLEAN, (1, (1,), (), -1, 6)),
        (partition((), -1, (3,), 3), (), (), UNCLEAN, None),
        (partition((3,), 3), (), (1, 2), UNCLEAN, (1, (1,), (), -1, 6)),
        # eligible leader replicas off: the last member stays in sync
        (partition((3, 1), 3), (1,), (1, 2), OFF, (1, (1,), (), -1, 6)),
        (partition((3,), 3), (), (1, 2), OFF, (-1, (3,), (), -1, 6)),
        (partition((3,), -1), (3,), (3, 1), OFF, (3, (3,), (), -1, 6)),
        (partition((3,), -1), (3,), (1, 2), OFF, None),
        (partition((3,), 3), (), (1, 2), UNCLEAN_OFF, (1, (1,), (), -1, 6)),
        (partition((3,), 3), (), (), UNCLEAN_OFF, (-1, (3,), (), -1, 6)),
    ],
)
def test_what_becomes_of_a_partition(
    known: PartitionRecord, wanted: tuple[int, ...], alive: tuple[int, ...], rules: Rules, after: object
) -> None:
    changed = reconsider(known, wanted, alive, rules)
    if changed is None:
        assert after is None
        return
    assert (changed.leader_id, changed.in_sync_replicas, *changed[6:], changed.leader_epoch) == after
    assert changed.partition_epoch == 8
    assert changed[:2] == known[:2]


@pytest.mark.parametrize(
    ("known", "wanted", "after"),
    [
        (partition((3, 1), 1), (1,), (1, (1,), (), -1, 5)),
        (partition((1,), 1, (3, 2)), (1,), (1, (1,), (2,), -1, 5)),
        (partition((), -1, (3, 2), 3), (), (2, (2,), (), -1, 6)),
        (partition((), -1, (3,), 1), (), (1, (1,), (), -1, 6)),
        (partition((3,), 3), (), (-1, (), (), 3, 6)),
    ],
)
def test_who_is_struck_off_is_not_eligible(known: PartitionRecord, wanted: tuple[int, ...], after: object) -> None:
    changed = reconsider(known, wanted, (1, 2), ON, struck_off=3)
    assert changed is not None
    assert (changed.leader_id, changed.in_sync_replicas, *changed[6:], changed.leader_epoch) == after


def test_a_reelection_raises_both_epochs() -> None:
    again = elect(partition((1, 2), 1), 1)
    assert (again.leader_id, again.leader_epoch, again.partition_epoch) == (1, 6, 8)
