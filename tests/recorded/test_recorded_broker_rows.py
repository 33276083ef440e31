"""Rows of the failover recordings that no replayed scenario holds: raw requests to brokers that were harmed.

The recordings are of a cluster of Apache Kafka 4.3.1 with three brokers; the numbers in the docstrings are the sections
of the recorded facts.
"""

from __future__ import annotations

import functools

import failover_stage
import pytest
from recorded_rows import FENCED, NOT_LEADER, OUT_OF_ORDER, TIMED_OUT, Rows, ok, refused

from eventlog.values import BrokerSettings

FIVE_FORGOTTEN_BUT_ONE = [-OUT_OF_ORDER] * 4 + [4]


def plain(first: int, last: int, leader_epoch: int) -> list[str]:
    return [f"A/0/{sequence}@{leader_epoch}" for sequence in range(first, last + 1)]


# The leader crashes, and comes back.


def test_a_retry_of_the_newest_batch_at_a_new_leader_waits_for_the_other_followers_first_fetch() -> None:
    """1: the older ones are answered at once, the newest after the follower's back-off of a second."""
    it = Rows()
    it.produce_all("leader", "A", 0, 6)
    it.do("crash", broker="leader")
    assert it.wait_late_leader("follower1") == 1
    asked_ms = it.world.now_ms
    assert it.retries("follower1", "A", 2, 5) == [2, 3, 4, 5]
    assert it.world.now_ms - asked_ms < 100
    assert it.produce("follower1", "A/0/6") == ok(6)
    assert 500 < it.world.now_ms - asked_ms < 1_500


@pytest.mark.parametrize("how", ["crash", "stop_clean"])
def test_an_old_leader_that_comes_back_sends_producers_on_before_and_after_it_is_in_sync(how: str) -> None:
    """6.1 (old_leader_comes_back): 6 with the hint, in the ISR or not; when it leads again a duplicate, and a batch."""
    it = Rows()
    it.produce_all("leader", "A", 0, 2)
    it.do(how, broker="leader")
    assert it.wait_leader("follower1") == 1
    assert it.produce("follower1", "A/0/3") == ok(3)
    it.do("start", broker="leader")
    step = it._produce_step("leader", "A/0/3", -1, 10_000)
    hint = {"error": NOT_LEADER, "base_offset": -1, "current_leader": {"leader": "follower1", "leader_epoch": 1}}
    assert "leader" not in it.in_sync()
    assert it.do("produce", version=10, **step) == hint
    it.wait_whole()
    assert it.do("produce", version=10, **step) == hint
    assert it.log("leader") == it.log("follower1") == [*plain(0, 2, 0), "A/0/3@1"]
    assert it.move_leader("leader") == 2
    assert it.produce("leader", "A/0/3") == ok(3)
    assert it.produce("leader", "A/0/4") == ok(4)
    assert it.produce("leader", "A/0/1") == refused(OUT_OF_ORDER)


def test_one_replica_that_is_killed_and_restarted_leads_in_the_leader_epoch_after_the_next() -> None:
    """6.6: leader epoch 0, then 1 with no leader, then 2; and again."""
    it = Rows(("leader",), 1)
    assert it.who_leads() == ("leader", 0, ["leader"])
    for before in (0, 2):
        it.do("crash", broker="leader")
        it.do("sleep", ms=4_000)
        assert it.who_leads()[:2] == (None, before + 1)
        it.do("start", broker="leader")
        assert it.wait_leader("leader") == before + 2
    assert it.who_leads() == ("leader", 4, ["leader"])


# A suffix is lost.


