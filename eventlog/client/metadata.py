"""What a client knows about topics and leaders, and how it asks for more.

Nothing is asked for while nobody needs it. Two kinds of need: a topic to be looked up now (`want`), and a partition
whose leader was tried in vain (`want_newer`), for which the broker asked holds its answer back until it knows a newer
leader; so nobody polls. A leader is believed if its leader epoch is not older than the one known.
Source: `org.apache.kafka.clients.Metadata`, `NetworkClient`, KIP-951 (a leader named in an error).
"""

from __future__ import annotations

from eventlog.client.link import Asker
from eventlog.errors import ErrorCode
from eventlog.messages import Connection, Envelope, Frozen
from eventlog.messages.broker_api import MetadataReply, MetadataRequest
from eventlog.values import TopicPartition

PURPOSE = "metadata"
_UNKNOWN = (-1, -1)


class MetadataClient:
    """Leaders by partition, partition counts by topic, and the question under way. Owned by one engine."""

    __slots__ = (
        "asker",
        "bootstrap",
        "brokers",
        "leaders",
        "max_wait_ms",
        "needed",
        "partition_counts",
        "request_timeout_ms",
        "topic_errors",
        "tried",
    )

    def __init__(
        self,
        client: str,
        bootstrap: tuple[int, ...],
        seed: int,
        request_timeout_ms: int,
        retry_backoff_ms: int,
        retry_backoff_max_ms: int,
        jitter_percent: int = 20,
        max_wait_ms: int = 1_000,
    ) -> None:
        # How long a broker may hold back an answer that would bring nothing new. Held back for longer than the asker
        # waits, it would never come.
        self.max_wait_ms = min(max_wait_ms, request_timeout_ms // 2)
        self.asker = Asker(client, PURPOSE, seed, retry_backoff_ms, retry_backoff_max_ms, jitter_percent)
        self.bootstrap = bootstrap
        self.request_timeout_ms = request_timeout_ms
        self.brokers: tuple[int, ...] = bootstrap
        self.leaders: dict[TopicPartition, tuple[int, int]] = {}
        self.partition_counts: dict[str, int] = {}
        self.topic_errors: dict[str, ErrorCode] = {}
        self.needed: dict[str, None] = {}
        self.tried: dict[TopicPartition, int] = {}

    def leader_of(self, topic_partition: TopicPartition) -> tuple[int, int]:
        """(leader's broker id, leader epoch); -1 each when unknown, leader -1 when there is none at present."""
        return self.leaders.get(topic_partition, _UNKNOWN)

    def candidates(self) -> tuple[int, ...]:
        """Brokers to ask: those alive as far as is known, then those from the beginning."""
        return (*self.brokers, *(broker_id for broker_id in self.bootstrap if broker_id not in self.brokers))

    def want(self, topic: str) -> None:
        """Have `topic` looked up at once."""
        self.needed[topic] = None

    def want_newer(self, topic_partition: TopicPartition) -> None:
        """Have a newer leader of this partition looked for: the known one was tried in vain, or there is none, or the
        topic is known and this partition of it is not (yet)."""
        if topic_partition in self.leaders or topic_partition.topic in self.partition_counts:
            self.tried[topic_partition] = self.leader_of(topic_partition)[1]
        else:
            self.needed[topic_partition.topic] = None

    def leader_works(self, topic_partition: TopicPartition) -> None:
        """The known leader did serve this partition: no newer one needs to be looked for."""
        self.tried.pop(topic_partition, None)

    def learn(self, topic_partition: TopicPartition, leader_id: int, leader_epoch: int) -> bool:
        """Believes this leader unless a newer one is known; True if it is newer than what was known."""
        known_epoch = self.leader_of(topic_partition)[1]
        if leader_epoch < known_epoch:
            return False
        self.leaders[topic_partition] = (leader_id, leader_epoch)
        if leader_id >= 0 and leader_epoch > self.tried.get(topic_partition, leader_epoch):
            del self.tried[topic_partition]
        return leader_epoch > known_epoch

    def advance(self, now_ms: int, deadlines: dict[str, int]) -> list[Envelope]:
        """Asks if something is needed and no question is under way. An answer that is held back isn't waited for when
        a topic must be looked up at once: that connection is given up."""
        if not self.needed and not self.tried:
            return []
        envelopes: list[Envelope] = []
        asked = self.asker.asked
        if asked is not None and self.needed and asked.max_wait_ms:
            envelopes = self.asker.give_up(deadlines)
        if not self.asker.may_ask(deadlines):
            return envelopes
        if self.needed:
            request = MetadataRequest(tuple(self.needed))
        else:
            topics = tuple(dict.fromkeys(topic_partition.topic for topic_partition in self.tried))
            request = MetadataRequest(topics, tuple(self.tried.items()), self.max_wait_ms)
        envelopes.append(self.asker.ask(request, self.candidates(), now_ms, self.request_timeout_ms, deadlines))
        return envelopes

    def receive_reply(self, envelope: Envelope, now_ms: int, deadlines: dict[str, int]) -> bool:
        """Takes a MetadataReply in; False if it answers nothing that is under way."""
        request = self.asker.take_reply(envelope, deadlines)
        if request is None:
            return False
        reply: MetadataReply = envelope.message
        if reply.brokers:
            self.brokers = reply.brokers
        failed = False
        for topic in reply.topics:
            if topic.error is not ErrorCode.NONE:
                self.topic_errors[topic.topic] = topic.error
                failed = failed or topic.topic in self.needed
                continue
            self.topic_errors.pop(topic.topic, None)
            self.needed.pop(topic.topic, None)
            count = 1 + max((each.topic_partition.partition for each in topic.partitions), default=-1)
            # A broker that lags may not know of partitions that were added; they don't go away again.
            self.partition_counts[topic.topic] = max(count, self.partition_counts.get(topic.topic, 0))
            for each in topic.partitions:
                self.learn(each.topic_partition, each.leader_id, each.leader_epoch)
        if any(topic in self.needed for topic in request.topics or ()):
            failed = True
        if request.newer_than and all(topic_partition in self.tried for topic_partition, _ in request.newer_than):
            failed = True
        if failed:
            self.asker.fail(self.candidates(), now_ms, deadlines)
        else:
            self.asker.failures = 0
        return True

    def disconnected(self, connection: Connection, now_ms: int, deadlines: dict[str, int]) -> None:
        if self.asker.disconnected(connection, deadlines):
            self.asker.fail(self.candidates(), now_ms, deadlines)

    def timed_out(self, now_ms: int, deadlines: dict[str, int]) -> list[Envelope]:
        envelopes = self.asker.give_up(deadlines)
        self.asker.fail(self.candidates(), now_ms, deadlines)
        return envelopes

    def freeze(self, now_ms: int) -> Frozen:
        return (
            self.brokers,
            tuple((*each, *leader) for each, leader in self.leaders.items()),
            tuple(self.partition_counts.items()),
            tuple((topic, int(error)) for topic, error in self.topic_errors.items()),
            tuple(self.needed),
            tuple((*each, leader_epoch) for each, leader_epoch in self.tried.items()),
            self.asker.freeze(now_ms, self.request_timeout_ms),
        )

    def restore(self, frozen: Frozen, now_ms: int) -> None:
        self.brokers, leaders, counts, errors, needed, tried, asker = frozen
        self.leaders = {TopicPartition(each[0], each[1]): (each[2], each[3]) for each in leaders}
        self.partition_counts = dict(counts)
        self.topic_errors = {topic: ErrorCode(error) for topic, error in errors}
        self.needed = dict.fromkeys(needed)
        self.tried = {TopicPartition(each[0], each[1]): each[2] for each in tried}
        self.asker.restore(asker, now_ms)
