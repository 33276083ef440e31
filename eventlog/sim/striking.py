"""What each fault does to the world: tables from its name to a function, and what happens when it is over.

`AT_DELIVERY`: faults of one delivery, or of the connection it comes on. `ON_MACHINES`: faults of machines and links, on
the target that the deviation names. `ENDS`: what a fault left to happen later.
"""

from __future__ import annotations

from collections.abc import Callable
from heapq import heapify, heappush
from typing import TYPE_CHECKING

from eventlog.errors import ErrorCode, RequestError
from eventlog.messages import CONTROLLER, Connection, Disconnected, Envelope, broker_name
from eventlog.messages.broker_api import ProducePartitionReply
from eventlog.sim.faults import Deviation
from eventlog.sim.network import ConnectionState
from eventlog.sim.state import LATENCY_MS, FaultEnd

if TYPE_CHECKING:
    from eventlog.sim.world import World

NONE = ErrorCode.NONE
AtDelivery = Callable[["World", Deviation, Envelope, ConnectionState, int], bool]
OnMachines = Callable[["World", str, int], None]


# --- deliveries -------------------------------------------------------------------------------------------------------
# Each says whether the delivery does not take place now.


def _lose_request(world: World, deviation: Deviation, envelope: Envelope, state: ConnectionState, order: int) -> bool:
    state.requests_lost = True
    state.is_plain = False
    return True


def _lose_reply(world: World, deviation: Deviation, envelope: Envelope, state: ConnectionState, order: int) -> bool:
    state.replies_lost = True
    state.is_plain = False
    return True


def _delay(world: World, deviation: Deviation, envelope: Envelope, state: ConnectionState, order: int) -> bool:
    not_before_ms = world.now_ms + deviation.duration_ms
    if envelope.source == envelope.connection.client:
        state.requests_not_before_ms = not_before_ms
    else:
        state.replies_not_before_ms = not_before_ms
    state.is_plain = False
    # When it is delivered after all it will be asked about again, as the next occurrence.
    heappush(world._queue, (not_before_ms, order, envelope))
    return True


def _disconnect(world: World, deviation: Deviation, envelope: Envelope, state: ConnectionState, order: int) -> bool:
    world.break_connection(envelope.connection)
    return True


def _time_out(world: World, deviation: Deviation, envelope: Envelope, state: ConnectionState, order: int) -> bool:
    machine = world.machines[envelope.connection.client]
    assert machine is not None
    world._run_out(world.now_ms, machine, f"request {envelope.connection.server}")
    return state.is_closed


def _fail_append(world: World, deviation: Deviation, envelope: Envelope, state: ConnectionState, order: int) -> bool:
    # Answered in its turn, when the requests before it are done: see `World._serve`.
    state.failing = (*state.failing, envelope.correlation_id)
    state.is_plain = False
    return False


def _answer_error(world: World, deviation: Deviation, envelope: Envelope, state: ConnectionState, order: int) -> bool:
    error = ErrorCode[deviation.target.partition(":")[2]]
    replies = tuple(
        [
            ProducePartitionReply(reply.topic_partition, error) if reply.error is NONE else reply
            for reply in envelope.message.partitions
        ]
    )
    machine = world.machines[envelope.destination]
    assert machine is not None
    world._receive(machine, envelope._replace(message=envelope.message._replace(partitions=replies)))
    return True


def _duplicate_request(
    world: World, deviation: Deviation, envelope: Envelope, state: ConnectionState, order: int
) -> bool:
    # As from a connection that its client has given up: what was sent on it is read, and nobody hears the answer.
    ghost = Connection(envelope.source, envelope.destination, "copy", world._order)
    given_up = world.connections[ghost] = ConnectionState()
    given_up.is_closed = True
    given_up.is_plain = False
    at_ms = world.now_ms + deviation.duration_ms
    world.schedule(at_ms, envelope._replace(connection=ghost, correlation_id=0))
    world.schedule(at_ms, Envelope(envelope.source, envelope.destination, ghost, -1, Disconnected()))
    return False


def _duplicate_reply(
    world: World, deviation: Deviation, envelope: Envelope, state: ConnectionState, order: int
) -> bool:
    world.schedule(world.now_ms + world.latency_ms, envelope)
    return False


def find_next_request(world: World, envelope: Envelope) -> int:
    """Where in the queue the request that follows `envelope` on its connection is; -1 when it was not sent yet."""
    for index, (_, _, item) in enumerate(world._queue):
        if (
            item.__class__ is Envelope
            and item.connection == envelope.connection
            and item.source == envelope.source
            and item.correlation_id == envelope.correlation_id + 1
        ):
            return index
    return -1


