"""What administrators ask: topics, records, elections, descriptions. Read and written by kio.

A topic is made, widened or altered by the controller; a request that only asks whether it could be (`validate_only`) is put
to the controller's own rule, and nothing is written.
"""

from __future__ import annotations

from typing import Any

from eventlog.controller import topics as rules
from eventlog.errors import ErrorCode
from eventlog.messages import CONTROLLER
from eventlog.messages.broker_api import (
    DeleteRecordsRequest,
    DescribeProducersRequest,
    TxnMarker,
    WriteTxnMarkersRequest,
)
from eventlog.messages.controller_api import (
    NO_LEADER,
    CreatePartitionsRequest,
    CreateTopicRequest,
    DeleteTopicRequest,
    ElectLeadersRequest,
)
from eventlog.values import TopicPartition
from eventlog.wire.call import Call
from eventlog.wire.configs import configs_of, overrides_of
from eventlog.wire.envelopes import read_request, write_answer
from eventlog.wire.metadata import ALL_CLUSTER_OPERATIONS, NOT_ASKED_FOR
from eventlog.wire.primitives import Writer
from eventlog.wire.topics import INTERNAL, find_topic, is_legal_name, uuid_of

Values = dict[str, Any]


class ByKio:
    """What these APIs have in common: the request is kio's entity, the reply a mapping of its fields."""

    def read(self, call: Call) -> Any:
        return read_request(call.api.key, call.version, call.body)

    async def answer(self, call: Call) -> Values:
        raise NotImplementedError

    def refuse(self, call: Call, error: int) -> Values:
        return {"error_code": error}

    def write(self, call: Call, reply: Values, writer: Writer) -> None:
        writer.raw(write_answer(call.api.key, call.version, reply))


def grouped(rows: list[tuple[TopicPartition, Values]], name: str = "name", inner: str = "partitions") -> list[Values]:
    """Rows of partitions under their topics, in order."""
    topics: dict[str, list[Values]] = {}
    for (topic, _), row in rows:
        topics.setdefault(topic, []).append(row)
    return [{name: topic, inner: found} for topic, found in topics.items()]


class CreateTopics(ByKio):
    """v2 to v7. The brokers choose where replicas are: an assignment by hand is refused."""

    async def answer(self, call: Call) -> Values:
        results = []
        wanted = sum([max(0, self._partitions(call, topic)) for topic in call.asked.topics])
        refused = (ErrorCode.POLICY_VIOLATION, rules.too_many(wanted)) if wanted > rules.MAX_NEW_PARTITIONS else None
        for topic in call.asked.topics:
            error, message = refused or await self._create(call, topic, call.asked.validate_only)
            result = {"name": topic.name, "error_code": error, "error_message": message or None}
            known = call.image.topics.get(topic.name)
            if error == ErrorCode.NONE and known is not None:
                made = call.image.partitions_of(topic.name)
                result |= {
                    "topic_id": uuid_of(known.topic_id),
                    "num_partitions": len(made),
                    "replication_factor": len(made[0].replicas),
                    "configs": [
                        {key: each[key] for key in ("name", "value", "read_only", "config_source", "is_sensitive")}
                        for each in configs_of(call, known)
                    ],
                }
            elif call.version >= 5:
                result["configs"] = []
            results.append(result)
        return {"topics": results}

    @staticmethod
    def _partitions(call: Call, topic: Any) -> int:
        asked: int = topic.num_partitions
        return call.door.default_partitions if asked == -1 else asked

    async def _create(self, call: Call, topic: Any, is_trial: bool) -> tuple[int, str]:
        if not is_legal_name(topic.name):
            return ErrorCode.INVALID_TOPIC, f"a topic can't be called {topic.name!r}"
        if topic.assignments:
            return ErrorCode.INVALID_REQUEST, "replicas are assigned by the controller here; say how many instead"
        overrides, refusal = overrides_of([(config.name, config.value) for config in topic.configs])
        if refusal:
            return ErrorCode.INVALID_CONFIG, refusal
        request = CreateTopicRequest(topic.name, self._partitions(call, topic), topic.replication_factor, overrides)
        if is_trial:
            _, reply = rules.create_topic(call.door.world.controller.image, request, "")
        else:
            reply = await call.ask(request, server=CONTROLLER)
        return reply.error, reply.error_message

    def refuse(self, call: Call, error: int) -> Values:
        return {"topics": [{"name": topic.name, "error_code": error, "configs": []} for topic in call.asked.topics]}


