"""Promises checked at every step, incrementally: only what the machine that just moved can have changed.

| | promise |
|---|---|
| H1 | every acknowledgement of a batch names the same offset |
| H5 | an idempotent writer's batch is committed before it is acknowledged |
| H2 | an idempotent writer's batch stands once in the committed log |
| H3 | and behind the batches of its epoch that were sent before it |
| H7 | the high watermark never goes back in a leader's term; what is committed is the same everywhere, and nobody cuts it |
| H8 | one leader to a leader epoch; leader epochs never go back, in a replica or in a log |
| H9 | nothing of a lower producer epoch is committed behind a higher one |
| H10 | a replica's producer state is what its log says |
| H12 | every in-sync replica that runs has the leader's log below its high watermark |
| H14 | a leader's answer to an idempotent batch is what its log says (see `refold`) |

H4 (no gaps), the rest of H5 (nothing acknowledged is lost), H6 (no dirty read) and H11 (whole batches) need the end of
a run and are judged from its history.

Declared loss: a replica that lost its tail or its disk in a crash leads without what was committed, since nobody else
could; or one that was not in sync is made leader by an unclean election. H5, H7, H8's sequel in H12 and the copies of H2
break rightly then, in that partition (`losses`), until all of its replicas are in sync again: from there its committed
log is the leader's, and everybody is held to it anew. What was acknowledged before binds no more (`has_lost`).

They keep the committed log of each partition once, as the first high watermark to pass a batch saw it, and hold
everybody to it. Checks read the machines and change nothing: a run is the same with and without them.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from eventlog.broker import Broker
from eventlog.broker.replica import Replica
from eventlog.errors import ErrorCode
from eventlog.messages import CONTROLLER, Disconnected, Envelope, Machine
from eventlog.messages.broker_api import (
    DescribeProducersRequest,
    FetchRequest,
    ListOffsetsRequest,
    MetadataRequest,
    OffsetForLeaderEpochRequest,
    ProduceReply,
    ProduceRequest,
)
from eventlog.messages.controller_api import AlterPartitionReply, PartitionRecord
from eventlog.messages.user_api import SendsResolved
from eventlog.sim.refold import ACCEPTED, DUPLICATE, REFUSALS, right_answers
from eventlog.values import MAX_SEQUENCE, RecordBatch, TopicPartition

if TYPE_CHECKING:
    from eventlog.sim.state import WorldState

NONE = ErrorCode.NONE

LOOKING = (
    FetchRequest,
    MetadataRequest,
    ListOffsetsRequest,
    OffsetForLeaderEpochRequest,
    DescribeProducersRequest,
    AlterPartitionReply,
    Disconnected,
)
"""What touches no log, unless it moves a high watermark: after it, a log that has not moved is not gone through again."""


class Seen:
    """A replica as it was when it was last looked at."""

    __slots__ = ("end_offset", "epoch_of_role", "epochs", "high_watermark", "in_sync_replicas", "is_leader", "where")

    def __init__(self, where: str) -> None:
        self.where = where
        self.end_offset = 0
        self.high_watermark = 0
        self.epoch_of_role = -1
        # (leader epoch, where it begins) of its log.
        self.epochs: tuple[tuple[int, int], ...] = ()
        self.is_leader = False
        # As its leader was told by the controller; () at a follower.
        self.in_sync_replicas: tuple[int, ...] = ()


class Committed:
    """One partition's committed log, and where each batch of an idempotent producer stands in it."""

    __slots__ = ("batches", "begin_offset", "end_offset", "identities", "index", "newest")

    def __init__(self, begin_offset: int = 0) -> None:
        self.batches: list[RecordBatch] = []
        # Nothing is known of what lies below: it was deleted before this was begun.
        self.begin_offset = begin_offset
        self.end_offset = begin_offset
        # Base offset -> position in `batches`.
        self.index: dict[int, int] = {}
        self.identities: dict[tuple[int, int, int], int] = {}
        # Producer id -> its highest epoch and the last sequence there.
        self.newest: dict[int, tuple[int, int]] = {}


