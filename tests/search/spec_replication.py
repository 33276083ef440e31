"""Kafka's published replication specification, and the three before it that were wrong, as spaces to search.

After Jason Gustafson's TLA+ modules (github.com/hachikuji/kafka-specification: KafkaReplication, FiniteReplicatedLog,
KafkaTruncateToHighWatermark, Kip101, Kip279, Kip320FirstTry, Kip320). One partition, replicas 0 .. n-1, and a controller
whose requests may arrive whenever they like, or never. The five differ in two questions only: when has a follower caught
up with a leader, and where does it cut its log when it begins to follow.

Two things are told otherwise than there, and no state is gained or lost by it. A request is known by its leader epoch,
which is its place in the tuple of all requests, so the controller's own state is the last request and the in-sync
replicas that its leader changed since. And nobody follows "no leader": there the leader of a follower is one of the
replicas, so that branch is never taken.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple

Log = tuple[int, ...]
"""Each record is its number times 16, and its leader epoch."""

Replica = tuple[Log, int, int, int, int]
"""Log, high watermark, leader epoch, leader, in-sync replicas (a bit for each)."""

LOG: Final = 0
HIGH_WATERMARK: Final = 1
EPOCH: Final = 2
LEADER: Final = 3

Requests = tuple[tuple[int, int], ...]
"""By leader epoch: leader, in-sync replicas."""

State = tuple[tuple[Replica, ...], Requests, int, int]
"""The replicas, all requests ever sent, the in-sync replicas the controller knows, and how many records were written."""

NOBODY = -1
EPOCHS = 16


class Rules(NamedTuple):
    """`has_caught_up(leader, follower, end_offset)`, of two that agree who leads. `cut(leader, follower)`: where the
    follower cuts its log when it begins to follow; None: it doesn't then, but whenever it sees that it must."""

    has_caught_up: Callable[[Replica, Replica, int], bool]
    cut: Callable[[Replica, Replica], int] | None
    # Followers find their end only at a leader of the same epoch.
    is_fenced: bool = False
    # Nobody joins before all that earlier leaders wrote is below the high watermark.
    joins_late: bool = False


def has_offset(_leader: Replica, follower: Replica, end_offset: int) -> bool:
    return len(follower[LOG]) >= end_offset


def has_offset_and_record_epoch(leader: Replica, follower: Replica, end_offset: int) -> bool:
    if not end_offset:
        return True
    if len(follower[LOG]) < end_offset:
        return False
    return leader[LOG][end_offset - 1] % EPOCHS == follower[LOG][end_offset - 1] % EPOCHS


def has_offset_and_leader_epoch(leader: Replica, follower: Replica, end_offset: int) -> bool:
    return follower[EPOCH] == leader[EPOCH] and len(follower[LOG]) >= end_offset


def cut_at_high_watermark(_leader: Replica, follower: Replica) -> int:
    return follower[HIGH_WATERMARK]


def cut_at_end_of_epoch(leader: Replica, follower: Replica) -> int:
    """KIP-101: the leader is asked where the epoch of the follower's last record ends."""
    if not follower[LOG]:
        return 0
    last_epoch = follower[LOG][-1] % EPOCHS
    if leader[LOG] and leader[LOG][-1] % EPOCHS == last_epoch:
        return len(leader[LOG])
    for offset, record in enumerate(leader[LOG]):
        if record % EPOCHS > last_epoch:
            return offset
    return follower[HIGH_WATERMARK]


def cut_after_last_match(leader: Replica, follower: Replica) -> int:
    """KIP-279: after the last record that both have."""
    for offset in range(min(len(leader[LOG]), len(follower[LOG])), 0, -1):
        if leader[LOG][offset - 1] == follower[LOG][offset - 1]:
            return offset
    return 0


TRUNCATE_TO_HIGH_WATERMARK = Rules(has_offset, cut_at_high_watermark)
KIP_101 = Rules(has_offset, cut_at_end_of_epoch)
KIP_279 = Rules(has_offset, cut_after_last_match)
KIP_320_FIRST_TRY = Rules(has_offset_and_record_epoch, None, joins_late=True)
KIP_320 = Rules(has_offset_and_leader_epoch, cut_after_last_match, is_fenced=True, joins_late=True)