class DeleteTopics(ByKio):
    """v1 to v6. The newest names topics by their ids as well."""

    async def answer(self, call: Call) -> Values:
        rows = []
        if any((name is None) == (topic_id is None) for name, topic_id in self._wanted(call)):
            return self.refuse(call, ErrorCode.INVALID_REQUEST)
        for name, topic_id in self._wanted(call):
            known = name if topic_id is None else find_topic(call.door.world.controller.image, topic_id)
            if known is None:
                rows.append(
                    self._row(call, None, topic_id, ErrorCode.UNKNOWN_TOPIC_ID, "This server does not host it.")
                )
                continue
            made = call.door.world.controller.image.topics.get(known)
            reply = await call.ask(DeleteTopicRequest(known), server=CONTROLLER)
            if made is not None:
                topic_id = uuid_of(made.topic_id)
            rows.append(self._row(call, known, topic_id, reply.error, reply.error_message))
        return {"responses": rows}

    @staticmethod
    def _wanted(call: Call) -> list[tuple[str | None, bytes | None]]:
        """(name, id) of each: one of them, the other is None."""
        if call.version < 6:
            return [(name, None) for name in call.asked.topic_names]
        return [(each.name, None if each.topic_id is None else each.topic_id.bytes) for each in call.asked.topics]

    @staticmethod
    def _row(call: Call, name: str | None, topic_id: bytes | None, error: int, message: str = "") -> Values:
        row: Values = {"name": name, "error_code": error}
        if call.version >= 5:
            row["error_message"] = message or None
        if call.version >= 6:
            row["topic_id"] = topic_id
        return row

    def refuse(self, call: Call, error: int) -> Values:
        return {"responses": [self._row(call, name, topic_id, error) for name, topic_id in self._wanted(call)]}


class CreatePartitions(ByKio):
    """v0 to v3."""

    async def answer(self, call: Call) -> Values:
        results = []
        for topic in call.asked.topics:
            request = CreatePartitionsRequest(topic.name, topic.count)
            if call.asked.validate_only:
                _, reply = rules.create_partitions(call.door.world.controller.image, request)
            else:
                reply = await call.ask(request, server=CONTROLLER)
            message = reply.error_message or None
            results.append({"name": topic.name, "error_code": reply.error, "error_message": message})
        return {"results": results}

    def refuse(self, call: Call, error: int) -> Values:
        return {"results": [{"name": topic.name, "error_code": error} for topic in call.asked.topics]}


class DeleteRecords(ByKio):
    """v0 to v2."""

    async def answer(self, call: Call) -> Values:
        wanted = tuple(
            [
                (TopicPartition(topic.name, each.partition_index), each.offset)
                for topic in call.asked.topics
                for each in topic.partitions
            ]
        )
        reply = await call.ask(DeleteRecordsRequest(wanted))
        rows = [
            (where, {"partition_index": where.partition, "low_watermark": low, "error_code": error})
            for where, error, low in reply.partitions
        ]
        return {"topics": grouped(rows)}

    def refuse(self, call: Call, error: int) -> Values:
        rows = [
            (
                TopicPartition(topic.name, each.partition_index),
                {"partition_index": each.partition_index, "low_watermark": -1, "error_code": error},
            )
            for topic in call.asked.topics
            for each in topic.partitions
        ]
        return {"topics": grouped(rows)}


class DescribeCluster(ByKio):
    """v0 to v2. Nobody outside reaches the controller: some broker stands for it."""

    async def answer(self, call: Call) -> Values:
        image = call.image
        alive = image.alive()
        shown = sorted(image.brokers) if getattr(call.asked, "include_fenced_brokers", False) else alive
        brokers = []
        for broker_id in shown:
            host, port = call.door.endpoint(broker_id)
            brokers.append({"broker_id": broker_id, "host": host, "port": port, "is_fenced": broker_id not in alive})
        may_all = call.asked.include_cluster_authorized_operations
        return {
            "cluster_id": call.door.cluster_id,
            "controller_id": alive[0] if alive else -1,
            "brokers": brokers,
            "cluster_authorized_operations": ALL_CLUSTER_OPERATIONS if may_all else NOT_ASKED_FOR,
        }

    def refuse(self, call: Call, error: int) -> Values:
        return {"error_code": error, "cluster_id": call.door.cluster_id}


class DescribeProducers(ByKio):
    """v0."""

    async def answer(self, call: Call) -> Values:
        wanted = [TopicPartition(topic.name, each) for topic in call.asked.topics for each in topic.partition_indexes]
        reply = await call.ask(DescribeProducersRequest(tuple(wanted)))
        rows = []
        for where, error, producers in reply.partitions:
            described = [
                {
                    "producer_id": each.producer_id,
                    "producer_epoch": each.producer_epoch,
                    "last_sequence": each.last_sequence,
                    "last_timestamp": each.last_timestamp_ms,
                    "coordinator_epoch": each.coordinator_epoch,
                    "current_txn_start_offset": each.txn_start_offset,
                }
                for each in producers
            ]
            row = {"partition_index": where.partition, "error_code": error, "active_producers": described}
            rows.append((where, row))
        return {"topics": grouped(rows)}

    def refuse(self, call: Call, error: int) -> Values:
        rows: list[tuple[TopicPartition, Values]] = [
            (TopicPartition(topic.name, each), {"partition_index": each, "error_code": error})
            for topic in call.asked.topics
            for each in topic.partition_indexes
        ]
        return {"topics": grouped(rows)}


