"""What an administrator asks: topics, partitions, settings, elections."""

from __future__ import annotations

import pytest
from controller_stage import TP, ControllerStage

from eventlog.messages.controller_api import (
    AlterTopicRequest,
    CreatePartitionsRequest,
    CreateTopicRequest,
    ElectLeadersRequest,
)
from eventlog.values import TopicPartition

# --- topics and partitions ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("topic", "partitions", "factor", "settings", "error"),
    [
        ("u", 1, 3, (), 0),
        ("u", 1, -1, (("min_insync_replicas", 2), ("retention.ms", -1)), 0),
        ("t", 0, 0, (("nonsense", 1),), 36),
        ("u", 0, 0, (("nonsense", 1),), 40),
        ("u", 1, 1, (("min_insync_replicas", 0),), 40),
        ("u", 0, 0, (), 37),
        ("u", 1, 0, (), 38),
        ("u", 1, 4, (), 38),
        ("u", 1, -2, (), 38),
    ],
)
def test_a_topic_that_cannot_be_is_refused(
    topic: str, partitions: int, factor: int, settings: tuple[tuple[str, int], ...], error: int
) -> None:
    stage = ControllerStage()
    end = len(stage.controller.log)
    reply = stage.ask(CreateTopicRequest(topic, partitions, factor, settings))
    assert (reply.topic, reply.error) == (topic, error)
    assert bool(reply.error_message) == (error != 0)
    assert (len(stage.controller.log) == end) == (error != 0)


def test_a_topics_settings_go_by_one_name() -> None:
    stage = ControllerStage(topic={"min.insync.replicas": 3})
    assert stage.controller.image.topics["t"].settings == (("min_insync_replicas", 3),)


def test_more_partitions_are_spread_as_if_they_had_been_there_from_the_start() -> None:
    stage = ControllerStage(4)
    assert stage.ask(CreatePartitionsRequest("t", 5)) == ("t", 0, "")
    assert stage.ask(CreateTopicRequest("u", 5, 3)) == ("u", 0, "")
    image = stage.controller.image
    spread = [each.replicas for each in image.partitions_of("t")]
    assert spread == [(1, 2, 3), (2, 3, 4), (3, 4, 1), (4, 1, 2), (1, 2, 3)]
    assert spread == [each.replicas for each in image.partitions_of("u")]
    for number, each in enumerate(image.partitions_of("t")):
        assert each.topic_partition == TopicPartition("t", number)
        assert each[2:] == (each.replicas, each.replicas[0], 0, 0, (), -1)


@pytest.mark.parametrize(("topic", "partitions", "error"), [("u", 5, 3), ("t", 1, 37), ("t", 0, 37), ("t", 2, 38)])
def test_partitions_that_cannot_be_are_refused(topic: str, partitions: int, error: int) -> None:
    stage = ControllerStage()
    stage.crash(3)
    reply = stage.ask(CreatePartitionsRequest(topic, partitions))
    assert (reply.topic, reply.error) == (topic, error)
    assert reply.error_message
    assert len(stage.controller.image.partitions) == 1


@pytest.mark.parametrize("partitions", [10_001, 2**31 - 1])
def test_no_request_makes_more_partitions_than_ten_thousand(partitions: int) -> None:
    stage = ControllerStage()
    for request in (CreateTopicRequest("u", partitions, 1), CreatePartitionsRequest("t", partitions + 1)):
        reply = stage.ask(request)
        assert (reply.error, f"not {partitions}" in reply.error_message) == (44, True)
    assert len(stage.controller.image.partitions) == 1


# --- settings -----------------------------------------------------------------------------------------------------


def test_overrides_are_set_changed_and_taken_away() -> None:
    stage = ControllerStage(topic={"min_insync_replicas": 2})
    topic_id = stage.controller.image.topics["t"].topic_id

    def alter(*pairs: tuple[str, int | str | bool | None]) -> dict[str, object]:
        assert stage.ask(AlterTopicRequest("t", pairs)) == ("t", 0, "")
        record = stage.controller.image.topics["t"]
        assert (record.topic, record.topic_id) == ("t", topic_id)
        return dict(record.settings)

    assert alter(("retention.ms", 5)) == {"min_insync_replicas": 2, "retention_ms": 5}
    assert alter(("retention_ms", 7)) == {"min_insync_replicas": 2, "retention_ms": 7}
    assert alter(("min.insync.replicas", None), ("cleanup_policy", "compact")) == {
        "retention_ms": 7,
        "cleanup_policy": "compact",
    }
    end = len(stage.controller.log)
    assert alter(("segment_ms", None)) == {"retention_ms": 7, "cleanup_policy": "compact"}
    assert len(stage.controller.log) == end, "nothing changed, so nothing is written"


