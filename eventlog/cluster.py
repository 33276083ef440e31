"""Floor 5: what a user holds. Each method is a line or two into the world.

```python
with Cluster(brokers=3) as cluster, cluster.producer() as producer:
    cluster.create_topic("orders")
    print(producer.send("orders", b"hello").offset)
```

Nothing sleeps. Waiting runs the world, in virtual time, until what is waited for has happened; a cluster nobody waits
for stands still. Faults are called as everywhere else (`eventlog.values.FAULTS`).

Not here: sockets. Every error is one of the five classes of `eventlog.errors`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from types import TracebackType
from typing import Any, Final

from eventlog.check import History, Verdict, judge
from eventlog.check import history as rows
from eventlog.client import ConsumerEngine, ProducerEngine
from eventlog.clients import DEFAULT_WAIT_MS, Consumer, Producer
from eventlog.codec import decode_records
from eventlog.commands import BY_HAND, Commands
from eventlog.errors import (
    ErrorCode,
    FatalError,
    RequestError,
    RetriableError,
    UnknownOutcomeError,
)
from eventlog.messages import CONTROLLER, Connection, Envelope, Machine, broker_name
from eventlog.messages.broker_api import DeleteRecordsRequest
from eventlog.messages.controller_api import (
    AlterTopicRequest,
    CreatePartitionsRequest,
    CreateTopicRequest,
    DeleteTopicRequest,
)
from eventlog.messages.user_api import (
    ConsumedRecord,
    SendRefused,
    SendsResolved,
)
from eventlog.sim.choices import ByHand, Replay, Seeded
from eventlog.sim.faults import Deviation, FaultPlan, fault_plan
from eventlog.sim.invariants import Invariants
from eventlog.sim.literal import run_literal
from eventlog.sim.recorder import Recorder
from eventlog.sim.state import LATENCY_MS
from eventlog.sim.trace import is_of_the_story, ladder, story_actors, trace_digest, trace_lines
from eventlog.sim.world import START_MS, World
from eventlog.values import (
    BrokerSettings,
    ConsumerSettings,
    ProducerSettings,
    TopicPartition,
    TopicSettings,
    __version__,
    check_fault_names,
    with_settings,
)
from eventlog.values.showing import mimebundle

NONE: Final = ErrorCode.NONE


def _as_plan(faults: Iterable[str] | FaultPlan | None) -> FaultPlan | None:
    if faults is None or isinstance(faults, FaultPlan):
        return faults
    names = faults.split(",") if isinstance(faults, str) else faults
    return fault_plan(check_fault_names(tuple(names)))


def _strength(acks: int) -> int:
    return 2 if acks == -1 else acks


class Cluster(Commands):
    """Brokers, a controller and a network in this process.

    `faults` None: a benign world in which only what is asked for goes wrong. A list of names, or a `FaultPlan`: a world
    of chaos whose luck depends on `seed` alone. `deviations` replays a run. Further keywords are broker settings under
    Kafka's names. `checks`: "off", "cheap" (what just moved, at every event) or "full". `latency_ms` is how long every
    message is under way; with `is_coarse`, what concerns the controller, metadata and requests for data come before all
    others.

    Raises RequestError for an impossible setting, InvariantViolation when this library breaks a promise of its own.
    """

    def __init__(
        self,
        brokers: int = 3,
        seed: int = 0,
        faults: Iterable[str] | FaultPlan | None = None,
        deviations: Iterable[tuple[Any, ...]] | None = None,
        checks: str = "cheap",
        record: bool = True,
        latency_ms: int = LATENCY_MS,
        is_coarse: bool = False,
        **settings: Any,
    ) -> None:
        if checks not in ("off", "cheap", "full"):
            raise RequestError(f"checks must be 'off', 'cheap' or 'full', not {checks!r}")
        if isinstance(seed, bool) or not isinstance(seed, int):
            raise RequestError(f"seed must be a whole number, not {seed!r}")
        self._settings = dict(settings)
        plan = _as_plan(faults)
        answerer: Seeded | Replay | None = None
        self._replay: Replay | None = None
        if deviations is not None:
            answerer = self._replay = Replay(tuple([Deviation(*fields) for fields in deviations]))
        elif plan is not None:
            answerer = Seeded(seed, plan)
        self._recorder = Recorder() if record else None
        self._world = World(
            brokers,
            with_settings(BrokerSettings(), self._settings),
            seed,
            answerer,
            self._recorder,
            None if checks == "off" else Invariants(full=checks == "full"),
            latency_ms,
            is_coarse,
        )
        self._world.user_inbox = self._inbox
        self._closed = False
        # Where it listens to clients outside, while it does.
        self._door: Any = None
        self._next_send_number = 0
        self._clients: dict[str, Producer | Consumer] = {}
        self._admin_replies: dict[Connection, Any] = {}
        image = self._world.controller.image
        self.wait_for(
            lambda: all(image.is_alive(broker_id) for broker_id in self._world.stores), "the brokers to start"
        )

    # --- topics, clients ------------------------------------------------------------------------------------------

    def create_topic(self, topic: str, partitions: int = 1, replication_factor: int = -1, **settings: Any) -> None:
        """Make a topic and wait until every broker knows it. `replication_factor` -1: as many as there are, at most 3."""
        if not isinstance(topic, str) or not topic:
            raise RequestError(f"a topic needs a name, not {topic!r}")
        checked = with_settings(TopicSettings(), settings)
        names = [name.replace(".", "_") for name in settings]
        overrides = tuple([(name, getattr(checked, name)) for name in names])
        self._change(CreateTopicRequest(topic, partitions, replication_factor, overrides))

    def create_partitions(self, topic: str, partitions: int) -> None:
        """Let the topic have `partitions` of them from now on, which must be more than before."""
        self._check_topic(topic)
        self._change(CreatePartitionsRequest(topic, partitions))

    def delete_topic(self, topic: str) -> None:
        """Let there be no such topic any more, nor anything that is in it. One of the same name may be made again; of a
        name that was deleted once, the invariants and `check` judge nothing any more."""
        self._check_topic(topic)
        self._change(DeleteTopicRequest(topic))

    def alter_topic(self, topic: str, **settings: Any) -> None:
        """Change a topic's settings; None takes an override back."""
        self._check_topic(topic)
        given = {name: value for name, value in settings.items() if value is not None}
        with_settings(TopicSettings(), given)
        changes = tuple([(name.replace(".", "_"), value) for name, value in settings.items()])
        self._change(AlterTopicRequest(topic, changes))

    def delete_records(self, topic: str, partition: int = 0, before_offset: int = -1) -> int:
        """Move the log's start up to `before_offset` (-1: the high watermark); returns where it begins now."""
        self._check_partition(topic, partition)
        wanted = TopicPartition(topic, partition)
        leader = self.leader(topic, partition)
        if leader < 0:
            raise RetriableError(f"{wanted} has no leader at the moment", ErrorCode.LEADER_NOT_AVAILABLE)
        reply = self._ask(broker_name(leader), DeleteRecordsRequest(((wanted, before_offset),)))
        ((_, error, low_watermark),) = reply.partitions
        if error is not NONE:
            raise RequestError(f"{wanted}: records before {before_offset} can't be deleted ({error.name})", error)
        return int(low_watermark)

    def _change(self, request: Any) -> None:
        """A change of metadata: asked for, and then known to every broker that can be reached."""
        world = self._open_world()
        reply = self._ask(CONTROLLER, request)
        if reply.error is not NONE:
            raise RequestError(reply.error_message, reply.error)
        end_offset = world.controller.image.end_offset
        reachable = [broker for broker in world.brokers() if self._is_reachable(broker.name)]
        self.wait_for(
            lambda: all(broker.image.end_offset >= end_offset for broker in reachable),
            f"topic {request.topic!r} to be known everywhere",
        )

    def _ask(self, server: str, request: Any) -> Any:
        """An administrator's request and its answer. Raises UnknownOutcomeError when none comes."""
        connection = self._open_world().ask(server, request)
        self.wait_for(lambda: connection in self._admin_replies, f"{server} to answer {type(request).__name__}")
        return self._admin_replies.pop(connection)

    def _is_reachable(self, name: str) -> bool:
        world = self._world
        return name not in world.paused and (CONTROLLER, name) not in world.links.cuts

    def producer(self, name: str = "", **settings: Any) -> Producer:
        """A new producer. Settings under Kafka's names; `max_in_flight` and `idempotence` are short for the long ones."""
        world = self._open_world()
        name = name or f"producer-{1 + sum(isinstance(client, Producer) for client in self._clients.values())}"
        checked = with_settings(ProducerSettings(), settings)
        if checked.initial_sequence and world.broker_settings.unknown_producer_first_sequence == "zero":
            raise RequestError(
                f"initial_sequence {checked.initial_sequence} can't be: these brokers take only 0 from a producer they "
                'do not know (unknown_producer_first_sequence="zero")'
            )
        engine = ProducerEngine(name, checked, tuple(world.stores), world.seed)
        producer = Producer(self, engine)
        self._add(engine, producer)
        return producer

    def consumer(self, *partitions: tuple[str, int], name: str = "", **settings: Any) -> Consumer:
        """A new consumer that reads `partitions`, each (topic, partition), from the start unless told otherwise."""
        world = self._open_world()
        name = name or f"consumer-{1 + sum(isinstance(client, Consumer) for client in self._clients.values())}"
        engine = ConsumerEngine(name, with_settings(ConsumerSettings(), settings), tuple(world.stores), world.seed)
        consumer = Consumer(self, engine)
        self._add(engine, consumer)
        return consumer.assign(*partitions) if partitions else consumer

    def _add(self, engine: Machine, client: Producer | Consumer) -> None:
        if engine.name in self._clients or engine.name in self._world.machines:
            raise RequestError(f"there is a client called {engine.name!r} already")
        self._clients[engine.name] = client
        self._world.add(engine)

    # --- time -----------------------------------------------------------------------------------------------------

    @property
    def now_ms(self) -> int:
        """Virtual Unix time."""
        return self._world.now_ms

    @property
    def elapsed_ms(self) -> int:
        """Virtual time since the cluster was made."""
        return self._world.now_ms - START_MS

    def advance(self, by_ms: int) -> None:
        """Let `by_ms` of virtual time pass, with everything that happens in it."""
        if by_ms < 0:
            raise RequestError(f"time goes forward only: by_ms must be 0 or more, not {by_ms}")
        world = self._open_world()
        world.run_until(world.now_ms + by_ms)

    def wait_for(
        self, predicate: Callable[[], bool], what: str = "the condition", timeout_ms: int = DEFAULT_WAIT_MS
    ) -> None:
        """Run the world until `predicate()` is true. Raises UnknownOutcomeError after `timeout_ms` of virtual time, or
        when the world is at rest and nothing more can happen."""
        world = self._open_world()
        until_ms = world.now_ms + timeout_ms
        while not predicate():
            if not world.step(until_ms):
                came = "nothing more happens" if world.next_event_ms() is None else f"{timeout_ms} ms passed"
                raise UnknownOutcomeError(f"waited for {what}, but {came} (at {self.elapsed_ms} ms)")

    @property
    def faults(self) -> Any:
        """What can go wrong at the door (`eventlog.wire.faults.Faults`). Raises RequestError unless it listens."""
        if self._door is None:
            raise RequestError("this cluster doesn't listen; faults at the door need `with eventlog.listen(cluster):`")
        return self._door.faults

    # --- looking --------------------------------------------------------------------------------------------------

    def leader(self, topic: str, partition: int = 0) -> int:
        """The broker that leads, by the controller; -1 when nobody does."""
        self._check_partition(topic, partition)
        return self._world.controller.image.partitions[TopicPartition(topic, partition)].leader_id

    def in_sync_replicas(self, topic: str, partition: int = 0) -> tuple[int, ...]:
        """By the controller."""
        self._check_partition(topic, partition)
        return self._world.controller.image.partitions[TopicPartition(topic, partition)].in_sync_replicas

    def eligible_leader_replicas(self, topic: str, partition: int = 0) -> tuple[int, ...]:
        """Brokers that are not in sync but may lead all the same, by the controller (KIP-966)."""
        self._check_partition(topic, partition)
        return self._world.controller.image.partitions[TopicPartition(topic, partition)].eligible_leader_replicas

    def records(self, topic: str, partition: int | None = None, broker_id: int | None = None) -> list[ConsumedRecord]:
        """What is in the log, straight from a replica: the leader's up to the high watermark, or all of one broker's.

        For every partition in turn when none is named. Looks only: no time passes.
        """
        self._check_topic(topic)
        found: list[ConsumedRecord] = []
        for known in self._world.controller.image.partitions_of(topic):
            if partition is None or known.topic_partition.partition == partition:
                found += self._records_of(known.topic_partition, known.leader_id, broker_id)
        if partition is not None:
            self._check_partition(topic, partition)
        return found

    def _records_of(
        self, topic_partition: TopicPartition, leader_id: int, broker_id: int | None
    ) -> Iterator[ConsumedRecord]:
        if broker_id is not None:
            self._check_broker(broker_id)
        wanted = leader_id if broker_id is None else broker_id
        broker = self._world.find_broker(wanted) if wanted in self._world.stores else None
        replica = None if broker is None else broker.replicas.get(topic_partition)
        if replica is None:
            raise RetriableError(
                f"{topic_partition}: there is no {'leader' if broker_id is None else f'replica on broker {broker_id}'} "
                "to read from at the moment; let time pass (`advance`) or restart a broker",
                ErrorCode.LEADER_NOT_AVAILABLE,
            )
        log = replica.log
        end_offset = log.high_watermark if broker_id is None else log.log_end_offset
        for batch in log.read(log.log_start_offset, end_offset, 2**62):
            if batch.is_control:
                continue
            for index, record in enumerate(decode_records(batch)):
                offset = batch.base_offset + index
                if log.log_start_offset <= offset < end_offset:
                    yield ConsumedRecord(topic_partition, offset, batch.leader_epoch, record)

    # --- judging --------------------------------------------------------------------------------------------------

    @property
    def deviations(self) -> tuple[Deviation, ...]:
        """What went otherwise than in a benign run, so far."""
        return tuple(self._world.deviations)

    @property
    def literal(self) -> str:
        """The run as a Python literal: settings, seed, and the deviations that chance or a replay chose.

        What the caller asked for (`crash`, `lose_next_ack` ...) is not in it: the caller's program repeats that.
        """
        world = self._world
        scenario = {"brokers": len(world.stores), "seed": world.seed, **self._settings}
        asked = world.answerer.taken if isinstance(world.answerer, ByHand) else []
        chosen = [known for known in world.deviations if known.event != BY_HAND and known not in asked]
        return run_literal(scenario, chosen)

    @property
    def recorder(self) -> Recorder:
        """Trace and history. Raises RequestError for a cluster made with record=False."""
        if self._recorder is None:
            raise RequestError("this cluster was made with record=False: nothing was written down")
        return self._recorder

    @property
    def replayed(self) -> Replay | None:
        """The replay of a cluster made with `deviations`: which of them have not applied (yet)."""
        return self._replay

    def history(self, healed: bool = False, literal: str | None = None) -> History:
        """What the checker judges: everything so far, closed with every replica's log as it is now.

        `literal` (default: the cluster's own) is what a reader is told to repeat the run with.
        """
        recorder, world = self.recorder, self._world
        idempotent = [client._engine.settings for client in self._clients.values() if isinstance(client, Producer)]
        first = idempotent[0] if idempotent else ProducerSettings()
        closed = Recorder()
        closed.history.append(
            rows.Run(
                rows.FORMAT,
                __version__,
                "idempotent" if all(settings.enable_idempotence for settings in idempotent) else "plain",
                min([settings.acks for settings in idempotent], key=_strength, default=-1),
                world.broker_settings.min_insync_replicas,
                len(world.stores),
                self.literal if literal is None else literal,
                first.initial_sequence,
                world.broker_settings.producer_snapshot_batches,
                world.broker_settings.unknown_producer_first_sequence,
                first.behaves_like,
                self._is_unclean_allowed(),
            )
        )
        deleted = world.controller.image.deleted
        for row in recorder.history:
            if not deleted or getattr(row, "topic", None) not in deleted:
                closed.history.append(row)
        partitions = world.controller.image.partitions
        for broker in world.brokers():
            for topic_partition, replica in broker.replicas.items():
                if topic_partition.topic in deleted:
                    continue
                is_leader = partitions[topic_partition].leader_id == broker.broker_id and replica.leadership is not None
                closed.log_contents(world.now_ms, broker.broker_id, replica.log, is_leader)
        closed.history.append(rows.End(world.now_ms, healed))
        return closed.history

    def _is_unclean_allowed(self) -> bool:
        world = self._world
        overrides = [dict(topic.settings) for topic in world.controller.image.topics.values()]
        return world.broker_settings.unclean_leader_election_enable or any(
            settings.get("unclean_leader_election_enable") for settings in overrides
        )

    def check(self, heal: bool = True, literal: str | None = None) -> Verdict:
        """Undo every fault, let the cluster recover, and judge all that happened.

        With `heal` False things are judged as they are. The verdict speaks; nothing is raised.
        """
        if heal:
            self.recover()
        return judge(self.history(healed=heal, literal=literal))

    def recover(self, timeout_ms: int = DEFAULT_WAIT_MS) -> None:
        """Undo every fault and run until every send has its end, or `timeout_ms` have passed."""
        world = self._open_world()
        if isinstance(world.answerer, ByHand):
            world.answerer.inner = None
            world.answerer.wanted.clear()
        else:
            world.answerer = None
        world.heal_all()
        until_ms = world.now_ms + timeout_ms
        while not self._has_recovered() and world.step(until_ms):
            pass

    def _has_recovered(self) -> bool:
        world = self._world
        return not world.is_anything_under_way and not world.find_unrecovered()

    def story(self, start: int = 0, end: int | None = None, with_replication: bool = False) -> str:
        """The ladder: a text picture of events `start` to `end`, of those that tell a story."""
        events = [event for event in self.recorder.events[start:end] if is_of_the_story(event[2], with_replication)]
        return ladder(events, story_actors(events), START_MS)

    def trace(self) -> Iterator[str]:
        """Every event as a JSON line."""
        return trace_lines(self.recorder.events)

    def trace_digest(self) -> str:
        """SHA-256 of the trace."""
        return trace_digest(self.recorder.events)

    # --- closing --------------------------------------------------------------------------------------------------

    def close(self) -> None:
        """The cluster is gone; what it recorded stays. Closing twice is no error."""
        self._closed = True

    def __enter__(self) -> Cluster:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        up = len(self._world.brokers())
        return f"<Cluster: {up} of {len(self._world.stores)} brokers up, {self.elapsed_ms} ms>"

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        return mimebundle(self)

    # --- inside ---------------------------------------------------------------------------------------------------

    def _open_world(self) -> World:
        if self._closed:
            raise FatalError("this cluster is closed; make a new one")
        return self._world

    def _inbox(self, envelope: Envelope) -> None:
        message = envelope.message
        client = self._clients.get(envelope.source)
        if isinstance(client, Producer):
            if message.__class__ is SendsResolved:
                client._resolved(message)
            elif isinstance(message, SendRefused):
                client._refused(message)
        elif isinstance(client, Consumer):
            client._polled = message
        else:
            self._admin_replies[envelope.connection] = message

    def _check_broker(self, broker_id: int) -> None:
        self._open_world().find_broker(broker_id)

    def _check_topic(self, topic: str) -> None:
        topics = self._open_world().controller.image.topics
        if topic not in topics:
            known = ", ".join(sorted(topics)) or "none yet"
            raise RequestError(
                f"there is no topic {topic!r}; the topics are: {known}", ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
            )

    def _check_partition(self, topic: str, partition: int) -> None:
        self._check_topic(topic)
        count = len(self._world.controller.image.partitions_of(topic))
        if not 0 <= partition < count:
            raise RequestError(
                f"topic {topic!r} has partitions 0 to {count - 1}, not {partition}",
                ErrorCode.UNKNOWN_TOPIC_OR_PARTITION,
            )