def test_a_lost_suffix_with_a_higher_epoch_is_unknown_to_the_new_leader_and_stays_known_to_the_old_one() -> None:
    """2 (lost_suffix_with_higher_epoch): the fence of epoch 1 is lost with the batches that carried it."""
    it = Rows()
    it.produce_all("leader", "A", 0, 1)
    it.do("cut_replication", **{"from": "leader"})
    assert [it.produce("leader", f"A/1/{sequence}", acks=1) for sequence in (0, 1)] == [ok(2), ok(3)]
    assert it.known("leader") == {"A": "1/1"}
    assert it.known("follower1") == {"A": "0/1"}
    it.do("crash", broker="leader")
    assert it.wait_leader("follower1") == 1
    it.do("heal_replication")
    assert it.produce("follower1", "A/0/2") == ok(2)
    assert it.produce("follower1", "A/1/1") == refused(OUT_OF_ORDER)
    assert it.produce("follower1", "A/1/0") == ok(3)
    assert it.produce("follower1", "A/0/3") == refused(FENCED)
    it.do("start", broker="leader")
    it.wait_whole()
    assert it.known("leader") == {"A": "1/0"}
    assert it.log("leader") == it.log("follower1") == [*plain(0, 1, 0), "A/0/2@1", "A/1/0@1"]


def test_a_leader_demoted_while_a_replicated_batch_waits_answers_6_and_the_retry_is_a_duplicate() -> None:
    """2 (demoted_while_waiting_but_replicated): so 6 proves nothing, base offset 2 or not."""
    it = Rows()
    it.produce_all("leader", "A", 0, 1)
    it.do("cut_replication", **{"from": "leader", "to": "follower2"})
    it.begin("leader", "A/0/2", timeout_ms=20_000)
    it.still_waits("A/0/2", after_ms=300)
    assert it.log("follower1") == plain(0, 2, 0)
    assert it.log("follower2") == plain(0, 1, 0)
    assert it.move_leader("follower1") == 1
    assert it.end("A/0/2") == (NOT_LEADER, 2)
    it.do("heal_replication")
    assert it.produce("follower1", "A/0/2") == ok(2)
    it.do("sleep", ms=2_500)
    assert all(it.log(role) == plain(0, 2, 0) for role in it.ids)


# A broker forgets all but the newest batch.


def test_a_broker_killed_after_a_clean_restart_and_two_more_batches_remembers_one_all_the_same() -> None:
    """3.1 (hole_crash_after_clean_restart): the snapshot at 3 does not help; recovery writes its own at 5."""
    it = Rows()
    it.produce_all("leader", "A", 0, 2)
    it.stop_and_start("follower1", "stop_clean")
    it.produce_all("leader", "A", 3, 4)
    it.do("sleep", ms=700)
    it.do("crash", broker="follower1")
    assert it.snapshots("follower1") == {"3": [["A", 0, 2, 2, 0]]}
    it.do("start", broker="follower1")
    it.wait_whole()
    assert it.snapshots("follower1")["5"] == [["A", 0, 4, 4, 0]]
    it.do("crash", broker="leader")
    assert it.wait_leader("follower1") == 1
    assert it.retries("follower1", "A", 0, 4) == FIVE_FORGOTTEN_BUT_ONE
    assert it.produce("follower1", "A/0/5") == ok(5)


def test_what_is_replicated_after_a_restart_is_remembered_beside_the_newest() -> None:
    """3.1 (hole_refills): the window is the newest batch and whatever came since."""
    it = Rows()
    it.produce_all("leader", "A", 0, 4)
    it.stop_and_start("follower1", "stop_clean")
    it.produce_all("leader", "A", 5, 6)
    assert list(it.snapshots("follower1")) == ["5"]
    it.do("crash", broker="leader")
    assert it.wait_leader("follower1") == 1
    assert it.retries("follower1", "A", 2, 6) == [-OUT_OF_ORDER, -OUT_OF_ORDER, 4, 5, 6]
    assert it.produce("follower1", "A/0/7") == ok(7)


