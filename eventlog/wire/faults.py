"""What a test lets go wrong between a client and its broker, on purpose and by name.

Each fault is a handle: `hits` counts how often it struck, `wait(n)` comes back when it did so `n` times, `remove()` ends
it. Of several that fit a request the oldest strikes. One that never struck is an error at the end: a test that means
nothing must not pass.

Where an answer is lost, the connection breaks: a client never sees an answer skipped. With `hang` it stays open and silent
instead, until the client's own time is over (30 s and more by its defaults).
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, Final, TypeVar

from eventlog.check.history import Fault as FaultRow
from eventlog.cluster import Cluster
from eventlog.errors import ErrorCode, RequestError, UnknownOutcomeError
from eventlog.values import TopicPartition
from eventlog.values.chance import chance
from eventlog.wire.call import Call, Handler
from eventlog.wire.versions import APIS

if TYPE_CHECKING:
    from eventlog.wire.connection import ClientConnection
    from eventlog.wire.door import Door

WAIT_S: Final = 30.0
_CERTAIN: Final = 2**64
_NAMES: Final = {api.name: api for api in APIS.values()}


@dataclass(frozen=True, slots=True)
class Choice:
    """Whose requests are struck. None: anybody's. `count` None: every time. `probability` and `seed`: by chance."""

    api: str | None = None
    broker: int | None = None
    topic: str | None = None
    partition: int | None = None
    client_id: str | None = None
    count: int | None = 1
    when: Callable[[Call], bool] | None = None
    probability: float = 1.0
    seed: int = 0
    may_be_unused: bool = False

    def __post_init__(self) -> None:
        if self.api is not None and self.api not in _NAMES:
            raise RequestError(f"there is no API {self.api!r} at this door; there are {', '.join(_NAMES)}")
        if self.count is not None and self.count < 1:
            raise RequestError(f"count must be 1 or more, or None for every time, not {self.count}")
        if not 0 <= self.probability <= 1:
            raise RequestError(f"probability must be from 0 to 1, not {self.probability}")

    def fits(self, call: Call) -> bool:
        """Chance aside, is this one of them?"""
        return (
            self.api in (None, call.api.name)
            and self.broker in (None, call.broker_id)
            and self.client_id in (None, call.client_id)
            and (self.topic is None or any(self._is_meant(wanted) for wanted in call.topic_partitions))
            and (self.when is None or self.when(call))
        )

    def _is_meant(self, wanted: TopicPartition) -> bool:
        return wanted.topic == self.topic and self.partition in (None, wanted.partition)

    def __str__(self) -> str:
        where = [
            f"{name}={getattr(self, name)!r}"
            for name in ("broker", "topic", "partition", "client_id")
            if getattr(self, name) is not None
        ]
        return " ".join([self.api or "any request", *where])