def _reorder_requests(
    world: World, deviation: Deviation, envelope: Envelope, state: ConnectionState, order: int
) -> bool:
    index = find_next_request(world, envelope)
    at_ms, next_order, following = world._queue[index]
    world._queue[index] = (at_ms, next_order, envelope)
    heapify(world._queue)
    heappush(world._queue, (world.now_ms, order, following))
    state.awaited_answer = envelope.correlation_id
    state.is_plain = False
    return True


AT_DELIVERY: dict[str, AtDelivery] = {
    "request_lost": _lose_request,
    "reply_lost": _lose_reply,
    "delay": _delay,
    "disconnect": _disconnect,
    "client_timeout": _time_out,
    "append_fails": _fail_append,
    "error_after_append": _answer_error,
    "request_duplicated": _duplicate_request,
    "reply_duplicated": _duplicate_reply,
    "request_reordered": _reorder_requests,
}


def strike_delivery(world: World, deviation: Deviation, envelope: Envelope, state: ConnectionState, order: int) -> bool:
    """A fault at a delivery; True when the delivery does not take place now."""
    at_delivery = AT_DELIVERY.get(deviation.fault)
    if at_delivery is not None:
        return at_delivery(world, deviation, envelope, state, order)
    strike(world, deviation)
    if world.is_coarse:
        # What the controller says to it comes first; then this is asked about again, as the next occurrence.
        heappush(world._queue, (world.now_ms, order, envelope))
        return True
    link = (envelope.source, envelope.destination)
    if world.links.cuts and link in world.links.cuts:
        world.links.held[link].append((order, envelope))
        return True
    if envelope.destination in world.paused:
        world.paused[envelope.destination].append((order, envelope))
        return True
    return world.connections.get(envelope.connection) is not state


# --- machines and links -----------------------------------------------------------------------------------------------


def _broker_id(name: str) -> int:
    return int(name.removeprefix("broker-"))


def _end_later(world: World, what: str, targets: tuple[str, ...], duration_ms: int) -> None:
    if duration_ms >= 0:
        world.schedule(world.now_ms + duration_ms, FaultEnd(what, targets))


def _crash(world: World, target: str, duration_ms: int) -> None:
    world.crash(_broker_id(target))
    _end_later(world, "restart", (target,), duration_ms)


def _crash_losing_tail(world: World, target: str, duration_ms: int) -> None:
    world.crash(_broker_id(target), losing_tail=True)
    _end_later(world, "restart", (target,), duration_ms)


def _crash_wiped(world: World, target: str, duration_ms: int) -> None:
    world.crash(_broker_id(target), wiping=True)
    _end_later(world, "restart", (target,), duration_ms)


def _spoil_snapshots(how: str) -> OnMachines:
    def strike(world: World, target: str, duration_ms: int) -> None:
        world.crash(_broker_id(target))
        world.spoil_snapshots(_broker_id(target), how)
        _end_later(world, "restart", (target,), duration_ms)

    return strike


def _power_cut(world: World, target: str, duration_ms: int) -> None:
    names = tuple([broker.name for broker in world.brokers()])
    for name in names:
        world.crash(_broker_id(name))
    _end_later(world, "restart", names, duration_ms)


def _clean_restart(world: World, target: str, duration_ms: int) -> None:
    world.shut_down(_broker_id(target), duration_ms)


def _pause(world: World, target: str, duration_ms: int) -> None:
    world.pause(target)
    _end_later(world, "resume", (target,), duration_ms)


def _cut(world: World, target: str, duration_ms: int) -> None:
    first, second = target.split("<>")
    world.cut(first, second)
    _end_later(world, "heal", (first, second), duration_ms)


def _cut_one_way(world: World, target: str, duration_ms: int) -> None:
    source, destination = target.split(">")
    world.cut_one_way(source, destination)
    _end_later(world, "heal one way", (source, destination), duration_ms)


def _isolate(world: World, target: str, duration_ms: int) -> None:
    world.isolate(target)
    _end_later(world, "rejoin", (target,), duration_ms)


def _metadata_delay(world: World, target: str, duration_ms: int) -> None:
    _cut_one_way(world, f"{CONTROLLER}>{target}", duration_ms)


def _split(world: World, target: str, duration_ms: int) -> None:
    world.split(target)
    _end_later(world, "unite", (target,), duration_ms)