@pytest.mark.parametrize("how", ["crash", "election"])
def test_a_restarted_follower_that_is_made_leader_forgets_by_whatever_way_it_came_to_lead(how: str) -> None:
    """3.1: by a crash of the leader or by an orderly election, the retries get the same answers."""
    it = Rows()
    it.produce_all("leader", "A", 0, 4)
    it.stop_and_start("follower1", "crash")
    if how == "crash":
        it.do("crash", broker="leader")
        it.wait_leader("follower1")
    else:
        it.move_leader("follower1")
    assert it.retries("follower1", "A", 0, 4) == FIVE_FORGOTTEN_BUT_ONE
    assert it.produce("follower1", "A/0/5") == ok(5)
    # What a client does about it by the rules: it raises the epoch, and the broker can't know that these are copies.
    offsets = [it.produce("follower1", f"A/1/{sequence}") for sequence in range(5)]
    assert offsets == [ok(6 + sequence) for sequence in range(5)]
    assert it.produce("follower1", "A/0/6") == refused(FENCED)


def test_a_snapshot_of_five_batches_keeps_the_whole_window(monkeypatch: pytest.MonkeyPatch) -> None:
    """3.1, the control that Kafka does not have: `producer_snapshot_batches=5`."""
    settings = functools.partial(BrokerSettings, producer_snapshot_batches=5)
    monkeypatch.setattr(failover_stage, "BrokerSettings", settings)
    it = Rows()
    it.produce_all("leader", "A", 0, 4)
    it.stop_and_start("follower1", "crash")
    it.do("crash", broker="leader")
    assert it.wait_leader("follower1") == 1
    assert it.retries("follower1", "A", 0, 4) == [0, 1, 2, 3, 4]


# The first batch of a producer is refused.


def test_a_raised_epoch_writes_what_was_taken_as_an_unknowns_first_a_second_time() -> None:
    """3.4 at the broker: 6 to A/0/0 while leadership is elsewhere, A/0/1 taken, A/0/0 refused for ever."""
    it = Rows()
    it.move_leader("follower1")
    assert it.produce("leader", "A/0/0") == refused(NOT_LEADER)
    assert it.move_leader("leader") == 2
    assert it.produce("leader", "A/0/1") == ok(0)
    assert it.retries("leader", "A", 0, 1) == [-OUT_OF_ORDER, 0]
    assert it.produce("leader", "A/0/0", acks=1) == refused(OUT_OF_ORDER)
    assert it.produce("leader", "A/0/2") == ok(1)
    assert it.produce("leader", "A/0/0") == refused(OUT_OF_ORDER)
    assert [it.produce("leader", f"A/1/{sequence}") for sequence in (0, 1)] == [ok(2), ok(3)]
    assert it.log("leader") == ["A/0/1@2", "A/0/2@2", "A/1/0@2", "A/1/1@2"]