@pytest.mark.parametrize(
    ("topic", "pairs", "error"),
    [
        ("u", (("retention_ms", 5),), 3),
        ("t", (("nonsense", 5),), 40),
        ("t", (("min_insync_replicas", 0),), 40),
        ("t", (("retention_ms", 5), ("cleanup_policy", "burn")), 40),
    ],
)
def test_overrides_that_cannot_be_are_refused_together(
    topic: str, pairs: tuple[tuple[str, int | str], ...], error: int
) -> None:
    stage = ControllerStage()
    end = len(stage.controller.log)
    reply = stage.ask(AlterTopicRequest(topic, pairs))
    assert (reply.topic, reply.error) == (topic, error)
    assert reply.error_message
    assert len(stage.controller.log) == end


@pytest.mark.parametrize("is_eligibility_on", [True, False])
def test_unclean_election_allowed_while_nobody_leads_happens_at_once(is_eligibility_on: bool) -> None:
    stage = ControllerStage(eligible_leader_replicas_enable=is_eligibility_on)
    assert stage.wish(1).error == 0
    stage.crash(1)
    stage.crash(3)
    assert stage.state[:2] == (-1, 1)
    stage.ask(AlterTopicRequest("t", (("retention_ms", 5),)))
    assert stage.state[:2] == (-1, 1)
    stage.ask(AlterTopicRequest("t", (("unclean_leader_election_enable", True),)))
    assert stage.state == (2, 2, (2,), (), -1)


def test_unclean_election_allowed_while_somebody_leads_changes_no_leader() -> None:
    stage = ControllerStage()
    known = stage.partition
    stage.ask(AlterTopicRequest("t", (("unclean_leader_election_enable", True),)))
    assert stage.partition == known


def test_another_min_insync_replicas_ends_all_eligibility() -> None:
    """Else one that left under the old number could lead without what was committed under the new one."""
    stage = ControllerStage(min_insync_replicas=2)
    assert stage.wish(1).error == 0
    assert stage.state == (1, 0, (1,), (2, 3), -1)
    stage.ask(AlterTopicRequest("t", (("retention_ms", 5),)))
    assert stage.state == (1, 0, (1,), (2, 3), -1)
    stage.ask(AlterTopicRequest("t", (("min_insync_replicas", 1),)))
    assert stage.state == (1, 0, (1,), (), -1)
    stage.crash(1)
    assert stage.state == (-1, 1, (), (1,), 1)


def test_another_min_insync_replicas_where_nobody_is_eligible_changes_no_partition() -> None:
    stage = ControllerStage()
    known = stage.partition
    stage.ask(AlterTopicRequest("t", (("min_insync_replicas", 2),)))
    assert stage.partition == known


def test_another_min_insync_replicas_while_nobody_leads_leaves_only_an_unclean_election() -> None:
    stage = ControllerStage()
    for broker_id in (2, 3, 1):
        stage.crash(broker_id)
    stage.ask(AlterTopicRequest("t", (("min_insync_replicas", 2),)))
    assert stage.state == (-1, 1, (), (), -1)
    stage.start(1)
    assert stage.state == (-1, 1, (), (), -1)
    assert elect(stage, is_unclean=True) == 0
    assert stage.state == (1, 2, (1,), (), -1)


# --- elections ----------------------------------------------------------------------------------------------------


def elect(stage: ControllerStage, is_unclean: bool) -> int:
    reply = stage.ask(ElectLeadersRequest(TP, is_unclean))
    assert reply.topic_partition == TP
    return int(reply.error)


def test_the_preferred_leader_leads_on_demand() -> None:
    stage = ControllerStage()
    assert elect(stage, is_unclean=False) == 84
    stage.crash(1)
    assert stage.state[:3] == (2, 1, (2, 3))
    assert elect(stage, is_unclean=False) == 80
    stage.start(1)
    assert elect(stage, is_unclean=False) == 80, "alive, but not in sync"
    stage.wish(2, 3, 1)
    assert elect(stage, is_unclean=False) == 0
    assert stage.state == (1, 2, (2, 3, 1), (), -1)


def test_the_preferred_leader_must_be_alive() -> None:
    stage = ControllerStage(1, eligible_leader_replicas_enable=False)
    stage.crash(1)
    assert stage.partition.in_sync_replicas == (1,)
    assert elect(stage, is_unclean=False) == 80


def test_an_unclean_leader_leads_on_demand_only_where_nobody_does() -> None:
    stage = ControllerStage()
    assert elect(stage, is_unclean=True) == 84
    stage.wish(1)
    stage.crash(1)
    assert elect(stage, is_unclean=True) == 0
    assert stage.state == (2, 2, (2,), (), -1)
    assert elect(stage, is_unclean=True) == 84


def test_without_a_living_replica_nobody_can_be_elected() -> None:
    stage = ControllerStage(2, replicas=1)
    stage.crash(1)
    known = stage.partition
    assert elect(stage, is_unclean=True) == 83
    assert stage.partition == known


@pytest.mark.parametrize("is_unclean", [True, False])
def test_a_partition_that_is_not_there_has_no_election(is_unclean: bool) -> None:
    stage = ControllerStage()
    assert stage.ask(ElectLeadersRequest(TopicPartition("t", 9), is_unclean)).error == 3