def _slow_follower(world: World, target: str, duration_ms: int) -> None:
    world.slow[target] = world.slow.get(target, 0) + 1
    _end_later(world, "speed up", (target,), duration_ms)


def _stuck_fetcher(world: World, target: str, duration_ms: int) -> None:
    world.stick(target)
    _end_later(world, "unstick", (target,), duration_ms)


def _election(world: World, target: str, duration_ms: int) -> None:
    topic_partition, leader = target.split(">")
    world.elect(topic_partition, _broker_id(leader))


def _isr_shrink(world: World, target: str, duration_ms: int) -> None:
    topic_partition, member = target.split(">")
    world.propose_without(topic_partition, _broker_id(member))


def _isr_expand(world: World, target: str, duration_ms: int) -> None:
    topic_partition, member = target.split(">")
    world.propose_with(topic_partition, _broker_id(member))


def _unclean_election(world: World, target: str, duration_ms: int) -> None:
    topic_partition, _ = target.split(">")
    for known, partition in world.controller.image.partitions.items():
        if str(known) == topic_partition:
            for member in partition.in_sync_replicas:
                if world.find_broker(member) is not None:
                    world.crash(member)
                    _end_later(world, "restart", (broker_name(member),), duration_ms)
    # Nobody leads once the last of their sessions is over.
    wait_ms = world.broker_settings.broker_session_timeout_ms + 10 * LATENCY_MS
    world.schedule(world.now_ms + wait_ms, FaultEnd("elect", (target,)))


def _log_start_moved(world: World, target: str, duration_ms: int) -> None:
    world.delete_records(target)


ON_MACHINES: dict[str, OnMachines] = {
    "crash": _crash,
    "crash_losing_tail": _crash_losing_tail,
    "crash_wiped": _crash_wiped,
    "snapshot_lost": _spoil_snapshots("lost"),
    "snapshot_old": _spoil_snapshots("old"),
    "snapshot_corrupt": _spoil_snapshots("corrupt"),
    "power_cut": _power_cut,
    "clean_restart": _clean_restart,
    "pause": _pause,
    "controller_paused": _pause,
    "cut": _cut,
    "cut_one_way": _cut_one_way,
    "clog": _cut_one_way,
    "metadata_delay": _metadata_delay,
    "isolate": _isolate,
    "controller_isolated": _isolate,
    "split": _split,
    "slow_follower": _slow_follower,
    "stuck_fetcher": _stuck_fetcher,
    "election": _election,
    "isr_shrink": _isr_shrink,
    "isr_expand": _isr_expand,
    "unclean_election": _unclean_election,
    "log_start_moved": _log_start_moved,
}


def strike(world: World, deviation: Deviation) -> None:
    """A fault of machines and links, on its target. Raises RequestError for a fault of deliveries."""
    on_machines = ON_MACHINES.get(deviation.fault)
    if on_machines is None:
        raise RequestError(f"fault {deviation.fault!r} strikes a delivery, not a machine")
    on_machines(world, deviation.target, deviation.duration_ms)


# --- their ends -------------------------------------------------------------------------------------------------------


def _restart(world: World, targets: tuple[str, ...]) -> None:
    for target in targets:
        world.restart(_broker_id(target))


def _elect_unclean(world: World, targets: tuple[str, ...]) -> None:
    world.elect_unclean(targets[0].split(">")[0])


def _speed_up(world: World, targets: tuple[str, ...]) -> None:
    left = world.slow.pop(targets[0], 1) - 1
    if left > 0:
        world.slow[targets[0]] = left


ENDS: dict[str, Callable[[World, tuple[str, ...]], None]] = {
    "restart": _restart,
    "stop": lambda world, targets: world.stop(targets[0]),
    "resume": lambda world, targets: world.resume(targets[0]),
    "heal": lambda world, targets: world.heal(*targets),
    "heal one way": lambda world, targets: world.heal_one_way(*targets),
    "rejoin": lambda world, targets: world.rejoin(targets[0]),
    "unite": lambda world, targets: world.unite(targets[0]),
    "speed up": _speed_up,
    "unstick": lambda world, targets: world.unstick(targets[0]),
    "elect": _elect_unclean,
}


def end_fault(world: World, end: FaultEnd) -> None:
    """What a fault left to happen later happens now."""
    ENDS[end.what](world, end.targets)
    if world.recorder is not None:
        world.recorder.fault_ended(world.event_number, world.now_ms, end.what, end.targets)
