"""The door: sockets on one side, the world on the other, one asyncio loop between them.

The loop's thread owns the world; nothing else touches it. A request becomes an envelope of the machine `Visitors`, which
stands in the world for all clients outside; the answer comes back to it. Between two requests the world is brought up to
the clock, and the loop sleeps until its next deadline.
"""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from eventlog.cluster import Cluster
from eventlog.controller.topics import MAX_NEW_PARTITIONS
from eventlog.errors import RequestError
from eventlog.messages import (
    NO_CONNECTION,
    CloseConnection,
    Connection,
    Envelope,
    broker_name,
)
from eventlog.messages.metadata_image import MetadataImage
from eventlog.sim.world import World
from eventlog.values import TopicPartition
from eventlog.wire.call import Call
from eventlog.wire.connection import ClientConnection
from eventlog.wire.faults import Faults
from eventlog.wire.handing import hand_over, take_back
from eventlog.wire.primitives import Writer
from eventlog.wire.recording import CLUSTER, Called, Moved, Recording, Request, Told
from eventlog.wire.sightings import Sightings
from eventlog.wire.visitors import VISITORS, Say, Sleep, Visitors

if TYPE_CHECKING:
    from eventlog.wire.groups import Shard

LOOPBACK: Final = "127.0.0.1"
EVERYWHERE: Final = "0.0.0.0"
MAX_FRAME_BYTES: Final = 104_857_600
"""Kafka's `socket.request.max.bytes`."""
BACKLOG: Final = 1024
RETRY_S: Final = 1.0
"""When no socket can be had, clients wait so long in the backlog."""
SETTLE_S: Final = 0.002
"""A manual clock jumps when nothing has come in for this long."""
CLOCKS: Final = ("wall", "manual")


