"""What the pytest fixtures `eventlog_kafka`, a fresh cluster, and `eventlog_kafka_session`, one for all tests, give.

    def test_my_service(eventlog_kafka):
        service = Service(bootstrap_servers=eventlog_kafka.bootstrap)
        eventlog_kafka.faults.lose_reply("Produce")

How it is made: `@pytest.mark.eventlog_kafka(brokers=1, min_insync_replicas=1)`; keywords are those of `Cluster`, and
`door={...}` those of `Door`. Tests of the session's cluster keep apart by `topic()`, a name that no other test has.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from eventlog.cluster import Cluster
from eventlog.wire.client_verdict import ClientsVerdict
from eventlog.wire.door import Door
from eventlog.wire.faults import Faults
from eventlog.wire.judging import judge_clients
from eventlog.wire.listening import listen
from eventlog.wire.recorders import Journal

BROKERS = 3


class EventlogKafka:
    """What a test gets: `cluster`, `bootstrap` (as `bootstrap.servers` takes it) and `faults`; `record` and `judge`."""

    __slots__ = ("_topics", "cluster", "door", "journal")

    def __init__(self, door: Door) -> None:
        self.door = door
        self.cluster: Cluster = door.cluster
        self.journal = Journal(door)
        self._topics = 0

    @property
    def bootstrap(self) -> str:
        """All addresses, separated by commas."""
        return self.door.bootstrap

    @property
    def faults(self) -> Faults:
        """What is to go wrong."""
        return self.door.faults

    def topic(self, name: str = "topic", partitions: int = 1, **settings: Any) -> str:
        """Make a topic that no other test has, and return its name."""
        self._topics += 1
        unique = f"{name}-{self._topics}"
        self.cluster.create_topic(unique, partitions, **settings)
        return unique

    def values(self, topic: str, partition: int | None = None) -> list[bytes | None]:
        """What is committed in the log, in order."""
        return [known.record.value for known in self.cluster.records(topic, partition)]

    def record(self, client: Any, name: str = "") -> Any:
        """`client`, a producer or consumer of confluent-kafka, aiokafka or kafka-python, with what it is told written down.

        It is used like the client itself. Consumers of one `name` are one reader that lives on.
        """
        return self.journal.record(client, name)

    def judge(self, heal: bool = True) -> ClientsVerdict:
        """What the checker says of all clients, recorded or not: `verdict.held`, `verdict.exactly_once`, `str(verdict)`.

        Flush or stop producers before. Unless `heal` is False, faults are undone and the cluster recovers first.
        """
        return judge_clients(self.door, self.journal, heal)


@contextmanager
def fresh_kafka(**settings: Any) -> Iterator[EventlogKafka]:
    """A cluster that listens. A fault that never struck is an error at the end."""
    settings = {"brokers": BROKERS, **settings}
    options = settings.pop("door", {})
    with Cluster(**settings) as cluster, listen(cluster, **options) as door:
        yield EventlogKafka(door)


@contextmanager
def one_test_of(kafka: EventlogKafka) -> Iterator[EventlogKafka]:
    """Faults end with the test that asked for them; brokers that it stopped are started again."""
    try:
        yield kafka
        kafka.faults.check_used()
    finally:
        kafka.faults.clear()
        kafka.cluster.heal()
