"""Why a record is gone: the excuses of losses, computed from the rows."""

from __future__ import annotations

import re

from eventlog.check.excuses import Cause
from eventlog.check.history import Fault, LeaderChanged, TailLost, Truncated
from eventlog.check.index import Index
from eventlog.check.promises import (
    BROKEN,
    DISK_WIPED,
    EFFECTS_OF,
    EVERY_COPY_LOST,
    EXCUSED,
    LEADER_MOVED,
    LOG_START_MOVED,
    MOVES,
    NOBODY_PROMISED_ACKS_0,
    NOT_PROMISED,
    UNCLEAN_ELECTION,
    WATERMARK_BEHIND,
)
from eventlog.values import TopicPartition

WIPE = "crash_wiped"
_KILLS = ("crash", "crash_losing_tail", "crash_wiped", "power_cut")
_EVERYTHING = 1 << 63


def loss_cause(index: Index, name: TopicPartition, offset: int, number: int) -> Cause:
    """Why an acknowledged record is not where it was: `offset` -1 when nobody knows where that is."""
    run, final = index.run, index.finals[name]
    begun = index.position(index.sent.get(number))
    if offset < 0 < final.log.log_start_offset:
        return Cause(EXCUSED, LOG_START_MOVED)
    if run is not None and run.acks == 0:
        return Cause(NOT_PROMISED, NOBODY_PROMISED_ACKS_0)
    if (final.beyond.get(offset) == number) if offset >= 0 else (number in final.beyond.values()):
        return Cause(EXCUSED, WATERMARK_BEHIND)
    if run is not None and run.acks == 1 and _leader_moved(index, name, offset, begun):
        return Cause(EXCUSED, LEADER_MOVED)
    excuse = every_copy_lost(index, name, offset, begun)
    if excuse:
        return Cause(EXCUSED, excuse)
    if unclean_election(index, name, begun):
        return Cause(EXCUSED, UNCLEAN_ELECTION)
    return Cause(BROKEN, "in-sync replicas that held it did not lose it, and yet it is gone")


def read_cause(index: Index, name: TopicPartition, offset: int, number: int) -> Cause:
    """Why a record that a reader got is not there: it was committed, so the number of acks is no excuse."""
    if index.finals[name].beyond.get(offset) == number:
        return Cause(EXCUSED, WATERMARK_BEHIND)
    begun = index.position(index.sent.get(number))
    excuse = every_copy_lost(index, name, offset, begun)
    if excuse:
        return Cause(EXCUSED, excuse)
    if unclean_election(index, name, begun):
        return Cause(EXCUSED, UNCLEAN_ELECTION)
    return Cause(BROKEN, "a reader got what was not committed, or what was committed is gone")


def _turns(index: Index) -> dict[tuple[str, int], list[tuple[int, LeaderChanged | TailLost]]]:
    """What decides over losses, by partition: changes of leaders and in-sync replicas, and lost tails."""
    found: dict[tuple[str, int], list[tuple[int, LeaderChanged | TailLost]]] = {}
    for place, row in index.interruptions():
        if type(row) is LeaderChanged or type(row) is TailLost:
            found.setdefault((row.topic, row.partition), []).append((place, row))
        elif type(row) is Fault and row.fault == WIPE:
            for broker in brokers_of(row.target):
                for name in index.logs:
                    everything = TailLost(row.at_ms, broker, *name, 0, _EVERYTHING)
                    found.setdefault(name, []).append((place, everything))
    return found


def every_copy_lost(index: Index, name: TopicPartition, offset: int, begun: int) -> str:
    """The excuse when crashes took a record from every in-sync replica that held it, from place `begun` on; or empty.

    Followed through the rows: the holders are the replicas that are in sync or eligible; one that loses its tail, or
    its disk, holds no more; one that joins holds what a holder among them has. Losing the last holder to a crash is the
    excuse, and so is it when those that still hold it die and leave only such in sync as lost it in a crash (the last
    one stays in sync, whatever it lost). Losing it because one without the record was elected, or stayed in sync, is
    not.
    """
    in_sync = dict.fromkeys(index.logs.get(name, {}))
    robbed: dict[int, None] = {}
    holders: dict[int, None] | None = None
    excuse = EVERY_COPY_LOST
    for place, row in index.memo(_turns).get(name, ()):
        if type(row) is LeaderChanged:
            joined = dict.fromkeys(row.in_sync_replicas + row.eligible_leader_replicas)
            if not joined:
                continue  # nobody is known to hold anything: whoever leads next says what that means
            if place >= begun:
                known = in_sync if holders is None else holders
                kept = {broker: None for broker in joined if broker in known}
                if not kept:
                    lost = all(broker in robbed for broker in joined)
                    return excuse if lost and all(was_struck(index, broker, place) for broker in known) else ""
                holders = kept | {broker: None for broker in joined if broker not in in_sync}
            in_sync = joined
        elif type(row) is TailLost and place >= begun:
            if offset < 0 or row.from_offset <= offset < row.to_offset:
                holders = dict(in_sync) if holders is None else holders
                robbed[row.broker] = None
                held = row.broker in holders
                holders.pop(row.broker, None)
                if held and row.to_offset == _EVERYTHING:
                    excuse = DISK_WIPED
                if held and not holders:
                    return excuse
    return ""


