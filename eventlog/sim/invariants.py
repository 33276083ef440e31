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
| H12 | every in-sync replica has the leader's log below its high watermark |

H4 (no gaps), the rest of H5 (nothing acknowledged is lost), H6 (no dirty read) and H11 (whole batches) need the end of
a run and are judged from its history. When a replica that lost its tail in a crash leads without what was committed,
nobody else could, and H5, H7 and H12 break rightly: `lost_tail` is the excuse from then on.

They keep the committed log of each partition once, as the first high watermark to pass a batch saw it, and hold
everybody to it. Checks read the machines and change nothing: a run is the same with and without them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from eventlog.broker import Broker
from eventlog.broker.replica import Replica
from eventlog.errors import ErrorCode
from eventlog.messages import CONTROLLER, Envelope, Machine
from eventlog.messages.user_api import SendsResolved
from eventlog.values import MAX_SEQUENCE, RecordBatch, TopicPartition

if TYPE_CHECKING:
    from eventlog.sim.world import World

NONE = ErrorCode.NONE


class Seen:
    """A replica as it was when it was last looked at."""

    __slots__ = ("end_offset", "epoch_of_role", "epochs", "high_watermark", "is_leader", "where")

    def __init__(self, where: str) -> None:
        self.where = where
        self.end_offset = 0
        self.high_watermark = 0
        self.epoch_of_role = -1
        # (leader epoch, where it begins) of its log.
        self.epochs: tuple[tuple[int, int], ...] = ()
        self.is_leader = False


class Committed:
    """One partition's committed log, and where each batch of an idempotent producer stands in it."""

    __slots__ = ("batches", "end_offset", "identities", "index", "newest")

    def __init__(self) -> None:
        self.batches: list[RecordBatch] = []
        self.end_offset = 0
        # Base offset -> position in `batches`.
        self.index: dict[int, int] = {}
        self.identities: dict[tuple[int, int, int], int] = {}
        # Producer id -> its highest epoch and the last sequence there.
        self.newest: dict[int, tuple[int, int]] = {}


