"""What a chaos test of real clients lets go wrong at the door: by the event it strikes, and how often that came.

An event is a request of an API to a partition, `Produce orders-0`, or the moment before its answer, `answer: Produce
orders-0`. It is named by that and its n-th time, never by bytes: a client's batches differ from run to run.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from eventlog.cluster import Cluster
from eventlog.errors import ErrorCode, RequestError, RetriableError, UnknownOutcomeError
from eventlog.sim.faults import Deviation
from eventlog.testing.kafka_offers import ANSWER, OFFERS
from eventlog.values import TopicPartition
from eventlog.wire.faults import Choice, Crash, Delay, Disconnect, Error, Fault, Faults, LostReply, LostRequest

if TYPE_CHECKING:
    from eventlog.wire.call import Call, Handler
    from eventlog.wire.connection import ClientConnection

DELAY_MS: Final = 200
RESTART_S: Final = 1.0
"""How long a broker is down; the controller notices its death at once."""
_ANY: Final = Choice(None, count=None, may_be_unused=True)


class PlannedFaults(Fault):
    """Strikes the events of a plan. `applied`: what struck, and whom; `came`: how often each event came."""

    def __init__(self, owner: Faults, deviations: Iterable[Deviation]) -> None:
        super().__init__(owner, _ANY)
        self.came: dict[str, int] = {}
        self.applied: dict[Deviation, str] = {}
        self.plan = tuple(deviations)
        self._waiting = {(known.event, known.occurrence): known for known in self.plan}
        self._due: list[Deviation] = []

    def fits(self, call: Call) -> bool:
        """Count the request's events, and see whether one of them is waited for."""
        if call.api.name not in OFFERS:
            return False
        self._due = []
        for event in events_of(call):
            self.came[event] = self.came.get(event, 0) + 1
            for moment in (event, ANSWER + event):
                known = self._waiting.pop((moment, self.came[event]), None)
                if known is not None:
                    self._due.append(known)
        return bool(self._due)

    async def strike(self, connection: ClientConnection, call: Call, handler: Handler) -> None:
        """One request has one fault: the first that waited for it."""
        known = self._due[0]
        fault = _made(known, self._owner)
        self.struck(call)
        partitions = ", ".join(map(str, call.topic_partitions))
        self.applied[known] = (
            f"{call.api.name} {partitions}".rstrip() + f" of {call.client_id} at broker {call.broker_id}"
        )
        await fault.strike(connection, call, handler)

    @property
    def unused(self) -> tuple[Deviation, ...]:
        """What did not come, or came together with another."""
        return tuple([known for known in self.plan if known not in self.applied])


def events_of(call: Call) -> list[str]:
    """Its events: one for each partition that it is about."""
    return [f"{call.api.name} {each}" for each in call.topic_partitions] or [call.api.name]


def plan_faults(faults: Faults, deviations: Iterable[Deviation]) -> PlannedFaults:
    """Let these go wrong, before anything else that is asked for."""
    planned = PlannedFaults(faults, deviations)
    faults.add(planned)
    return planned


def _made(known: Deviation, owner: Faults) -> Fault:
    """What strikes."""
    name, is_answer = known.fault, known.event.startswith(ANSWER)
    fault: Any
    if name == "crash":
        fault = CrashAfter(owner, _ANY) if is_answer else CrashBefore(owner, _ANY)
    elif name == "clean_restart":
        fault = Stopped(owner, _ANY)
    elif name == "election":
        fault = Elected(owner, _ANY)
        fault.event = known.event.removeprefix(ANSWER)
    elif name == "delay":
        fault = Delay(owner, _ANY)
        fault.by_ms = DELAY_MS
    elif name in ("error_after_append", "append_fails"):
        fault = Error(owner, _ANY)
        fault.apply = name == "error_after_append"
        fault.code = ErrorCode.REQUEST_TIMED_OUT if fault.apply else ErrorCode.KAFKA_STORAGE_ERROR
        fault.in_history = name
    else:
        kinds: dict[str, type[Fault]] = {"reply_lost": LostReply, "request_lost": LostRequest, "disconnect": Disconnect}
        fault = kinds[name](owner, _ANY)
    if isinstance(fault, AtAMoment):
        fault.is_answer = is_answer
    made: Fault = fault
    return made


def restart_later(owner: Faults, broker_id: int) -> None:
    """The broker comes back, unless the run is over by then."""
    door = owner.door

    def restart() -> None:
        if door.cluster._door is door and door.world.find_broker(broker_id) is None:
            owner.restart(broker_id)

    door.loop.call_later(RESTART_S, restart)


class CrashAfter(Crash):
    """The request is done, and its broker dies before it can say so; it comes back."""

    async def strike(self, connection: ClientConnection, call: Call, handler: Handler) -> None:
        await super().strike(connection, call, handler)
        restart_later(self._owner, call.broker_id)


class CrashBefore(Fault):
    """The broker dies with the request in its hands, undone; it comes back."""

    async def strike(self, connection: ClientConnection, call: Call, handler: Handler) -> None:
        self.struck(call)
        self._owner.crash(call.broker_id)
        self._owner.notice(call.broker_id)
        restart_later(self._owner, call.broker_id)


class AtAMoment(Fault):
    """Something happens to the cluster before the request is served, or behind that and before its answer leaves."""

    is_answer = False

    async def strike(self, connection: ClientConnection, call: Call, handler: Handler) -> None:
        self.struck(call)
        if not self.is_answer:
            self._try(call)
        reply = await handler.answer(call)
        if self.is_answer:
            self._try(call)
        if reply is not None:
            await connection.write(call, handler, reply)

    def _try(self, call: Call) -> None:
        # Another fault may have been there before: nobody is left to lead, or to stop.
        with suppress(RequestError, RetriableError, UnknownOutcomeError):
            self.happen(call)

    def happen(self, call: Call) -> None:
        """What happens."""
        raise NotImplementedError


class Stopped(AtAMoment):
    """The broker hands over what it leads, stops in order, and comes back."""

    def happen(self, call: Call) -> None:
        self._owner.door.hand_over(Cluster.stop, self._owner.door.cluster, call.broker_id)
        restart_later(self._owner, call.broker_id)


class Elected(AtAMoment):
    """Another in-sync replica leads the event's partition; where there is none, nothing happens."""

    event = ""

    def happen(self, call: Call) -> None:
        wanted = next(each for each in call.topic_partitions if self.event.endswith(f" {each}"))
        known = self._owner.door.world.controller.image.partitions[TopicPartition(*wanted)]
        others = [member for member in known.in_sync_replicas if member != known.leader_id]
        if others:
            self._owner.move_leader(*wanted, others[0])


def check_events(deviations: Iterable[Deviation]) -> None:
    """Raises RequestError for an event that no run of real clients can have."""
    for known in deviations:
        moment = ANSWER if known.event.startswith(ANSWER) else ""
        api = known.event.removeprefix(ANSWER).partition(" ")[0]
        offered = OFFERS.get(api, {}).get(moment, ())
        if known.fault not in offered:
            can = (
                ", ".join(offered)
                or f"nothing; events begin with {', '.join(OFFERS)}, or {ANSWER!r} before one of them"
            )
            raise RequestError(
                f"{known.fault} can't strike the event {known.event!r} of a real client; there can: {can}"
            )