class Fault:
    """Strikes requests that fit. Made by the methods of `Faults`. `in_history`: what the checker calls it."""

    in_history = ""

    def __init__(self, owner: Faults, choice: Choice) -> None:
        self.choice = choice
        self.left = choice.count
        self.hits = 0
        self._owner = owner
        self._threshold = int(choice.probability * _CERTAIN)
        self._seen: dict[str, int] = {}
        self._struck = threading.Condition()

    def fits(self, call: Call) -> bool:
        """Does it strike this request? Where chance decides, each request is asked for once."""
        if self.left == 0 or not self.choice.fits(call):
            return False
        if self._threshold == _CERTAIN:
            return True
        # By what is asked and how often it was: one more request elsewhere changes nothing here.
        name = f"{call.api.name} {call.client_id} {','.join(map(str, call.topic_partitions))}"
        occurrence = self._seen[name] = self._seen.get(name, 0) + 1
        return chance(self.choice.seed, f"{name} {occurrence}") < self._threshold

    def struck(self, call: Call) -> None:
        """It struck once more; the history tells of it."""
        if self.left is not None:
            self.left -= 1
        recorder = call.door.world.recorder
        if recorder is not None and self.in_history:
            about = ",".join(map(str, call.topic_partitions))
            target, event = f"{call.broker}>{call.client_id}", f"at the door: {call.api.name} {about}".rstrip()
            recorder.history.append(FaultRow(call.door.world.now_ms, self.in_history, target, event, -1))
        with self._struck:
            self.hits += 1
            self._struck.notify_all()

    def wait(self, hits: int = 1, timeout_s: float = WAIT_S) -> None:
        """Come back when it has struck `hits` times. Raises UnknownOutcomeError when that takes too long."""
        self._owner.check_not_in_loop("await fault.reached(n)")
        with self._struck:
            if not self._struck.wait_for(lambda: self.hits >= hits, timeout_s):
                raise UnknownOutcomeError(f"{self!r}: waited {timeout_s} s for it to strike {hits} times")

    async def reached(self, hits: int = 1, timeout_s: float = WAIT_S) -> None:
        """`wait` inside the loop that serves."""
        await asyncio.wait_for(self._owner.door.wait_until(lambda: self.hits >= hits), timeout_s)

    def remove(self) -> None:
        """It strikes no more."""
        self.left = 0
        self._owner.forget(self)

    async def strike(self, connection: ClientConnection, call: Call, handler: Handler) -> None:
        """Let it happen to this request, in place of the ordinary course."""
        raise NotImplementedError

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {self.choice}: {self.hits} hits>"


Kind = TypeVar("Kind", bound=Fault)


class LostReply(Fault):
    """The request is done; its answer never arrives."""

    in_history = "reply_lost"
    hang = False

    async def strike(self, connection: ClientConnection, call: Call, handler: Handler) -> None:
        await handler.answer(call)
        self.struck(call)
        await _break_off(connection, self.hang, "its answer was lost on purpose")


class LostRequest(Fault):
    """The request never arrives."""

    in_history = "request_lost"
    hang = False

    async def strike(self, connection: ClientConnection, call: Call, handler: Handler) -> None:
        self.struck(call)
        await _break_off(connection, self.hang, "its request was lost on purpose")


async def _break_off(connection: ClientConnection, hang: bool, why: str) -> None:
    if hang:
        await connection.fall_silent()
    else:
        connection.end(why)
        await connection.fall_silent()


class Delay(Fault):
    """The answer comes `by_ms` later."""

    in_history = "delay"
    by_ms = 0

    async def strike(self, connection: ClientConnection, call: Call, handler: Handler) -> None:
        reply = await handler.answer(call)
        self.struck(call)
        await call.door.sleep(self.by_ms)
        if reply is not None:
            await connection.write(call, handler, reply)


class Hold(Fault):
    """The answer (or, with `before`, the request) waits at the door until `release()`."""

    in_history = "delay"
    before = False

    def __init__(self, owner: Faults, choice: Choice) -> None:
        super().__init__(owner, choice)
        self._released = asyncio.Event()

    async def strike(self, connection: ClientConnection, call: Call, handler: Handler) -> None:
        if self.before:
            self.struck(call)
            await self._released.wait()
        reply = await handler.answer(call)
        if not self.before:
            self.struck(call)
            await self._released.wait()
        if reply is not None:
            await connection.write(call, handler, reply)

    def release(self) -> None:
        """Let everything go that waits, and whatever comes."""
        self.left = 0
        self._owner.run_in_loop(self._released.set)

    def remove(self) -> None:
        super().remove()
        self.release()


class Error(Fault):
    """The answer is `code`; with `apply`, after the request was done all the same."""

    code = ErrorCode.UNKNOWN_SERVER_ERROR
    apply = False

    async def strike(self, connection: ClientConnection, call: Call, handler: Handler) -> None:
        if self.apply:
            await handler.answer(call)
        self.struck(call)
        await connection.write(call, handler, handler.refuse(call, self.code))