class DescribeTopicPartitions(ByKio):
    """v0. All that is asked for in one answer: there is never a cursor to go on from."""

    async def answer(self, call: Call) -> Values:
        image = call.image
        alive = image.alive()
        topics: list[Values] = []
        for name in [topic.name for topic in call.asked.topics] or sorted(image.topics):
            known = image.topics.get(name)
            if known is None:
                topics.append({"name": name, "error_code": ErrorCode.UNKNOWN_TOPIC_OR_PARTITION})
                continue
            partitions = [
                {
                    "error_code": ErrorCode.LEADER_NOT_AVAILABLE if each.leader_id == NO_LEADER else ErrorCode.NONE,
                    "partition_index": each.topic_partition.partition,
                    "leader_id": each.leader_id,
                    "leader_epoch": each.leader_epoch,
                    "replica_nodes": each.replicas,
                    "isr_nodes": each.in_sync_replicas,
                    "eligible_leader_replicas": each.eligible_leader_replicas,
                    "last_known_elr": [] if each.last_known_leader == NO_LEADER else [each.last_known_leader],
                    "offline_replicas": [replica for replica in each.replicas if replica not in alive],
                }
                for each in image.partitions_of(name)
            ]
            topic_id = uuid_of(known.topic_id)
            topics.append(
                {"name": name, "topic_id": topic_id, "is_internal": name in INTERNAL, "partitions": partitions}
            )
        return {"topics": topics}

    def refuse(self, call: Call, error: int) -> Values:
        return {"topics": [{"name": topic.name, "error_code": error} for topic in call.asked.topics]}


class ElectLeaders(ByKio):
    """v0 to v2. Type 0 is the preferred election, 1 the unclean one; without partitions, of all of them."""

    async def answer(self, call: Call) -> Values:
        is_unclean = getattr(call.asked, "election_type", 0) == 1
        rows = []
        for where in self._wanted(call):
            reply = await call.ask(ElectLeadersRequest(where, is_unclean), server=CONTROLLER)
            is_needless = reply.error is ErrorCode.ELECTION_NOT_NEEDED
            if is_needless and call.asked.topic_partitions is None:
                continue
            message = "Leader election not needed for topic partition." if is_needless else None
            row = {"partition_id": where.partition, "error_code": reply.error, "error_message": message}
            rows.append((where, row))
        return {"replica_election_results": grouped(rows, "topic", "partition_result")}

    @staticmethod
    def _wanted(call: Call) -> list[TopicPartition]:
        if call.asked.topic_partitions is None:
            return list(call.image.partitions)
        return [TopicPartition(topic.topic, each) for topic in call.asked.topic_partitions for each in topic.partitions]


class WriteTxnMarkers(ByKio):
    """v1 and v2: what a coordinator of transactions says. Who asks it here plays one."""

    async def answer(self, call: Call) -> Values:
        markers = []
        for marker in call.asked.markers:
            wanted = tuple(
                [TopicPartition(topic.name, each) for topic in marker.topics for each in topic.partition_indexes]
            )
            version = getattr(marker, "transaction_version", 0)
            markers.append(
                TxnMarker(
                    marker.producer_id,
                    marker.producer_epoch,
                    marker.transaction_result,
                    marker.coordinator_epoch,
                    wanted,
                    version,
                )
            )
        reply = await call.ask(WriteTxnMarkersRequest(tuple(markers)))
        results = []
        position = 0
        for each in markers:
            said = reply.partitions[position : position + len(each.topic_partitions)]
            position += len(said)
            rows = [(where, {"partition_index": where.partition, "error_code": error}) for _, where, error in said]
            results.append({"producer_id": each.producer_id, "topics": grouped(rows)})
        return {"markers": results}

    def refuse(self, call: Call, error: int) -> Values:
        results = []
        for marker in call.asked.markers:
            rows: list[tuple[TopicPartition, Values]] = [
                (TopicPartition(topic.name, each), {"partition_index": each, "error_code": error})
                for topic in marker.topics
                for each in topic.partition_indexes
            ]
            results.append({"producer_id": marker.producer_id, "topics": grouped(rows)})
        return {"markers": results}


HANDLERS = {
    19: CreateTopics(),
    20: DeleteTopics(),
    21: DeleteRecords(),
    27: WriteTxnMarkers(),
    37: CreatePartitions(),
    43: ElectLeaders(),
    60: DescribeCluster(),
    61: DescribeProducers(),
    75: DescribeTopicPartitions(),
}