def test_where_only_zero_may_begin_the_second_batch_is_refused_until_the_first_is_there(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """3.4, the control that Kafka does not have: `unknown_producer_first_sequence="zero"`."""
    settings = functools.partial(BrokerSettings, unknown_producer_first_sequence="zero")
    monkeypatch.setattr(failover_stage, "BrokerSettings", settings)
    it = Rows()
    it.move_leader("follower1")
    assert it.produce("leader", "A/0/0") == refused(NOT_LEADER)
    it.move_leader("leader")
    assert it.produce("leader", "A/0/1") == refused(OUT_OF_ORDER)
    assert it.produce("leader", "A/0/0") == ok(0)
    assert it.produce("leader", "A/0/1") == ok(1)


# Wrong leader, wrong epoch.


@pytest.mark.parametrize(
    ("leader_epoch", "at_the_leader", "at_the_old_one"), [(-1, 0, 6), (0, 74, 74), (1, 0, 6), (2, 75, 75)]
)
def test_a_replicas_fetch_is_judged_by_its_epoch_first_and_then_by_who_leads(
    leader_epoch: int, at_the_leader: int, at_the_old_one: int
) -> None:
    """6.1: replica id 3 at the leader and at the demoted one, with no, an old, the present and a future epoch."""
    it = Rows()
    it.produce_all("leader", "A", 0, 1)
    assert it.move_leader("follower1") == 1
    it.do("sleep", ms=1_200)
    assert it.fetch_as_replica(3, "follower1", leader_epoch) == at_the_leader
    assert it.fetch_as_replica(3, "leader", leader_epoch) == at_the_old_one


def test_a_replica_that_is_not_assigned_gets_75_from_the_leader_and_6_when_it_names_no_epoch() -> None:
    """6.1: whoever is not assigned knows of an assignment that the leader has not heard of."""
    it = Rows()
    it.produce_all("leader", "A", 0, 1)
    assert it.fetch_as_replica(9, "leader", 0) == 75
    assert it.fetch_as_replica(9, "leader", -1) == NOT_LEADER


def test_epochs_in_which_nothing_was_written_end_where_the_one_before_does() -> None:
    """6.5 (empty_epochs): its own leader knows epoch 1 as (1, 2), the next leader as (0, 2)."""
    it = Rows()
    it.produce_all("leader", "A", 0, 1)
    assert it.move_leader("follower1") == 1
    assert it.epoch_end("follower1", 1) == (1, 2)
    it.do("sleep", ms=1_200)
    assert it.move_leader("follower2") == 2
    assert it.epoch_end("follower2", 1) == (0, 2)
    assert it.epoch_end("follower2", 2) == (2, 2)
    assert it.produce("follower2", "A/0/2") == ok(2)
    assert it.epoch_end("follower2", 1) == (0, 2)
    assert it.epoch_end("follower2", 2) == (2, 3)


# min.insync.replicas, and everything down.


def test_lowering_min_insync_replicas_does_not_wake_what_waits_and_its_retry_commits_it() -> None:
    """6.3 (isr_shrinks_then_min_is_lowered): 7 at the timeout of 20 s; the retry is a duplicate at once."""
    it = Rows()
    assert it.produce("leader", "A/0/0") == ok(0)
    it.do("cut_replication", **{"from": "leader"})
    asked_ms = it.world.now_ms
    it.begin("leader", "A/0/1", timeout_ms=20_000)
    it.do("crash", broker="follower1")
    it.do("crash", broker="follower2")
    it.do("wait_isr", isr=["leader"])
    it.lower_min_insync_replicas(1)
    it.still_waits("A/0/1", after_ms=5_000)
    assert it.do("list_offsets", to="leader")["offset"] == 1
    assert it.end("A/0/1") == (TIMED_OUT, 1)
    assert it.world.now_ms - asked_ms >= 20_000
    assert it.do("list_offsets", to="leader")["offset"] == 1
    asked_ms = it.world.now_ms
    assert it.produce("leader", "A/0/1") == ok(1)
    assert it.world.now_ms - asked_ms < 100
    assert it.do("list_offsets", to="leader")["offset"] == 2


def test_without_eligible_leader_replicas_the_last_in_sync_replica_leads_as_soon_as_it_is_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """6.6, the column "off": all down, one after another; the ISR keeps the last of them and waits for it."""
    settings = functools.partial(BrokerSettings, eligible_leader_replicas_enable=False)
    monkeypatch.setattr(failover_stage, "BrokerSettings", settings)
    it = Rows()
    it.produce_all("leader", "A", 0, 5)
    it.do("crash", broker="follower1")
    it.do("wait_isr", isr=["leader", "follower2"])
    assert it.produce("leader", "A/0/6") == ok(6)
    it.do("crash", broker="follower2")
    it.do("wait_isr", isr=["leader"])
    assert it.produce("leader", "A/0/7", acks=1) == ok(7)
    it.do("crash", broker="leader")
    it.do("sleep", ms=4_500)
    assert it.who_leads() == (None, 1, ["leader"])
    it.do("start", broker="follower1")
    it.do("sleep", ms=1_500)
    assert it.who_leads() == (None, 1, ["leader"])
    it.do("start", broker="leader")
    assert it.wait_leader("leader") == 2
    it.do("start", broker="follower2")
    it.wait_whole()
    assert it.who_leads()[:2] == ("leader", 2)
    assert all(it.log(role) == plain(0, 7, 0) for role in it.ids)