class Invariants:
    """`full` also compares a replica's whole producer state with its log, at every step."""

    __slots__ = ("_lost_tails", "_seen", "committed", "full", "leaders", "lost_tail")

    def __init__(self, full: bool = False) -> None:
        self.full = full
        self._seen: dict[tuple[str, TopicPartition], Seen] = {}
        self.committed: dict[TopicPartition, Committed] = {}
        self.leaders: dict[tuple[TopicPartition, int], str] = {}
        self.lost_tail = False
        # Where the log ended before its broker's crash took the tail, until it has all of that again.
        self._lost_tails: dict[tuple[str, TopicPartition], int] = {}

    def tail_lost(self, name: str, topic_partition: TopicPartition, was_end_offset: int) -> None:
        """What was not flushed there is gone."""
        known = self._lost_tails.get((name, topic_partition), 0)
        self._lost_tails[(name, topic_partition)] = max(known, was_end_offset)

    def crashed(self, name: str) -> None:
        """What was seen of its replicas no longer binds: a restart begins from the disk."""
        for key in [key for key in self._seen if key[0] == name]:
            del self._seen[key]

    def restarted(self, name: str) -> None:
        """Its replicas are looked at anew when it first moves."""

    def after(self, machine: Machine, envelope: Envelope | None, world: World) -> None:
        """Check what `machine` may have changed by receiving `envelope`; None: by whatever came before."""
        if machine.__class__ is not Broker:
            return
        assert isinstance(machine, Broker)
        name = machine.name
        seen_by = self._seen
        for topic_partition, replica in machine.replicas.items():
            log = replica.log
            seen = seen_by.get((name, topic_partition))
            if seen is None:
                seen = seen_by[(name, topic_partition)] = Seen(f"{name} {topic_partition}")
            if (
                seen.end_offset != log.log_end_offset
                or seen.high_watermark != log.high_watermark
                or seen.epoch_of_role != replica.partition.leader_epoch
            ):
                self._check_replica(machine, replica, seen, world)
            if self.full:
                log.check_invariants()

    def _check_replica(self, broker: Broker, replica: Replica, seen: Seen, world: World) -> None:
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
            self._check_new_batches(where, log, seen.end_offset, world)
        elif log.log_end_offset < seen.end_offset:
            self._check_fold(where, log, world)
            self._check_cut(where, replica, seen, world)
        if log.high_watermark > seen.high_watermark or seen.epoch_of_role != epoch:
            self._check_committed(where, replica, seen, world)
            if is_leader and log.high_watermark > seen.high_watermark:
                self._check_in_sync(where, replica, world)
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
                self.lost_tail = True
        elif replica.log.log_end_offset >= was_end_offset:
            del self._lost_tails[key]

    def _check_new_batches(self, where: str, log: Any, from_offset: int, world: World) -> None:
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
            if newest.producer_id >= 0 and not newest.is_control:
                entry = log.producer_state.find_entry(newest.producer_id)
                if entry is None or not entry.batches or entry.batches[-1] != newest:
                    raise world.violation("H10", f"{where}: {newest} is in the log, its producer's memory lacks it")

    def _check_fold(self, where: str, log: Any, world: World) -> None:
        """After a cut: nothing is remembered that the log no longer has."""
        for producer_id, entry in log.producer_state.entries():
            for batch in entry.batches:
                if batch.last_offset >= log.log_end_offset:
                    raise world.violation(
                        "H10",
                        f"{where}: producer {producer_id} is remembered by {batch}, the log ends at "
                        f"{log.log_end_offset}",
                    )

    def _check_cut(self, where: str, replica: Replica, seen: Seen, world: World) -> None:
        """After a cut: the first batch that is gone was not the committed one. One leader epoch has one log, so it was
        when its leader epoch is that of the committed one."""
        committed = self.committed.get(replica.topic_partition)
        end_offset = replica.log.log_end_offset
        position = None if committed is None else committed.index.get(end_offset)
        if committed is None or position is None or self.lost_tail:
            return
        batch = committed.batches[position]
        wrote = [leader_epoch for leader_epoch, start_offset in seen.epochs if start_offset <= end_offset]
        if wrote and wrote[-1] == batch.leader_epoch:
            raise world.violation("H7", f"{where}: the log was cut to {end_offset}, but {batch} is committed")

    def _check_committed(self, where: str, replica: Replica, seen: Seen, world: World) -> None:
        log = replica.log
        committed = self.committed.get(replica.topic_partition)
        if committed is None:
            committed = self.committed[replica.topic_partition] = Committed()
        from_offset = min(seen.high_watermark, log.high_watermark)
        for batch in log.read(from_offset, log.high_watermark, 2**62):
            position = committed.index.get(batch.base_offset)
            if position is not None:
                known = committed.batches[position]
                if known is not batch and known != batch and not self.lost_tail:
                    raise world.violation("H7", f"{where}: committed is {known}, this replica has {batch}")
            elif batch.base_offset >= committed.end_offset:
                # What was forgotten after its time (expiry) can't be recognised any more.
                is_excused = self.lost_tail or log.producer_state.has_expired
                self._commit(where, committed, batch, is_excused, world)
            elif not self.lost_tail:
                raise world.violation("H7", f"{where}: {batch} lies across what is committed otherwise")

    def _commit(self, where: str, committed: Committed, batch: RecordBatch, is_excused: bool, world: World) -> None:
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
        highest, last_sequence = committed.newest.get(producer_id, (-1, -1))
        if epoch < highest and not is_excused:
            raise world.violation("H9", f"{where}: {batch} stands behind epoch {highest} of its producer")
        if epoch == highest and (batch.base_sequence - last_sequence) & MAX_SEQUENCE > MAX_SEQUENCE // 2:
            if not is_excused:
                raise world.violation("H3", f"{where}: {batch} stands behind sequence {last_sequence} of its producer")
        if epoch >= highest:
            committed.newest[producer_id] = (epoch, batch.last_sequence)

    def _check_in_sync(self, where: str, replica: Replica, world: World) -> None:
        partition = world.controller.image.partitions[replica.topic_partition]
        if partition.leader_epoch != replica.partition.leader_epoch:
            return  # a leader of the past: its high watermark binds nobody new
        high_watermark = replica.log.high_watermark
        for member in partition.in_sync_replicas:
            broker = world.find_broker(member)
            if broker is None or replica.topic_partition not in broker.replicas:
                continue
            log = broker.replicas[replica.topic_partition].log
            if log.log_end_offset < high_watermark and not self.lost_tail:
                raise world.violation(
                    "H12",
                    f"{where}: high watermark {high_watermark}, but in-sync broker-{member} ends at {log.log_end_offset}",
                )

    def resolved(self, message: SendsResolved, world: World) -> None:
        """H1 and H5: what is acknowledged with an offset stands there in the committed log."""
        if message.error is not NONE or message.base_offset < 0 or message.producer_id < 0:
            return
        committed = self.committed.get(message.topic_partition)
        end_offset = 0 if committed is None else committed.end_offset
        if end_offset <= message.base_offset and not self.lost_tail:
            raise world.violation(
                "H5",
                f"{message.topic_partition}: acknowledged at {message.base_offset}, committed is what lies below "
                f"{end_offset}",
            )
        if committed is None:
            return
        identity = (message.producer_id, message.producer_epoch, message.base_sequence)
        known = committed.identities.get(identity)
        if known is not None and known != message.base_offset and not self.lost_tail:
            raise world.violation(
                "H1", f"{message.topic_partition}: acknowledged at {message.base_offset}, it is at {known}"
            )


__all__ = ["CONTROLLER", "Invariants"]