class Disconnect(Fault):
    """The connection ends `before` the request is done, `after`, or in the `middle` of the answer's frame."""

    in_history = "disconnect"
    at = "after"

    async def strike(self, connection: ClientConnection, call: Call, handler: Handler) -> None:
        reply = None
        if self.at != "before":
            reply = await handler.answer(call)
        self.struck(call)
        if self.at == "middle" and reply is not None:
            whole = b"".join(connection.frame(call, handler, reply))
            connection.send_torn(whole[: len(whole) // 2])
        await _break_off(connection, False, "ended on purpose")


class Duplicate(Fault):
    """The request is done twice; the client gets the first answer."""

    in_history = "request_duplicated"

    async def strike(self, connection: ClientConnection, call: Call, handler: Handler) -> None:
        reply = await handler.answer(call)
        await handler.answer(call)
        self.struck(call)
        if reply is not None:
            await connection.write(call, handler, reply)


class Crash(Fault):
    """The request is done, and then its broker dies before it can say so.

    The clock jumps to where the controller has noticed, so that nobody waits for the session to run out.
    """

    async def strike(self, connection: ClientConnection, call: Call, handler: Handler) -> None:
        await handler.answer(call)
        self.struck(call)
        self._owner.crash(call.broker_id)
        self._owner.notice(call.broker_id)


class Shrunk:
    """A follower that was cut off and is out of sync. `remove()` lets it come back."""

    def __init__(self, door: Door, broker_id: int) -> None:
        self._door = door
        self._broker_id = broker_id

    def remove(self) -> None:
        self._door.hand_over(Cluster.rejoin, self._door.cluster, self._broker_id)


class Faults:
    """Everything that is to go wrong at a door. Whose requests are struck is said by the keywords of `Choice`."""

    def __init__(self, door: Door) -> None:
        self.door = door
        self.all: list[Fault] = []
        self._active: list[Fault] = []

    # --- what can go wrong ----------------------------------------------------------------------------------------

    def lose_reply(self, api: str | None = "Produce", *, hang: bool = False, **whose: Any) -> LostReply:
        """The request is done and its answer is lost: the connection breaks, or stays silent with `hang`."""
        fault = self._add(LostReply, api, whose)
        fault.hang = hang
        return fault

    def lose_request(self, api: str | None = "Produce", *, hang: bool = False, **whose: Any) -> LostRequest:
        """The request is lost: the connection breaks, or stays silent with `hang`."""
        fault = self._add(LostRequest, api, whose)
        fault.hang = hang
        return fault

    def delay(self, by_ms: int, api: str | None = "Produce", **whose: Any) -> Delay:
        """The answer is late."""
        fault = self._add(Delay, api, whose)
        fault.by_ms = by_ms
        return fault

    def hold(self, api: str | None = "Produce", *, before: bool = False, **whose: Any) -> Hold:
        """The answer waits for `release()`; with `before`, the request does."""
        fault = self._add(Hold, api, whose)
        fault.before = before
        return fault

    def error(self, code: int | str, api: str | None = "Produce", *, apply: bool = False, **whose: Any) -> Error:
        """The answer is an error, by number or name; with `apply` the request is done before."""
        known = _error_code(code)
        fault = self._add(Error, api, whose)
        fault.code, fault.apply = known, apply
        fault.in_history = "error_after_append" if apply else ""
        return fault

    def disconnect(self, at: str = "after", api: str | None = "Produce", **whose: Any) -> Disconnect:
        """The connection ends `before` or `after` the request is done, or in the `middle` of its answer."""
        if at not in ("before", "after", "middle"):
            raise RequestError(f"a connection ends 'before', 'after' or in the 'middle', not {at!r}")
        fault = self._add(Disconnect, api, whose)
        fault.at = at
        return fault

    def duplicate(self, api: str | None = "Produce", **whose: Any) -> Duplicate:
        """The request is done twice."""
        return self._add(Duplicate, api, whose)

    def crash_after(self, api: str | None = "Produce", **whose: Any) -> Crash:
        """The broker dies when it has done the request, before its answer; others lead from then on."""
        return self._add(Crash, api, whose)

    def crash(self, broker_id: int, **how: Any) -> None:
        """The broker dies, and its listener with it. Others lead when its session has run out, or after `notice`."""
        self.door.hand_over(Cluster.crash, self.door.cluster, broker_id, **how)

    def notice(self, broker_id: int) -> None:
        """Let the controller notice that the broker is dead: the clock jumps to where its session has run out."""
        image = self.door.world.controller.image
        what = f"the controller to notice that broker {broker_id} is dead"
        self.door.hand_over(Cluster.wait_for, self.door.cluster, lambda: not image.is_alive(broker_id), what)

    def restart(self, broker_id: int) -> None:
        """It comes back at the same port."""
        self.door.hand_over(Cluster.restart, self.door.cluster, broker_id)

    def move_leader(self, topic: str, partition: int, broker_id: int) -> None:
        """Another in-sync replica leads."""
        self.door.hand_over(Cluster.elect, self.door.cluster, topic, partition, broker_id)

    def shrink_in_sync_replicas(self, topic: str, partition: int, without_broker_id: int) -> Shrunk:
        """A follower is cut off from controller and brokers, and so no longer in sync with anything, until the handle is
        removed. The clock jumps to where its session has run out."""
        name = f"{TopicPartition(topic, partition)}"
        cluster = self.door.cluster
        in_sync_replicas, leader_id = cluster.in_sync_replicas(topic, partition), cluster.leader(topic, partition)
        if without_broker_id == leader_id or without_broker_id not in in_sync_replicas:
            instead = f"{leader_id} leads, in sync are {in_sync_replicas}"
            raise RequestError(f"{name}: broker {without_broker_id} is no follower in sync; {instead}")
        self.door.hand_over(Cluster.isolate, cluster, without_broker_id)
        known = self.door.world.controller.image.partitions
        wanted = TopicPartition(topic, partition)
        self.door.hand_over(
            Cluster.wait_for,
            cluster,
            lambda: without_broker_id not in known[wanted].in_sync_replicas,
            f"broker {without_broker_id} to be out of sync",
        )
        return Shrunk(self.door, without_broker_id)

    # --- inside ---------------------------------------------------------------------------------------------------

    def _add(self, kind: type[Kind], api: str | None, whose: dict[str, Any]) -> Kind:
        known = [field.name for field in fields(Choice)]
        for name in whose:
            if name not in known:
                raise RequestError(f"{name!r} chooses no request; these do: {', '.join(known)}")
        fault = kind(self, Choice(api, **whose))
        self.add(fault)
        return fault

    def add(self, fault: Fault) -> None:
        """A fault of one's own kind, behind those there are."""
        self.all.append(fault)
        self._active = [*self._active, fault]

    def find(self, call: Call) -> Fault | None:
        """The fault that strikes this request."""
        for fault in self._active:
            if fault.fits(call):
                return fault
        return None

    def forget(self, fault: Fault) -> None:
        self._active = [known for known in self._active if known is not fault]

    def clear(self) -> None:
        """Remove all, and forget them."""
        for fault in list(self._active):
            fault.remove()
        self.all = []

    def check_used(self) -> None:
        """Raises RequestError when a fault never struck."""
        unused = [fault for fault in self.all if not fault.hits and not fault.choice.may_be_unused]
        if unused:
            named = ", ".join(map(repr, unused))
            raise RequestError(f"never struck: {named}. Say may_be_unused=True where that is meant to be possible.")

    def run_in_loop(self, function: Callable[[], None]) -> None:
        self.door.loop.call_soon_threadsafe(function)

    def check_not_in_loop(self, instead: str) -> None:
        """Raises RequestError in the thread that serves: who blocks there waits for himself."""
        if threading.get_ident() == self.door.thread_id:
            raise RequestError(f"this blocks the loop that serves; use {instead}")


def _error_code(code: int | str) -> ErrorCode:
    try:
        return ErrorCode[code] if isinstance(code, str) else ErrorCode(code)
    except (KeyError, ValueError):
        raise RequestError(f"there is no error {code!r}; there are {', '.join(ErrorCode.__members__)}") from None
