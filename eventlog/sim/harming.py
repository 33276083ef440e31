"""What users and faults do to machines and links, one method for each thing and one that undoes it."""

from __future__ import annotations

from heapq import heappush
from typing import Any

from eventlog.broker import Broker
from eventlog.broker.leader import Leadership
from eventlog.errors import RequestError
from eventlog.messages import CONTROLLER, NETWORK, NO_CONNECTION, Connection, Envelope, Machine, ShutDown, broker_name
from eventlog.messages.broker_api import DeleteRecordsRequest
from eventlog.messages.controller_api import (
    ElectLeaderRequest,
    ElectLeadersRequest,
    HeartbeatsResumed,
    HeartbeatsStopped,
)
from eventlog.sim.network import ConnectionState
from eventlog.sim.recovery import find_unrecovered
from eventlog.sim.state import ADMIN, FaultEnd, WorldState
from eventlog.storage import MemoryStores
from eventlog.values import TopicPartition


def _with_a_flipped_bit(data: bytes) -> bytes:
    middle = len(data) // 2
    return data[:middle] + bytes((data[middle] ^ 1,)) + data[middle + 1 :]


class Harming(WorldState):
    """Faults as methods: no chance here, and no names of faults."""

    __slots__ = ()

    # --- processes ------------------------------------------------------------------------------------------------

    def crash(self, broker_id: int, losing_tail: bool = False, wiping: bool = False) -> None:
        """The process dies; its disk stays, with `losing_tail` without what was not flushed, with `wiping` empty.

        No-op when it is down.
        """
        broker = self.find_broker(broker_id)
        if broker is None:
            return
        name = broker.name
        if self.invariants is not None:
            self.invariants.crashed(name)
        self.paused.pop(name, None)
        # By name: whoever began a connection first makes no difference.
        for connection in sorted([c for c in self.connections if name in (c.client, c.server)]):
            del self.connections[connection]
            other = connection.client if connection.server == name else connection.server
            self._tell_disconnected(other, connection)
        self.stopping.pop(name, None)
        if name in self.stuck:
            self.stuck[name].clear()
        lost = self._end_process(broker_id, losing_tail, wiping)
        for topic_partition, from_offset, to_offset in lost:
            if self.recorder is not None:
                self.recorder.tail_lost(self.now_ms, broker_id, topic_partition, from_offset, to_offset)
            if self.invariants is not None:
                self.invariants.tail_lost(name, topic_partition, to_offset)
        self._update_heartbeats()

    def _end_process(self, broker_id: int, losing_tail: bool, wiping: bool) -> list[tuple[TopicPartition, int, int]]:
        """What is left of a broker is its disk; what its disk loses as (partition, from offset, to offset)."""
        self.machines[broker_name(broker_id)] = None
        if not wiping:
            return self.stores[broker_id].lose_unflushed_tails() if losing_tail else []
        lost = [
            (topic_partition, store.read_checkpoint("log_start_offset", 0), store.end_offset)
            for topic_partition, store in self.stores[broker_id].logs.items()
            if store.end_offset
        ]
        self.stores[broker_id] = MemoryStores()
        return lost

    def _new_process(self, broker_id: int) -> Machine:
        """A broker's process over its disk, not yet started."""
        # A process is known by a number that never comes twice, however soon it dies again.
        incarnation = self.event_number
        return Broker(broker_id, incarnation, self.broker_settings, self.stores[broker_id])

    def restart(self, broker_id: int) -> None:
        """A new process over the same disk. No-op when it runs."""
        if self.find_broker(broker_id) is not None:
            return
        self.add(self._new_process(broker_id))
        self._update_heartbeats()
        if self.broker_settings.producer_snapshot_batches == 1:
            self._note_forgetting(broker_id, "restart")

    def _note_forgetting(self, broker_id: int, why: str) -> None:
        """What this broker's next process remembers of producers is less than its log says."""
        for topic_partition, store in self.stores[broker_id].logs.items():
            if store.end_offset:
                if self.recorder is not None:
                    self.recorder.forgot(self.now_ms, broker_id, topic_partition, why, (), store.end_offset)
                if self.invariants is not None:
                    is_everything = why == "snapshot"
                    self.invariants.forgot(broker_name(broker_id), topic_partition, store.end_offset, is_everything)

    def shut_down(self, broker_id: int, for_ms: int = -1) -> None:
        """Ask the process to come to its orderly end, and start it again `for_ms` after that; -1: never."""
        broker = self.find_broker(broker_id)
        if broker is not None and broker.name not in self.stopping:
            self.stopping[broker.name] = for_ms
            self.schedule(self.now_ms, Envelope(NETWORK, broker.name, NO_CONNECTION, 0, ShutDown()))

    def stop(self, name: str) -> None:
        """The process has come to its orderly end. No-op when it died before that."""
        for_ms = self.stopping.get(name)
        if for_ms is None:
            return
        self.crash(int(name.removeprefix("broker-")))
        if for_ms >= 0:
            self.schedule(self.now_ms + for_ms, FaultEnd("restart", (name,)))

    def spoil_snapshots(self, broker_id: int, how: str) -> None:
        """Of a broker that is down: its newest snapshots are `lost`, `corrupt`, or all but the oldest are (`old`)."""
        for store in self.stores[broker_id].logs.values():
            offsets = store.snapshot_offsets()
            if not offsets:
                continue
            if how == "corrupt":
                store.write_snapshot(offsets[-1], _with_a_flipped_bit(store.read_snapshot(offsets[-1])))
                continue
            for offset in offsets[1:] if how == "old" else offsets[-1:]:
                store.delete_snapshot(offset)
        self._note_forgetting(broker_id, "snapshot")

    def pause(self, name: str) -> None:
        """The machine stands still: nothing reaches it, its timers don't run out."""
        self._check_name(name)
        if name not in self.paused and self.machines[name] is not None:
            self.paused[name] = []
            self._update_heartbeats()

    def resume(self, name: str) -> None:
        """It goes on where it stood, with all that arrived meanwhile."""
        for order, item in self.paused.pop(name, ()):
            heappush(self._queue, (self.now_ms, order, item))  # in front of what is sent from now on
        self._find_timer()
        self._update_heartbeats()

    # --- links ----------------------------------------------------------------------------------------------------

    def cut(self, first: str, second: str) -> None:
        """Nothing passes between the two, in both directions."""
        self.cut_one_way(first, second)
        self.cut_one_way(second, first)

    def heal(self, first: str, second: str) -> None:
        """Undo one `cut` of the two."""
        self.heal_one_way(first, second)
        self.heal_one_way(second, first)

    def cut_one_way(self, source: str, destination: str) -> None:
        """Nothing passes from `source` to `destination`."""
        self._check_name(source)
        self._check_name(destination)
        self.links.cut(source, destination)
        self._update_heartbeats()

    def heal_one_way(self, source: str, destination: str) -> None:
        """Undo one cut in this direction; what it held arrives now."""
        for order, item in self.links.heal(source, destination):
            heappush(self._queue, (self.now_ms, order, item))
        self._update_heartbeats()

    def heal_all(self) -> None:
        """Undo every fault: links heal, brokers restart and go on, nobody is slow."""
        for source, destination in list(self.links.cuts):
            while (source, destination) in self.links.cuts:
                self.heal_one_way(source, destination)
        for name in list(self.paused):
            self.resume(name)
        self.slow.clear()
        for name in list(self.stuck):
            self.unstick(name)
        for name in self.stopping:  # it stops all the same, and comes back at once
            self.stopping[name] = 0
        for broker_id in self.stores:
            self.restart(broker_id)
        self._queue = [entry for entry in self._queue if entry[2].__class__ is not FaultEnd or entry[2].what == "stop"]
        self._queue.sort()

    def find_unrecovered(self) -> list[str]:
        """What keeps the world from being whole, one sentence each (see `recovery`); none when it is."""
        return find_unrecovered(self)

    def isolate(self, name: str) -> None:
        """Cut a broker (or the controller) off from the controller and the other brokers; clients still reach it."""
        for other in self._peers(name):
            self.cut(name, other)

    def rejoin(self, name: str) -> None:
        """Undo one `isolate`."""
        for other in self._peers(name):
            self.heal(name, other)

    def _peers(self, name: str) -> list[str]:
        return [other for other in (CONTROLLER, *map(broker_name, self.stores)) if other != name]

    def split(self, groups: str) -> None:
        """Cut two groups off from each other, written like `1,2|3+controller`; clients reach both."""
        for first, second in self._pairs(groups):
            self.cut(first, second)

    def unite(self, groups: str) -> None:
        """Undo one `split`."""
        for first, second in self._pairs(groups):
            self.heal(first, second)

    def _pairs(self, groups: str) -> list[tuple[str, str]]:
        sides: list[list[str]] = []
        for side in groups.split("|"):
            brokers, _, controller = side.partition("+")
            names = [broker_name(int(number)) for number in brokers.split(",") if number]
            sides.append([*names, CONTROLLER] if controller else names)
        if len(sides) != 2:
            raise RequestError(f"a split has two groups, like '1,2|3+controller', not {groups!r}")
        return [(first, second) for first in sides[0] for second in sides[1]]

    def stick(self, name: str) -> None:
        """The broker fetches nothing any more."""
        self._check_name(name)
        self.stuck.setdefault(name, [])

    def unstick(self, name: str) -> None:
        """It fetches again."""
        for envelope in self.stuck.pop(name, ()):
            self._send(envelope)

    # --- what administrators ask for ------------------------------------------------------------------------------

    def find_partition(self, topic_partition: str) -> TopicPartition | None:
        """The partition that is written so."""
        return next((known for known in self.controller.image.partitions if str(known) == topic_partition), None)

    def find_leadership(self, topic_partition: TopicPartition) -> Leadership | None:
        """The term of the leader that the controller knows, if that broker runs and knows of it."""
        broker = self._find_leader(topic_partition)
        return None if broker is None else broker.replicas[topic_partition].leadership

    def _find_leader(self, topic_partition: TopicPartition) -> Broker | None:
        leader_id = self.controller.image.partitions[topic_partition].leader_id
        broker = self.find_broker(leader_id) if leader_id in self.stores else None
        if broker is None or broker.name in self.paused or topic_partition not in broker.replicas:
            return None
        return broker

    def elect(self, topic_partition: str, broker_id: int) -> None:
        """Ask the controller for another leader of `topic-partition`."""
        known = self.find_partition(topic_partition)
        if known is not None:
            self.ask(CONTROLLER, ElectLeaderRequest(known, broker_id))

    def elect_unclean(self, topic_partition: str) -> None:
        """Ask the controller for any leader at all, though it lacks what is committed; no-op where somebody leads."""
        known = self.find_partition(topic_partition)
        if known is not None:
            self.ask(CONTROLLER, ElectLeadersRequest(known, True))

    def propose_without(self, topic_partition: str, broker_id: int) -> None:
        """Let the leader propose in-sync replicas without that follower."""
        known = self.find_partition(topic_partition)
        leadership = None if known is None else self.find_leadership(known)
        if known is not None and leadership is not None:
            kept = tuple([member for member in leadership.in_sync_replicas if member != broker_id])
            self._propose(known, kept)

    def propose_with(self, topic_partition: str, broker_id: int) -> None:
        """Let the leader propose in-sync replicas with that follower, if it may join."""
        known = self.find_partition(topic_partition)
        leadership = None if known is None else self.find_leadership(known)
        if known is not None and leadership is not None:
            expanded = leadership.find_expansion(broker_id, self.controller.image)
            if expanded is not None:
                self._propose(known, expanded)

    def _propose(self, topic_partition: TopicPartition, wished: tuple[int, ...]) -> None:
        leader = self._find_leader(topic_partition)
        assert leader is not None
        replica = leader.replicas[topic_partition]
        if replica.leadership is not None and replica.leadership.wished_in_sync_replicas is None:
            self._send(leader.wish_in_sync_replicas(replica, replica.leadership, wished))

    def delete_records(self, topic_partition: str) -> None:
        """Ask the leader to delete all that is below the high watermark."""
        known = self.find_partition(topic_partition)
        leader = None if known is None else self._find_leader(known)
        if known is not None and leader is not None:
            self.ask(leader.name, DeleteRecordsRequest(((known, -1),)))

    def ask(self, server: str, request: Any) -> Connection:
        """An administrator's request; the answer goes to the user's inbox on the connection returned."""
        if isinstance(request, ElectLeadersRequest) and request.is_unclean and self.invariants is not None:
            self.invariants.unclean_orders[request.topic_partition] = None
        connection = Connection(ADMIN, server, "admin", self.event_number)
        while connection in self.connections:
            connection = connection._replace(number=connection.number + 1)
        self.connections[connection] = ConnectionState()
        envelope = Envelope(ADMIN, server, connection, 0, request)
        if server in self.paused:
            self.schedule(self.now_ms, envelope)
        else:
            machine = self.machines[server]
            assert machine is not None
            self._receive_watching(machine, envelope)
        return connection

    def break_connection(self, connection: Connection) -> None:
        """It breaks: what is under way is lost in both directions, and both ends notice."""
        if self.connections.pop(connection, None) is not None:
            self._tell_disconnected(connection.client, connection)
            self._tell_disconnected(connection.server, connection)

    def _update_heartbeats(self) -> None:
        """Tell the controller of brokers that fell silent or are heard again."""
        for broker_id, was_heard in self._heard.items():
            name = broker_name(broker_id)
            is_heard = (
                self.machines[name] is not None
                and name not in self.paused
                and (name, CONTROLLER) not in self.links.cuts
            )
            if is_heard != was_heard:
                self._heard[broker_id] = is_heard
                news = HeartbeatsResumed(broker_id) if is_heard else HeartbeatsStopped(broker_id)
                self.schedule(self.now_ms + self.latency_ms, Envelope(NETWORK, CONTROLLER, NO_CONNECTION, 0, news))