class Replication:
    """One of the specifications, as a space. `max_epoch`: epochs are 0 .. this."""

    def __init__(self, rules: Rules, replicas: int, log_size: int, records: int, max_epoch: int) -> None:
        self.rules, self.log_size, self.records, self.max_epoch = rules, log_size, records, max_epoch
        self.numbers = range(replicas)
        # By in-sync replicas: who they are.
        self.members = [[number for number in self.numbers if mask >> number & 1] for mask in range(1 << replicas)]
        # Equal replicas are one and the same, which is faster to compare.
        self.replicas: dict[Replica, Replica] = {}

    def begin(self) -> list[State]:
        return [((((), 0, -1, NOBODY, 0),) * len(self.numbers), (), (1 << len(self.numbers)) - 1, 0)]

    def broken(self, state: State) -> str:
        """Strong ISR: what a presumed leader has below its high watermark, all in-sync replicas have."""
        replicas, _, in_sync, _ = state
        for number, (log, high_watermark, _, leader, _) in enumerate(replicas):
            if leader == number and high_watermark:
                committed = log[:high_watermark]
                for member in self.members[in_sync]:
                    if replicas[member][LOG][:high_watermark] != committed or len(committed) < high_watermark:
                        return "strong ISR"
        return ""

    def successors(self, state: State, may_deviate: bool) -> list[State]:
        replicas, requests, in_sync, written = state
        found: list[State] = []
        if len(requests) <= self.max_epoch:
            self._controller(state, found)
        for number, replica in enumerate(replicas):
            if replica[LEADER] == number:
                self._leader(state, number, replica, found)
            epoch = replica[EPOCH]
            while epoch + 1 < len(requests):
                epoch += 1
                leader, members = requests[epoch]
                if leader == number:
                    became = (replica[LOG], replica[HIGH_WATERMARK], epoch, leader, members)
                    found.append((self._with(replicas, number, became), requests, in_sync, written))
                elif leader != NOBODY:
                    follows = self._follow(replicas[leader], leader, replica, epoch, members)
                    if follows is not None:
                        found.append((self._with(replicas, number, follows), requests, in_sync, written))
        return found

    def _controller(self, state: State, found: list[State]) -> None:
        """A replica is struck from the list, or a member of it made leader."""
        replicas, requests, in_sync, written = state
        leader = requests[-1][0] if requests else NOBODY
        for member in self.members[in_sync]:
            rest = in_sync & ~(1 << member)
            if leader == member:
                rest = rest or in_sync
                found.append((replicas, (*requests, (NOBODY, rest)), rest, written))
            else:
                found.append((replicas, (*requests, (leader, rest)), rest, written))
                found.append((replicas, (*requests, (member, in_sync)), in_sync, written))

    def _leader(self, state: State, number: int, replica: Replica, found: list[State]) -> None:
        """What one that thinks it leads does, and its followers with it."""
        replicas, requests, in_sync, written = state
        has_caught_up = self.rules.has_caught_up
        log, high_watermark, epoch, _, members = replica
        end_offset = len(log)
        if written < self.records and end_offset < self.log_size:
            wrote = ((*log, written * EPOCHS + epoch), high_watermark, epoch, number, members)
            found.append((self._with(replicas, number, wrote), requests, in_sync, written + 1))
        if high_watermark < end_offset:
            for member in self.members[members]:
                other = replicas[member]
                if other[LEADER] != number or not has_caught_up(replica, other, high_watermark + 1):
                    break
            else:
                raised = (log, high_watermark + 1, epoch, number, members)
                found.append((self._with(replicas, number, raised), requests, in_sync, written))
        is_true = epoch == len(requests) - 1 and requests[-1][0] == number
        may_join = is_true and not (
            self.rules.joins_late and high_watermark < end_offset and log[high_watermark] % EPOCHS != epoch
        )
        for follower, other in enumerate(replicas):
            if follower == number:
                continue
            follows = other[LEADER] == number
            bit = 1 << follower
            if members & bit:
                if is_true and not (follows and has_caught_up(replica, other, end_offset)):
                    shrunk = (log, high_watermark, epoch, number, members & ~bit)
                    found.append((self._with(replicas, number, shrunk), requests, members & ~bit, written))
            elif may_join and follows and has_caught_up(replica, other, high_watermark):
                joined = (log, high_watermark, epoch, number, members | bit)
                found.append((self._with(replicas, number, joined), requests, members | bit, written))
            if follows:
                fetched = self._fetch(replica, other)
                if fetched is not None:
                    found.append((self._with(replicas, follower, fetched), requests, in_sync, written))

    def _fetch(self, leader: Replica, follower: Replica) -> Replica | None:
        """One record more; or, where it isn't cut on beginning to follow, the cut."""
        log, high_watermark, epoch, number, members = follower
        end_offset = len(log)
        if end_offset < len(leader[LOG]) and self.rules.has_caught_up(leader, follower, end_offset):
            return (
                (*log, leader[LOG][end_offset]),
                min(leader[HIGH_WATERMARK], end_offset + 1),
                epoch,
                number,
                members,
            )
        if self.rules.cut is None and end_offset:
            if end_offset > len(leader[LOG]) or leader[LOG][end_offset - 1] % EPOCHS != log[-1] % EPOCHS:
                end_offset = cut_after_last_match(leader, follower)
                return (log[:end_offset], min(high_watermark, end_offset), epoch, number, members)
        return None

    def _follow(self, leader: Replica, number: int, replica: Replica, epoch: int, members: int) -> Replica | None:
        log, high_watermark, *_ = replica
        if self.rules.cut is None:
            return (log, high_watermark, epoch, number, members)
        if self.rules.is_fenced and (leader[LEADER] != number or leader[EPOCH] != epoch):
            return None
        end_offset = self.rules.cut(leader, replica)
        if end_offset > len(log):
            return None
        return (log[:end_offset], min(high_watermark, end_offset), epoch, number, members)

    def _with(self, replicas: tuple[Replica, ...], number: int, replica: Replica) -> tuple[Replica, ...]:
        changed = list(replicas)
        changed[number] = self.replicas.setdefault(replica, replica)
        return tuple(changed)