class Door:
    """A cluster's listeners, one for each broker. Made by `serve` and `listen`."""

    def __init__(
        self,
        cluster: Cluster,
        *,
        port: int = 0,
        host: str = LOOPBACK,
        clock: str = "wall",
        creates_topics: bool = True,
        default_partitions: int = 1,
        max_frame_bytes: int = MAX_FRAME_BYTES,
        record: bool = True,
        kept_requests: int = 0,
        begins_at_ms: int | None = None,
    ) -> None:
        if clock not in CLOCKS:
            raise RequestError(f"clock must be 'wall' or 'manual', not {clock!r}")
        if not 1 <= default_partitions <= MAX_NEW_PARTITIONS:
            raise RequestError(f"default_partitions must be from 1 to {MAX_NEW_PARTITIONS}, not {default_partitions}")
        self.cluster = cluster
        self.host = host
        self.clock = clock
        self.creates_topics = creates_topics
        self.default_partitions = default_partitions
        self.max_frame_bytes = max_frame_bytes
        # The time, in Unix milliseconds, to which the world is brought first. None: the present.
        self.begins_at_ms = begins_at_ms
        world: World = cluster._world
        self.world = world
        self.cluster_id = f"eventlog-{world.seed:013d}"
        self.ports: dict[int, int] = {
            broker_id: port + index if port else 0 for index, broker_id in enumerate(world.stores)
        }
        self._names = {broker_id: broker_name(broker_id) for broker_id in self.ports}
        self.connections: dict[Connection, ClientConnection] = {}
        self.visitors = Visitors(self._broken)
        self._listeners: dict[int, socket.socket] = {}
        # Ports of brokers that are down: nobody listens, and nobody else gets them.
        self._bound: dict[int, socket.socket] = {}
        self._joining: dict[asyncio.Task[Any], None] = {}
        # Why clients could not be let in, and how often.
        self.refused: dict[str, int] = {}
        # What was read of the groups' offsets, by partition of their topic.
        self.shards: dict[TopicPartition, Shard] = {}
        self.failure: Exception | None = None
        self.faults = Faults(self)
        self.recording = Recording() if record else None
        # Without a recording, so many of the latest requests are kept all the same.
        self._requests: list[Request] | deque[Request] | None = deque(maxlen=kept_requests) if kept_requests else None
        if self.recording is not None:
            self._requests = self.recording.requests
        # What the checker judges clients by.
        self.sightings = Sightings(world.recorder) if record and world.recorder is not None else None
        self._next_connection = 0
        self._next_correlation_id = 0
        self._ahead_ms = 0
        self._began_ms = 0
        self._began_s = 0.0
        self._wake: asyncio.TimerHandle | None = None
        self._wake_at_ms = -1
        self._waiting: list[tuple[Callable[[], bool], asyncio.Future[None]]] = []
        self._is_open = False
        self._is_calling = False
        self.loop: asyncio.AbstractEventLoop
        self.thread_id = 0

    # --- opening and closing --------------------------------------------------------------------------------------

    async def open(self) -> None:
        """Bring the world's clock to the present, and listen."""
        world = self.world
        if VISITORS in world.machines:
            raise RequestError("this cluster listens already")
        self.loop = asyncio.get_running_loop()
        self.thread_id = threading.get_ident()
        self._began_s = time.monotonic()
        self._began_ms = int(time.time() * 1000) if self.begins_at_ms is None else self.begins_at_ms
        # Between clients outside and the brokers there is a real network, which takes its own time.
        world.latency_ms = 0
        world.run_until(self._began_ms)
        if self.recording is not None:
            self.recording.opened_ms = world.now_ms
        world.add(self.visitors)
        self._is_open = True
        hand_over(self.cluster, self)
        for broker_id in self.ports:
            if world.find_broker(broker_id) is not None:
                self._listen(broker_id)
        self.bring_up_to_date()

    async def close(self) -> None:
        """End every connection. Closing twice is no error."""
        if not self._is_open:
            return
        self._is_open = False
        take_back(self.cluster)
        if self.recording is not None:
            self.recording.closed_ms = self.world.now_ms
        if self._wake is not None:
            self._wake.cancel()
        for broker_id in self.ports:
            self._stop_listening(broker_id)
        for listener in self._bound.values():
            listener.close()
        await asyncio.gather(*self._joining, return_exceptions=True)
        ending = [connection.task for connection in self.connections.values()]
        for connection in list(self.connections.values()):
            connection.abort()
        await asyncio.gather(*ending, return_exceptions=True)
        await asyncio.sleep(0)  # transports tell of their end in the loop's next turn
        for _, future in self._waiting:
            future.cancel()
        world = self.world
        for way in [way for way in world.connections if way.client == VISITORS]:
            del world.connections[way]
        world.machines.pop(VISITORS, None)

    def _listen(self, broker_id: int) -> None:
        listener = self._bound.pop(broker_id, None) or self._bind(broker_id)
        listener.listen(BACKLOG)
        self._listeners[broker_id] = listener
        self.loop.add_reader(listener.fileno(), self._accept, broker_id, listener)

    def _bind(self, broker_id: int) -> socket.socket:
        # With the protocol named, asyncio turns Nagle's algorithm off for what is accepted: an answer must not wait 40 ms.
        listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        listener.setblocking(False)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((self.host, self.ports[broker_id]))
        except OSError as why:
            listener.close()
            raise RequestError(f"broker {broker_id} can't listen at port {self.ports[broker_id]}: {why}") from why
        self.ports[broker_id] = listener.getsockname()[1]
        return listener

    def _accept(self, broker_id: int, listener: socket.socket) -> None:
        for _ in range(BACKLOG):
            try:
                accepted, _ = listener.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as why:  # too many open files: those who are connected go on
                self._refuse(why)
                self.loop.remove_reader(listener.fileno())  # or the loop would come here again at once
                self.loop.call_later(RETRY_S, self._listen_again, broker_id, listener)
                return
            accepted.setblocking(False)
            task = self.loop.create_task(self._join(broker_id, accepted))
            self._joining[task] = None
            task.add_done_callback(self._joining.pop)

    def _listen_again(self, broker_id: int, listener: socket.socket) -> None:
        if self._listeners.get(broker_id) is listener:
            self.loop.add_reader(listener.fileno(), self._accept, broker_id, listener)

    async def _join(self, broker_id: int, accepted: socket.socket) -> None:
        """Let a client in. What fails here fails for him alone."""
        new_connection = partial(ClientConnection, self, broker_id, self._new_way(broker_id))
        try:
            await self.loop.connect_accepted_socket(new_connection, accepted)
        except OSError as why:  # he has left already
            self._refuse(why)
            accepted.close()
        except Exception as why:
            self.fail(why)
            accepted.close()

    def _refuse(self, why: OSError) -> None:
        self.refused[str(why)] = self.refused.get(str(why), 0) + 1

    def _stop_listening(self, broker_id: int, keeps_port: bool = False) -> None:
        """Refuse connections from now on, and end those there are; with `keeps_port` nobody else gets the port."""
        listener = self._listeners.pop(broker_id, None)
        if listener is not None:
            self.loop.remove_reader(listener.fileno())
            listener.close()
        for connection in list(self.connections.values()):
            if connection.broker_id == broker_id:
                connection.abort()
        if keeps_port:
            self._bound[broker_id] = self._bind(broker_id)

    def _new_way(self, broker_id: int) -> Connection:
        self._next_connection += 1
        return Connection(VISITORS, broker_name(broker_id), "wire", self._next_connection)

    # --- where it listens -----------------------------------------------------------------------------------------

    @property
    def bootstrap(self) -> str:
        """All addresses, as `bootstrap.servers` takes them."""
        return ",".join([f"{host}:{port}" for host, port in map(self.endpoint, self.ports)])

    def endpoint(self, broker_id: int) -> tuple[str, int]:
        """Where a broker listens, or did before it went down."""
        return (LOOPBACK if self.host == EVERYWHERE else self.host, self.ports[broker_id])

    def write_endpoints(self, broker_ids: list[int]) -> Writer:
        """An array of node endpoints, as answers carry it in a tagged field."""
        writer = Writer(True)
        known = [broker_id for broker_id in dict.fromkeys(broker_ids) if broker_id in self.ports]
        writer.length(len(known))
        for broker_id in known:
            host, port = self.endpoint(broker_id)
            writer.int32(broker_id)
            writer.string(host)
            writer.int32(port)
            writer.nullable_string(None)
            writer.no_tags()
        return writer

    def image_of(self, broker_id: int) -> MetadataImage:
        """What this broker knows of topics and brokers; the controller's own knowledge while it is down."""
        broker = self.world.find_broker(broker_id)
        return self.world.controller.image if broker is None else broker.image

    # --- the world ------------------------------------------------------------------------------------------------

    async def ask(self, way: Connection, message: Any) -> Any:
        """Send `message` on `way` and wait for its answer. Raises ConnectionError when the way breaks before."""
        self._next_correlation_id += 1
        key = (way, self._next_correlation_id)
        answer = self.visitors.answers[key] = self.loop.create_future()
        try:
            self._say(way, message)
            return await answer
        finally:
            self.visitors.answers.pop(key, None)
            state = self.world.connections.get(way)
            if state is not None:
                state.served.clear()  # nobody asks again what this answered, and a batch is large

    def tell(self, way: Connection, message: Any) -> None:
        """Send `message` on `way`; there is no answer (acks=0)."""
        self._next_correlation_id += 1
        self._say(way, message)

    def _say(self, way: Connection, message: Any) -> None:
        self._to_visitors(Say(Envelope(VISITORS, way.server, way, self._next_correlation_id, message)))

    def wait_ms(self, at_most_ms: int) -> int:
        """How long one who asked to wait `at_most_ms` waits in vain: down to three quarters of it, so that those who wait
        are woken together. Who comes again at once waits nearly all of it from then on. By a manual clock: all of it."""
        step_ms = at_most_ms // 4
        if self.clock == "manual" or step_ms <= 1:
            return at_most_ms
        return at_most_ms - (self._clock_ms() + at_most_ms) % step_ms

    def _to_visitors(self, message: Say | Sleep) -> None:
        world, now_ms = self.world, self._clock_ms()
        world.run_until(now_ms)
        if self.recording is not None:
            self.recording.entries.append(Told(now_ms, message))
        world.inject(Envelope("user", VISITORS, NO_CONNECTION, 0, message))
        self.bring_up_to_date(now_ms)

    async def sleep(self, for_ms: int) -> None:
        """Come back when so much of the world's time has passed."""
        self._next_correlation_id += 1
        name = f"sleep {self._next_correlation_id}"
        sleeper = self.visitors.sleepers[name] = self.loop.create_future()
        self._to_visitors(Sleep(name, for_ms))
        await sleeper

    def leave(self, connection: ClientConnection) -> None:
        """A client's socket is closed."""
        way = connection.way
        self.connections.pop(way, None)
        if not self._is_open:
            return
        for each in [
            known for known in self.world.connections if known.client == VISITORS and known.number == way.number
        ]:
            self._to_visitors(Say(Envelope(VISITORS, each.server, each, 0, CloseConnection())))
        self.bring_up_to_date()

    def _broken(self, way: Connection) -> None:
        """The world says that a connection is gone."""
        for key in [key for key in self.visitors.answers if key[0] == way]:
            answer = self.visitors.answers.pop(key)
            if not answer.done():
                answer.set_exception(ConnectionResetError(f"{way.server} ended the connection"))
        connection = self.connections.get(way)
        if connection is not None:
            connection.abort()

    def note(self, call: Call) -> None:
        """A request was read."""
        if self._requests is not None:
            now_ms, number = self._clock_ms(), call.way.number
            name, version, asked = call.api.name, call.version, call.asked
            request = Request(now_ms, number, call.broker_id, name, version, call.client_id, call.correlation_id, asked)
            self._requests.append(request)
            if self.sightings is not None:
                self.sightings.asked(call, now_ms)

    @property
    def requests(self) -> list[Request]:
        """Every request so far, decoded. Raises RequestError for a door made with record=False."""
        if self._requests is None:
            raise RequestError("this door was made with record=False: no request was written down")
        return list(self._requests)

    def fail(self, why: Exception) -> None:
        """Something broke that never should: the first is kept, and raised when the door closes."""
        self.failure = self.failure or why

    # --- time -----------------------------------------------------------------------------------------------------

    def _clock_ms(self) -> int:
        """What the clock says; never less than the world has seen."""
        if self.clock == "manual":
            return self.world.now_ms
        wall_ms = self._began_ms + int((time.monotonic() - self._began_s) * 1000)
        return max(self.world.now_ms, wall_ms + self._ahead_ms)

    def _catch_up(self) -> None:
        self.world.run_until(self._clock_ms())

    def bring_up_to_date(self, now_ms: int = -1) -> None:
        """Let everything happen that is due, notice which brokers came or went, and sleep until the next deadline.

        `now_ms` spares a look at the clock."""
        if not self._is_open or self._is_calling:
            return
        world = self.world
        world.run_until(self._clock_ms() if now_ms < 0 else now_ms)
        for broker_id, name in self._names.items():
            is_up = world.machines[name] is not None
            if is_up and broker_id not in self._listeners:
                self._listen(broker_id)
            elif not is_up and broker_id in self._listeners:
                self._stop_listening(broker_id, keeps_port=True)
        if self._waiting:
            self._release()
        next_ms = world.next_event_ms()
        if self.clock == "manual" and not self.visitors.is_anybody_waiting:
            next_ms = None  # nobody waits: time stands still
        if next_ms == self._wake_at_ms and self._wake is not None and self.clock == "wall":
            return
        if self._wake is not None:
            self._wake.cancel()
            self._wake = None
        if next_ms is None:
            return
        self._wake_at_ms = next_ms
        wait_s = SETTLE_S if self.clock == "manual" else max(0.0, (next_ms - self._clock_ms()) / 1000)
        self._wake = self.loop.call_later(wait_s, self._woken)

    def _woken(self) -> None:
        self._wake = None
        if self.clock == "manual":
            next_ms = self.world.next_event_ms()
            if next_ms is not None and self.visitors.is_anybody_waiting:
                self.world.run_until(next_ms)
        self.bring_up_to_date()

    # --- for the test ---------------------------------------------------------------------------------------------

    def hand_over(self, function: Callable[..., Any], *arguments: Any, **keywords: Any) -> Any:
        """`call` from whatever thread: the loop's own, or another, which waits for the result."""
        if threading.get_ident() == self.thread_id:
            return self.call(function, *arguments, **keywords)

        async def in_loop() -> Any:
            return self.call(function, *arguments, **keywords)

        return asyncio.run_coroutine_threadsafe(in_loop(), self.loop).result()

    def call(self, function: Callable[..., Any], *arguments: Any, **keywords: Any) -> Any:
        """Call something that moves the world, in the loop's thread. What time it takes there is added to the clock."""
        if self._is_calling:
            return function(*arguments, **keywords)
        self._catch_up()
        self._note_call(function, arguments, keywords)
        self._is_calling = True
        try:
            return function(*arguments, **keywords)
        finally:
            self._is_calling = False
            if self.recording is not None and function is Cluster.wait_for:
                self.recording.entries.append(Moved(self.world.now_ms, self.world.event_number))
            if self.clock == "wall":
                wall_ms = self._began_ms + int((time.monotonic() - self._began_s) * 1000)
                self._ahead_ms = max(self._ahead_ms, self.world.now_ms - wall_ms)
            self.bring_up_to_date()

    def _note_call(self, function: Callable[..., Any], arguments: tuple[Any, ...], keywords: dict[str, Any]) -> None:
        """Methods that change something are repeated in a replay; who only looks leaves no trace."""
        if self.recording is None or not arguments or function is Cluster.wait_for:
            return
        owner, *rest = arguments
        name = CLUSTER if isinstance(owner, Cluster) else getattr(owner, "name", "")
        if name:
            called = Called(self.world.now_ms, name, function.__name__, tuple(rest), keywords)
            self.recording.entries.append(called)

    def check(self) -> None:
        """Raises what broke while it was open, or RequestError when a fault never struck."""
        if self.failure is not None:
            raise self.failure
        self.faults.check_used()

    async def wait_until(self, predicate: Callable[[], bool]) -> None:
        """Come back when `predicate()` is true; it is asked after everything that happens, and only looks."""
        future: asyncio.Future[None] = self.loop.create_future()
        self._waiting.append((predicate, future))
        self._release()
        await future

    def _release(self) -> None:
        """Let those go on whose predicate has come true."""
        is_calling, self._is_calling = self._is_calling, True
        still_waiting = []
        for predicate, future in self._waiting:
            try:
                if future.done():
                    continue
                if predicate():
                    future.set_result(None)
                else:
                    still_waiting.append((predicate, future))
            except Exception as why:
                future.set_exception(why)
        self._waiting = still_waiting
        self._is_calling = is_calling
