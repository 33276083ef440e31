"""Which APIs are served, in which versions: what Kafka 4.3 lists, as far as it is true here.

Kafka's version numbers end in this room: no message of the core has one.
"""

from __future__ import annotations

from typing import Final, NamedTuple


class Api(NamedTuple):
    """`lowest` to `highest` are served; `listed` is the lowest that ApiVersions tells. `flexible`: the first version
    with compact lengths and tagged fields. `module`: where in this room it is answered."""

    key: int
    name: str
    listed: int
    lowest: int
    highest: int
    flexible: int
    module: str


_ROWS: Final = (
    # Older clients take a missing Produce 0 for a broker that can't do some things at all. Kafka lists it for them, too.
    Api(0, "Produce", 0, 3, 13, 9, "produce"),
    Api(1, "Fetch", 4, 4, 18, 12, "fetch"),
    Api(2, "ListOffsets", 1, 1, 11, 6, "offsets"),
    Api(3, "Metadata", 0, 0, 13, 9, "metadata"),
    Api(8, "OffsetCommit", 2, 2, 10, 8, "groups"),
    Api(9, "OffsetFetch", 1, 1, 10, 6, "groups"),
    Api(10, "FindCoordinator", 0, 0, 6, 3, "groups"),
    Api(11, "JoinGroup", 0, 0, 9, 6, "refusals"),
    Api(18, "ApiVersions", 0, 0, 4, 3, "hello"),
    Api(19, "CreateTopics", 2, 2, 7, 5, "admin"),
    Api(20, "DeleteTopics", 1, 1, 6, 4, "admin"),
    Api(21, "DeleteRecords", 0, 0, 2, 2, "admin"),
    Api(22, "InitProducerId", 0, 0, 5, 2, "producer_ids"),
    Api(23, "OffsetForLeaderEpoch", 2, 2, 4, 4, "offsets"),
    Api(27, "WriteTxnMarkers", 1, 1, 2, 1, "admin"),
    Api(32, "DescribeConfigs", 1, 1, 4, 4, "settings_admin"),
    Api(33, "AlterConfigs", 0, 0, 2, 2, "settings_admin"),
    Api(37, "CreatePartitions", 0, 0, 3, 2, "admin"),
    Api(43, "ElectLeaders", 0, 0, 2, 2, "admin"),
    Api(44, "IncrementalAlterConfigs", 0, 0, 1, 1, "settings_admin"),
    Api(60, "DescribeCluster", 0, 0, 2, 0, "admin"),
    Api(61, "DescribeProducers", 0, 0, 0, 0, "admin"),
    Api(75, "DescribeTopicPartitions", 0, 0, 0, 0, "admin"),
)
APIS: Final = {api.key: api for api in _ROWS}
API_VERSIONS: Final = 18