def unclean_election(index: Index, name: TopicPartition, begun: int) -> bool:
    """True when, from place `begun` on, one was rightly made leader that was neither in sync nor eligible just before.

    Right it is where a setting allows it, where somebody asked for it (a fault `unclean_election`), and where nobody was
    in sync or eligible any more: then the last leader there was leads again.
    """
    asked = [place for place, row in index.interruptions() if type(row) is Fault and row.fault == "unclean_election"]
    is_allowed = index.run is not None and index.run.unclean_leader_election_enable
    before: LeaderChanged | None = None
    last_leader = -1
    for place, row in index.memo(_turns).get(name, ()):
        if type(row) is LeaderChanged:
            if before is not None and place >= begun and row.leader >= 0 and row.leader != before.leader:
                known = before.in_sync_replicas + before.eligible_leader_replicas
                is_last_known = not known and row.leader == last_leader
                if row.leader not in known and (is_allowed or is_last_known or any(at < place for at in asked)):
                    return True
            before = row
            last_leader = row.leader if row.leader >= 0 else last_leader
    return False


def was_struck(index: Index, broker: int, before: int) -> bool:
    """True when a fault had put this broker out of reach before the place `before`."""
    return any(place < before for place in index.memo(_strikes).get(broker, ()))


def was_killed(index: Index, broker: int) -> bool:
    """True when this broker died at any time, other than in order."""
    return any(type(row) is Fault and row.fault in _KILLS for row in index.memo(_strikes).get(broker, {}).values())


def _strikes(index: Index) -> dict[int, dict[int, Fault]]:
    """The faults by which a broker died, stood still, or was cut off, by broker and place."""
    found: dict[int, dict[int, Fault]] = {}
    everybody = dict.fromkeys([broker for replicas in index.logs.values() for broker in replicas])
    for place, row in index.interruptions():
        if type(row) is Fault and MOVES in EFFECTS_OF.get(row.fault, ()):
            for broker in _struck_by(row, list(everybody)):
                found.setdefault(broker, {})[place] = row
    return found


def _struck_by(fault: Fault, everybody: list[int]) -> list[int]:
    named = brokers_of(fault.target)
    if fault.fault == "election":
        return []  # the one it names is made leader, and nobody was harmed
    if fault.fault == "unclean_election":
        return [broker for broker in everybody if broker not in named] if named else []
    return named or (everybody if fault.fault == "power_cut" else [])


def brokers_of(target: str) -> list[int]:
    """The brokers that a fault's target names (`broker-1>broker-2`); of a split (`1|2,3+controller`) those cut off."""
    if "|" not in target:
        return [int(number) for number in re.findall(r"broker-(\d+)", target)]
    cut_off = [side for side in target.split("|") if "controller" not in side]
    return [int(number) for side in cut_off for number in re.findall(r"\d+", side)]


def _leader_moved(index: Index, name: TopicPartition, offset: int, begun: int) -> bool:
    """True when, from place `begun` on, another leader came, the leader lost the record in a crash, or one who had led
    before cut it off: it took the record without knowing that it leads no more."""
    leader: tuple[int, int] | None = None
    for place, row in index.memo(_turns).get(name, ()):
        if type(row) is LeaderChanged:
            if place >= begun and leader is not None and (row.leader, row.leader_epoch) != leader:
                return True
            leader = (row.leader, row.leader_epoch)
        elif type(row) is TailLost and place >= begun:
            lost = offset < 0 or row.from_offset <= offset < row.to_offset
            if lost and (leader is None or leader[0] == row.broker):
                return True
    led: dict[int, None] = {}
    for place, row in index.interruptions():
        if type(row) is LeaderChanged and (row.topic, row.partition) == name:
            led[row.leader] = None
        elif type(row) is Truncated and place >= begun and (row.topic, row.partition) == name and row.broker in led:
            if offset < 0 or row.from_offset <= offset < row.to_offset:
                return True
    return False