class Invariants:
    """`full` also compares a replica's whole producer state with its log, at every step."""

    __slots__ = (
        "_blank",
        "_forgot",
        "_is_blank_somewhere",
        "_lost_tails",
        "_metadata_seen",
        "_seen",
        "committed",
        "full",
        "has_lost",
        "leaders",
        "losses",
        "unclean_orders",
    )

    def __init__(self, full: bool = False) -> None:
        self.full = full
        self._seen: dict[tuple[str, TopicPartition], Seen] = {}
        self.committed: dict[TopicPartition, Committed] = {}
        self.leaders: dict[tuple[TopicPartition, int], str] = {}
        # Partitions that have lost what was committed, with the leader epoch; and all that ever did.
        self.losses: dict[TopicPartition, int] = {}
        self.has_lost: dict[TopicPartition, None] = {}
        # Where a replica may know nothing of the producers below an offset (a snapshot was spoiled), and in which
        # partitions that ever was so.
        self._blank: dict[tuple[str, TopicPartition], int] = {}
        self._is_blank_somewhere: dict[TopicPartition, None] = {}
        # Where a replica's memory may be shorter than its log.
        self._forgot: dict[tuple[str, TopicPartition], int] = {}
        # Where the log ended before its broker's crash took the tail, until it has all of that again.
        self._lost_tails: dict[tuple[str, TopicPartition], int] = {}
        # Where somebody asked for a leader that may lack what is committed.
        self.unclean_orders: dict[TopicPartition, None] = {}
        # So many records of the controller's log were looked at.
        self._metadata_seen = 0

    def tail_lost(self, name: str, topic_partition: TopicPartition, was_end_offset: int) -> None:
        """What was not flushed there is gone."""
        known = self._lost_tails.get((name, topic_partition), 0)
        self._lost_tails[(name, topic_partition)] = max(known, was_end_offset)

    def crashed(self, name: str) -> None:
        """What was seen of its replicas no longer binds: a restart begins from the disk."""
        for key in [key for key in self._seen if key[0] == name]:
            del self._seen[key]

    def forgot(
        self, name: str, topic_partition: TopicPartition, below_offset: int, is_everything: bool = False
    ) -> None:
        """Of a producer's batches below this offset, that replica may remember the newest only; or none at all."""
        self._forgot[(name, topic_partition)] = below_offset
        if is_everything:
            self._blank[(name, topic_partition)] = below_offset
            self._is_blank_somewhere[topic_partition] = None

    def after(
        self, machine: Machine, envelope: Envelope | None, world: WorldState, out: Iterable[Envelope] = ()
    ) -> None:
        """Check what `machine` may have changed by receiving `envelope` (None: by whatever came before) and what it
        says to it."""
        if machine.__class__ is not Broker:
            return
        assert isinstance(machine, Broker)
        name = machine.name
        if out and envelope is not None and envelope[4].__class__ is ProduceRequest:
            for sent in out:
                if sent[4].__class__ is ProduceReply and sent[2] == envelope[2] and sent[3] == envelope[3]:
                    self._check_answers(machine, envelope[4], sent[4], world)
        seen_by = self._seen
        deleted = world.controller.image.deleted
        for topic_partition, replica in machine.replicas.items():
            if deleted and topic_partition.topic in deleted:
                continue  # what is known of it is of another topic of that name
            log = replica.log
            seen = seen_by.get((name, topic_partition))
            if seen is None:
                seen = seen_by[(name, topic_partition)] = Seen(f"{name} {topic_partition}")
            has_moved = (
                seen.end_offset != log.log_end_offset
                or seen.high_watermark != log.high_watermark
                or seen.epoch_of_role != replica.partition.leader_epoch
                or (replica.leadership is not None and seen.in_sync_replicas != replica.partition.in_sync_replicas)
            )
            if has_moved:
                self._check_replica(machine, replica, seen, world)
            if self.full and (has_moved or envelope is None or envelope[4].__class__ not in LOOKING):
                log.check_invariants()

    def controller_moved(self, world: WorldState) -> None:
        """Check what new metadata has changed: H12 of everybody whom the controller takes for in sync."""
        log = world.controller.log
        if len(log) == self._metadata_seen:
            return
        changed = [
            record.topic_partition for record in log[self._metadata_seen :] if isinstance(record, PartitionRecord)
        ]
        self._metadata_seen = len(log)
        for topic_partition in dict.fromkeys(changed):
            self._check_members(topic_partition, world)

    def _check_members(self, topic_partition: TopicPartition, world: WorldState) -> None:
        """H12, when the leader has not moved and another has."""
        partition = world.controller.image.partitions.get(topic_partition)
        if partition is None or partition.leader_id not in world.stores:
            return
        leader = world.find_broker(partition.leader_id)
        replica = None if leader is None else leader.replicas.get(topic_partition)
        if leader is not None and replica is not None and replica.leadership is not None:
            self._check_in_sync(f"{leader.name} {topic_partition}", replica, 0, world, is_lost_tail_excused=True)

    def _check_answers(self, broker: Broker, request: ProduceRequest, answer: ProduceReply, world: WorldState) -> None:
        """H14, for a request that is answered at once: the log is still as it was when it was judged."""
        asked = {wanted.topic_partition: wanted.batch for wanted in request.partitions}
        for reply in answer.partitions:
            batch = asked.get(reply.topic_partition)
            if not isinstance(batch, RecordBatch) or batch.producer_id < 0:
                continue
            replica = broker.replicas.get(reply.topic_partition)
            if replica is None or batch.is_transactional:
                continue
            log = replica.log
            end_offset = log.log_end_offset
            if reply.error is not NONE:
                if reply.error.name not in REFUSALS:
                    continue
                said = reply.error.name
            elif reply.base_offset + batch.record_count == end_offset and reply.log_append_time_ms < 0:
                if not self.full:
                    continue  # H2, H3 and H9 would notice
                said, end_offset = ACCEPTED, reply.base_offset
            elif reply.log_append_time_ms >= 0:
                said = f"{DUPLICATE} of {reply.base_offset}"
            else:
                continue
            forgot_below = self._forgot.get((broker.name, reply.topic_partition), 0)
            is_blank = (broker.name, reply.topic_partition) in self._blank
            may_be_unknown = is_blank or log.producer_state.has_expired
            must_begin_at_zero = world.broker_settings.unknown_producer_first_sequence == "zero"
            right = right_answers(log, batch, end_offset, forgot_below, may_be_unknown, must_begin_at_zero)
            if right and said not in right:
                raise world.violation(
                    "H14",
                    f"{broker.name} {reply.topic_partition}: {batch} was answered {said}; by the log up to "
                    f"{end_offset} it is {' or '.join(right)}",
                )

    def _check_replica(self, broker: Broker, replica: Replica, seen: Seen, world: WorldState) -> None:
        log = replica.log
        where = seen.where
        epoch = replica.partition.leader_epoch
        if epoch < seen.epoch_of_role:
            raise world.violation("H8", f"{where}: leader epoch went from {seen.epoch_of_role} back to {epoch}")
        is_leader = replica.leadership is not None
        if is_leader and (not seen.is_leader or epoch != seen.epoch_of_role):
            other = self.leaders.setdefault((replica.topic_partition, epoch), broker.name)
            if other != broker.name:
                raise world.violation("H8", f"{where}: {other} led in epoch {epoch} as well")
            if _was_unclean(replica, self.unclean_orders, world):
                self._declare_loss(replica.topic_partition, epoch)
        if self._lost_tails:
            self._note_lost_tail(broker.name, replica, is_leader)
        same_term = is_leader and seen.is_leader and epoch == seen.epoch_of_role
        if same_term and log.high_watermark < seen.high_watermark:
            raise world.violation(
                "H7", f"{where}: high watermark went from {seen.high_watermark} back to {log.high_watermark}"
            )
        if not log.log_start_offset <= log.high_watermark <= log.log_end_offset:
            raise world.violation(
                "I3",
                f"{where}: log start {log.log_start_offset}, high watermark {log.high_watermark}, "
                f"log end {log.log_end_offset}",
            )
        if log.log_end_offset > seen.end_offset:
            blank_below = self._blank.get((broker.name, replica.topic_partition), 0)
            self._check_new_batches(where, log, seen.end_offset, blank_below, world)
        elif log.log_end_offset < seen.end_offset:
            if world.broker_settings.producer_snapshot_batches == 1:
                self.forgot(broker.name, replica.topic_partition, log.log_end_offset)
            self._check_fold(where, log, world)
            self._check_cut(where, replica, seen, world)
        if log.high_watermark > seen.high_watermark or seen.epoch_of_role != epoch:
            self._check_committed(where, replica, seen, world)
        if is_leader:
            in_sync_replicas = replica.partition.in_sync_replicas
            if in_sync_replicas != seen.in_sync_replicas:
                self._check_in_sync(where, replica, 0, world)
            elif log.high_watermark > seen.high_watermark:
                self._check_in_sync(where, replica, seen.high_watermark, world)
            seen.in_sync_replicas = in_sync_replicas
        elif log.log_end_offset < seen.end_offset or seen.epoch_of_role < 0:
            self._check_members(replica.topic_partition, world)
        seen.end_offset = log.log_end_offset
        seen.high_watermark = log.high_watermark
        seen.epoch_of_role = epoch
        seen.epochs = log.leader_epochs.freeze()
        seen.is_leader = is_leader

    def _note_lost_tail(self, name: str, replica: Replica, is_leader: bool) -> None:
        key = (name, replica.topic_partition)
        was_end_offset = self._lost_tails.get(key)
        if was_end_offset is None:
            return
        committed = self.committed.get(replica.topic_partition)
        if is_leader:
            del self._lost_tails[key]
            if committed is not None and replica.log.log_end_offset < committed.end_offset:
                self._declare_loss(replica.topic_partition, replica.partition.leader_epoch)
        elif replica.log.log_end_offset >= was_end_offset:
            del self._lost_tails[key]

    def _declare_loss(self, topic_partition: TopicPartition, leader_epoch: int) -> None:
        self.losses[topic_partition] = leader_epoch
        self.has_lost[topic_partition] = None

    def _begin_anew(self, replica: Replica, world: WorldState) -> None:
        """After a declared loss: when all replicas are in sync with this leader, its log is the committed one."""
        partition = world.controller.image.partitions[replica.topic_partition]
        epoch = replica.partition.leader_epoch
        if epoch != partition.leader_epoch or epoch < self.losses[replica.topic_partition]:
            return
        if len(partition.in_sync_replicas) < len(partition.replicas):
            return
        del self.losses[replica.topic_partition]
        log = replica.log
        committed = self.committed[replica.topic_partition] = Committed(log.log_start_offset)
        for batch in log.read(log.log_start_offset, log.high_watermark, 2**62):
            self._commit(str(replica.topic_partition), committed, batch, True, world)

    def _check_new_batches(self, where: str, log: Any, from_offset: int, blank_below: int, world: WorldState) -> None:
        batches = log.read(from_offset, log.log_end_offset, 2**62)
        before = log.read(from_offset - 1, from_offset, 1) if from_offset > log.log_start_offset else ()
        leader_epoch = before[0].leader_epoch if before else -1
        for batch in batches:
            if batch.leader_epoch < leader_epoch:
                raise world.violation(
                    "H8", f"{where}: {batch} has leader epoch {batch.leader_epoch} after {leader_epoch}"
                )
            leader_epoch = batch.leader_epoch
        if batches:
            newest = batches[-1]
            if newest.producer_id >= 0 and not newest.is_control and newest.base_offset >= blank_below:
                entry = log.producer_state.find_entry(newest.producer_id)
                known = entry.batches[-1] if entry is not None and entry.batches else None
                idle_ms = world.now_ms - newest.max_timestamp_ms
                if known is None and idle_ms >= log.settings.producer_id_expiration_ms:
                    return  # forgotten for its age, if only when the log was opened
                if known is None or known.last_offset != newest.last_offset or known[2:6] != newest[2:6]:
                    raise world.violation("H10", f"{where}: {newest} is in the log, its producer's memory lacks it")

    def _check_fold(self, where: str, log: Any, world: WorldState) -> None:
        """After a cut: nothing is remembered that the log no longer has."""
        for producer_id, entry in log.producer_state.entries():
            for batch in entry.batches:
                if batch.last_offset >= log.log_end_offset:
                    raise world.violation(
                        "H10",
                        f"{where}: producer {producer_id} is remembered by {batch}, the log ends at "
                        f"{log.log_end_offset}",
                    )

    def _check_cut(self, where: str, replica: Replica, seen: Seen, world: WorldState) -> None:
        """After a cut: the first batch that is gone was not the committed one. One leader epoch has one log, so it was
        when its leader epoch is that of the committed one."""
        committed = self.committed.get(replica.topic_partition)
        end_offset = replica.log.log_end_offset
        position = None if committed is None else committed.index.get(end_offset)
        if committed is None or position is None or replica.topic_partition in self.losses:
            return
        batch = committed.batches[position]
        wrote = [leader_epoch for leader_epoch, start_offset in seen.epochs if start_offset <= end_offset]
        if wrote and wrote[-1] == batch.leader_epoch:
            raise world.violation("H7", f"{where}: the log was cut to {end_offset}, but {batch} is committed")

    def _check_committed(self, where: str, replica: Replica, seen: Seen, world: WorldState) -> None:
        log = replica.log
        is_lost = replica.topic_partition in self.losses
        if is_lost and replica.leadership is not None:
            self._begin_anew(replica, world)
            is_lost = replica.topic_partition in self.losses
        if is_lost:
            return
        committed = self.committed.get(replica.topic_partition)
        if committed is None:
            committed = self.committed[replica.topic_partition] = Committed()
        # What lies below the log's start may be another leader's, never to be cut: nobody is given it any more.
        known_from = max(log.log_start_offset, committed.begin_offset)
        from_offset = max(min(seen.high_watermark, log.high_watermark), known_from)
        for batch in log.read(from_offset, log.high_watermark, 2**62):
            position = committed.index.get(batch.base_offset)
            if position is not None:
                known = committed.batches[position]
                if known is not batch and known != batch:
                    raise world.violation("H7", f"{where}: committed is {known}, this replica has {batch}")
            elif batch.base_offset >= committed.end_offset:
                # What was forgotten, after its time (expiry) or with a spoiled snapshot, can't be recognised any more.
                is_excused = log.producer_state.has_expired or replica.topic_partition in self._is_blank_somewhere
                self._commit(where, committed, batch, is_excused, world)
            else:
                raise world.violation("H7", f"{where}: {batch} lies across what is committed otherwise")

    def _commit(
        self, where: str, committed: Committed, batch: RecordBatch, is_excused: bool, world: WorldState
    ) -> None:
        committed.index[batch.base_offset] = len(committed.batches)
        committed.batches.append(batch)
        committed.end_offset = batch.end_offset
        producer_id = batch.producer_id
        epoch = batch.producer_epoch
        if producer_id < 0 or batch.base_sequence < 0 or epoch < 0:
            return
        identity = (producer_id, epoch, batch.base_sequence)
        first_offset = committed.identities.setdefault(identity, batch.base_offset)
        if first_offset != batch.base_offset and not is_excused:
            raise world.violation("H2", f"{where}: {batch} is in the log at {first_offset} already")
        if first_offset != batch.base_offset:
            committed.identities[identity] = -1  # excused: it stands twice, and either place may be acknowledged
        highest, last_sequence = committed.newest.get(producer_id, (-1, -1))
        if epoch < highest and not is_excused:
            raise world.violation("H9", f"{where}: {batch} stands behind epoch {highest} of its producer")
        if epoch == highest and (batch.base_sequence - last_sequence) & MAX_SEQUENCE > MAX_SEQUENCE // 2:
            if not is_excused:
                raise world.violation("H3", f"{where}: {batch} stands behind sequence {last_sequence} of its producer")
        if epoch >= highest:
            committed.newest[producer_id] = (epoch, batch.last_sequence)

    def _check_in_sync(
        self, where: str, replica: Replica, from_offset: int, world: WorldState, is_lost_tail_excused: bool = False
    ) -> None:
        """H12: members hold what is committed; what lies below `from_offset` was looked at before."""
        topic_partition = replica.topic_partition
        partition = world.controller.image.partitions[topic_partition]
        if partition.leader_epoch != replica.partition.leader_epoch or topic_partition in self.losses:
            return  # a leader of the past: its high watermark binds nobody new
        committed = self.committed.get(topic_partition)
        high_watermark = replica.log.high_watermark
        end_offset = max(high_watermark, 0 if committed is None else committed.end_offset)
        for member in partition.in_sync_replicas:
            broker = world.find_broker(member)
            if broker is None or topic_partition not in broker.replicas or member == partition.leader_id:
                continue
            if is_lost_tail_excused and (broker.name, topic_partition) in self._lost_tails:
                continue
            log = broker.replicas[topic_partition].log
            if log.log_end_offset < end_offset:
                raise world.violation(
                    "H12",
                    f"{where}: committed is what lies below {end_offset}, but in-sync broker-{member} ends at "
                    f"{log.log_end_offset}",
                )
            start = max(from_offset, log.log_start_offset, replica.log.log_start_offset)
            own = [batch for batch in replica.log.read(start, high_watermark, 2**62) if batch.base_offset >= start]
            theirs = [batch for batch in log.read(start, high_watermark, 2**62) if batch.base_offset >= start]
            if own != theirs:
                raise world.violation(
                    "H12",
                    f"{where}: committed from {start} on is {own}, but in-sync broker-{member} has {theirs}",
                )

    def resolved(self, message: SendsResolved, world: WorldState) -> None:
        """H1 and H5: what is acknowledged with an offset stands there in the committed log."""
        if message.error is not NONE or message.base_offset < 0 or message.producer_id < 0:
            return
        if message.topic_partition in self.has_lost or message.topic_partition.topic in world.controller.image.deleted:
            return
        committed = self.committed.get(message.topic_partition)
        end_offset = 0 if committed is None else committed.end_offset
        if end_offset <= message.base_offset:
            raise world.violation(
                "H5",
                f"{message.topic_partition}: acknowledged at {message.base_offset}, committed is what lies below "
                f"{end_offset}",
            )
        if committed is None or message.topic_partition in self._is_blank_somewhere:
            return  # with a spoiled snapshot the batch may stand twice, and the second place be acknowledged
        identity = (message.producer_id, message.producer_epoch, message.base_sequence)
        known = committed.identities.get(identity)
        if known is not None and known not in (-1, message.base_offset):
            raise world.violation(
                "H1", f"{message.topic_partition}: acknowledged at {message.base_offset}, it is at {known}"
            )


def _was_unclean(replica: Replica, orders: dict[TopicPartition, None], world: WorldState) -> bool:
    """Was the leader of this term rightly taken from outside the in-sync and the eligible replicas? O(metadata log).

    By a setting, by an administrator's order, or as the last leader there was, when nobody else could be.
    """
    partition = replica.partition
    if not partition.leader_epoch:
        return False  # the first term of all; a topic may have ten thousand partitions
    leader_id = partition.leader_id
    before: PartitionRecord | None = None
    for record in world.controller.log:
        if isinstance(record, PartitionRecord) and record.topic_partition == partition.topic_partition:
            if record.leader_epoch == partition.leader_epoch:
                break
            before = record
    if before is None or leader_id in (*before.in_sync_replicas, *before.eligible_leader_replicas):
        return False
    known = before.in_sync_replicas or before.eligible_leader_replicas
    return (
        replica.log.settings.unclean_leader_election_enable
        or partition.topic_partition in orders
        or (not known and before.last_known_leader in (-1, leader_id))
    )


__all__ = ["CONTROLLER", "Invariants"]
