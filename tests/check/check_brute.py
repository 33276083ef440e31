"""A second judge, slow and written from the definitions alone.

It shares nothing with `eventlog.check.judge`: no index, no short ways, every question answered by looking at all rows.
"""

from __future__ import annotations

from itertools import pairwise

from check_brute_refusals import false_refusals, holes, is_wipe, place_of_send

from eventlog.check import (
    Acked,
    Assigned,
    End,
    Failed,
    Fault,
    Forgot,
    LeaderChanged,
    Log,
    Read,
    Run,
    Sent,
    TailLost,
    Truncated,
)


def final_log(history, topic, partition):
    """The Log row that counts for a partition, or None."""
    rows = history.of(Log)
    mine = [
        row
        for place, row in enumerate(rows)
        if (row.topic, row.partition) == (topic, partition)
        and not any(
            (later.broker, later.topic, later.partition) == (row.broker, topic, partition)
            for later in rows[place + 1 :]
        )
    ]
    # A replica with several rows keeps the place of its first one, so ties are settled in that order.
    firsts = [row.broker for row in rows if (row.topic, row.partition) == (topic, partition)]
    mine.sort(key=lambda row: firsts.index(row.broker))
    if not mine:
        return None

    def last_epoch(row):
        return row.batches[-1][1] if row.batches else -1

    best = None
    for row in mine:
        if any(other.is_leader for other in mine):
            if not row.is_leader:
                continue
            key = (row.high_watermark, last_epoch(row), row.log_end_offset)
        else:
            key = (last_epoch(row), row.log_end_offset)
        if best is None or key > best[0]:
            best = (key, row)
    return best[1]


def data_records(log):
    """(offset, leader_epoch, send_number) of every record that is no marker, in the log's order."""
    return [
        (batch[0] + place, batch[1], number)
        for batch in log.batches
        if not (batch[2] >= 0 and batch[4] == -1)
        for place, number in enumerate(batch[5])
    ]


def contents(log):
    """Offset to everything that identifies a record; the later one where a broken log has two."""
    found = {}
    for base, leader_epoch, producer_id, producer_epoch, sequence, numbers in log.batches:
        for place, number in enumerate(numbers):
            own = (sequence + place) % 2**31 if sequence >= 0 else -1
            found[base + place] = (leader_epoch, producer_id, producer_epoch, own, number)
    return found


def brute(history):
    """Numbers of places where each promise was not kept, and the counts, by the definitions."""
    partitions = list(dict.fromkeys((row.topic, row.partition) for row in history.of(Log)))
    finals = {name: final_log(history, *name) for name in partitions}
    log = [
        (name, *record)
        for name, row in finals.items()
        for record in data_records(row)
        if row.log_start_offset <= record[0] < row.high_watermark
    ]
    sents, acks, fails = history.of(Sent), history.of(Acked), history.of(Failed)
    run = history.of(Run)[0]
    producer = {row.send_number: row.producer for row in sents}
    numbers = [record[3] for record in log]
    found = dict.fromkeys(("H1", "H4", "H5", "H6", "H9", "I11", "I33", "G1a", "A1", "A2", "A3", "R1", "R2", "H11"), 0)
    excused = dict.fromkeys(("H4", "H5", "H9", "H13", "H14", "I11", "A3"), 0)

    found["H2"] = sum(number >= 0 and number in numbers[:place] for place, number in enumerate(numbers))
    found["H3"] = sum(
        any(
            name == earlier_name and producer.get(earlier) == producer[number] and earlier > number
            for earlier_name, _, _, earlier in log[:place]
            if earlier in producer
        )
        for place, (name, _, _, number) in enumerate(log)
        if number in producer
    )

    ends = [
        (number, row, row.base_offset + place if isinstance(row, Acked) and row.base_offset >= 0 else -1)
        for row in history.rows
        if isinstance(row, (Acked, Failed))
        for place, number in enumerate(row.send_numbers)
        if number >= 0
    ]
    every = list(dict.fromkeys(number for number, _, _ in ends))
    acked = []
    for number in every:
        mine = [(row, offset) for other, row, offset in ends if other == number]
        found["I33"] += len(mine) - 1
        places = [(row.topic, row.partition, offset) for row, offset in mine if offset >= 0]
        found["H1"] += sum(place != places[0] for place in places)
        of_acks = [(row, offset) for row, offset in mine if isinstance(row, Acked)]
        of_fails = [row for row, _ in mine if isinstance(row, Failed)]
        if of_acks:
            acked.append(number)
            row, offset = of_acks[0]
            final = finals.get((row.topic, row.partition))
            deleted = final is not None and 0 <= offset < final.log_start_offset
            if final is not None and not deleted and number not in numbers:
                promise = "H5" if offset >= 0 else "A3"
                found[promise] += 1
                excused[promise] += loss_is_excused(history, final, number, offset, row)
        if of_fails and not of_fails[0].may_be_written and number in numbers:
            found["G1a"] += 1
        for row, offset in of_acks:
            final = finals.get((row.topic, row.partition))
            if final is None or offset < 0 or offset < final.log_start_offset or number not in numbers:
                continue
            there = [record[3] for record in log if record[:2] == ((row.topic, row.partition), offset)]
            found["A1"] += not there or there[-1] != number

    nameless = [
        row for row in acks if row.producer_id >= 0 and row.base_sequence >= 0 and all_below_0(row.send_numbers)
    ]
    for place, row in enumerate(nameless):
        same = [other for other in nameless[:place] if other[2:4] == row[2:4] and other[6:9] == row[6:9]]
        same = [other for other in same if other.base_offset >= 0]
        found["H1"] += row.base_offset >= 0 and bool(same) and same[0].base_offset != row.base_offset

    if sents:
        for name, _, _, number in log:
            if number >= 0:
                row = next((row for row in sents if row.send_number == number), None)
                found["A2"] += row is None or row.topic != name[0] or row.partition not in (-1, name[1])

    for row in finals.values():
        seen = [batch for batch in row.batches if batch[0] < row.high_watermark and batch[2] >= 0 and batch[4] >= 0]
        for place, batch in enumerate(seen):
            before = [other for other in seen[:place] if other[2:4] == batch[2:4]]
            of_producer = [other for other in seen[:place] if other[2] == batch[2]]
            top = max(of_producer, key=lambda other: other[3], default=None)
            expected, newest = next_sequence(before)
            if expected is None:
                if batch[4] not in (0, run.initial_sequence):
                    found["H4"] += 1
                    excused["H4"] += (
                        row.log_start_offset > 0
                        or (top is None and run.unknown_producer_first_sequence != "zero")
                        or (top is not None and was_forgotten(history, row, top, batch))
                    )
            elif batch[4] != expected:
                twins = [other for other in before if other[4] == batch[4]]
                promise, earlier = ("I11", twins[-1]) if twins else ("H4", newest)
                found[promise] += 1
                excused[promise] += was_forgotten(history, row, earlier, batch)
            if top is not None and top[3] > batch[3]:
                found["H9"] += 1
                excused["H9"] += was_forgotten(history, row, top, batch)

    for place, row in enumerate(history.rows):
        if not isinstance(row, Read):
            continue
        final = finals.get((row.topic, row.partition))
        committed = [record[1:] for record in log if record[0] == (row.topic, row.partition)]
        for inner, (offset, leader_epoch, number) in enumerate(row.records):
            expected = row.records[inner - 1][0] + 1 if inner else position_before(history.rows[:place], row)
            if expected >= 0:
                found["R1"] += offset < expected
                found["R2"] += any(expected <= other < offset for other, _, _ in committed)
            if final is not None and offset >= final.log_start_offset:
                there = [record for record in committed if record[0] == offset][-1:]
                right = there and there[0][2] == number and leader_epoch in (-1, there[0][1])
                found["H6"] += not right

    replicas = {}
    for row in history.of(Log):
        replicas.setdefault((row.topic, row.partition), {})[row.broker] = row
    found["I5"] = 0
    found["H7"] = 0
    for logs in replicas.values():
        rows = list(logs.values())
        for place, one in enumerate(rows):
            for other in rows[place + 1 :]:
                left, right = contents(one), contents(other)
                low = max(one.log_start_offset, other.log_start_offset)
                high = min(one.high_watermark, other.high_watermark)
                offsets = [offset for offset in {**left, **right} if offset >= low]
                found["H7"] += any(left.get(at) != right.get(at) for at in offsets if at < high)
                shared = [at for at in offsets if at in left and at in right and left[at][0] == right[at][0]]
                found["I5"] += any(left.get(at) != right.get(at) for top in shared for at in offsets if at <= top)
        found["H11"] += sum(holes(one) for one in rows)
    for row in acks:
        final = finals.get((row.topic, row.partition))
        if final is None or row.producer_id < 0 or row.base_sequence < 0:
            continue
        same = [b for b in final.batches if b[0] < final.high_watermark and b[2:5] == row[6:9]]
        found["H11"] += bool(same) and same[0][5] != row.send_numbers

    found["H13"], excused["H13"] = recovery(history, every)
    found["H14"], excused["H14"] = false_refusals(history)
    counts = {
        "sent": len(sents),
        "acknowledged": len(acked),
        "failed": len({number for row in fails for number in row.send_numbers if number >= 0}),
        "unresolved": sum(row.send_number not in every for row in sents),
        "in_log": len(log),
        "duplicated": found["H2"],
        "duplicated_records": len({n for n in numbers if n >= 0 and numbers.count(n) > 1}),
        "lost": found["H5"] + found["A3"],
        "out_of_order": found["H3"],
    }
    return found, excused, counts


def next_sequence(batches):
    """What comes after these batches of one (producer_id, producer_epoch), and after which; None after none."""
    if not batches:
        return None, None
    expected, newest = next_sequence(batches[:-1])
    sequence, count = batches[-1][4], len(batches[-1][5])
    repeated = any(other[4] == sequence for other in batches[:-1])
    if expected is None or sequence == expected or (not repeated and (sequence - expected) % 2**31 < 2**30):
        return (sequence + count) % 2**31, batches[-1]
    return expected, newest


def was_forgotten(history, log, earlier, later):
    """Whether who led when `later` was written had forgotten its producer, for its age, since `earlier` was."""
    name = (log.topic, log.partition)
    for place, row in enumerate(history.rows):
        if isinstance(row, Forgot) and row.why == "expired" and row[2:4] == name and later[2] in row.producer_ids:
            led = [
                changed.leader
                for changed in history.of(LeaderChanged)
                if (changed.topic, changed.partition, changed.leader_epoch) == (*name, later[1]) and changed.leader >= 0
            ]
            if led and led[-1] != row.broker:
                continue
            if row.log_end_offset >= 0:
                if earlier[0] < row.log_end_offset <= later[0]:
                    return True
                continue
            number = later[5][0] if later[5] else None
            over = [
                end
                for kind in (Acked, Failed)
                for end, other in enumerate(history.rows)
                if isinstance(other, kind) and number in other.send_numbers and number >= 0
            ]
            if place <= (over[0] if over else len(history.rows)):
                return True
    return False


def loss_is_excused(history, final, number, offset, ack):
    """Whether some event in the history is a reason for the loss of an acknowledged record."""
    run, name = history.of(Run)[0], (final.topic, final.partition)
    begun = place_of_send(history, number)
    if offset < 0 < final.log_start_offset:
        return True
    if run.acks == 0:
        return False
    above = [(at, other) for at, _, other in data_records(final) if at >= final.high_watermark]
    above += [
        (at, other)
        for batch in final.batches
        if batch[0] + len(batch[5]) > final.high_watermark and not (batch[2] >= 0 and batch[4] == -1)
        for at, other in enumerate(batch[5], batch[0])
    ]
    if (dict(above).get(offset) == number) if offset >= 0 else (number in dict(above).values()):
        return True
    changes = [
        (place, row)
        for place, row in enumerate(history.rows)
        if isinstance(row, LeaderChanged) and (row.topic, row.partition) == name
    ]
    for (_, before), (place, after) in pairwise(changes):
        if place >= begun:
            if run.acks == 1 and (before.leader, before.leader_epoch) != (after.leader, after.leader_epoch):
                return True
            if is_declared_loss(history, [row for at, row in changes if at < place], before, after, place):
                return True
    for place, row in enumerate(history.rows):
        if place >= begun and run.acks == 1:
            led = [changed.leader for earlier, changed in changes if earlier < place]
            if isinstance(row, TailLost) and row[2:4] == name and (not led or led[-1] == row.broker):
                if offset < 0 or row.from_offset <= offset < row.to_offset:
                    return True
            if isinstance(row, Truncated) and (row.topic, row.partition) == name and row.broker in led:
                if offset < 0 or row.from_offset <= offset < row.to_offset:
                    return True
            if isinstance(row, Fault) and row.fault == "crash_wiped":
                if not led or is_wipe(row, led[-1]):
                    return True
    if every_copy_is_gone(history, name, offset, begun):
        return True
    firsts = [b for b in final.batches if b[0] < final.high_watermark and b[2] == ack.producer_id and b[4] >= 0]
    return (
        offset < 0
        and ack.is_implied
        and bool(firsts)
        and ack.producer_id >= 0
        and firsts[0][3] == ack.producer_epoch
        and firsts[0][4] not in (0, run.initial_sequence)
        and 0 <= ack.base_sequence < firsts[0][4]
        and run.unknown_producer_first_sequence != "zero"
        and final.log_start_offset <= 0
    )


def is_declared_loss(history, earlier, before, after, place):
    """Was `after.leader` rightly made leader though it was neither in sync nor eligible just before?"""
    known = (*before.in_sync_replicas, *before.eligible_leader_replicas)
    if after.leader < 0 or after.leader == before.leader or after.leader in known:
        return False
    run = next((row for row in history.rows if isinstance(row, Run)), None)
    if run is not None and run.unclean_leader_election_enable:
        return True
    if any(isinstance(row, Fault) and row.fault == "unclean_election" for row in history.rows[:place]):
        return True
    led = [row.leader for row in earlier if row.leader >= 0]
    return not known and bool(led) and led[-1] == after.leader


def every_copy_is_gone(history, name, offset, begun):
    """Whether crashes took the record from all that held it: each replica is followed by itself."""
    replicas = list(dict.fromkeys(row.broker for row in history.of(Log) if (row.topic, row.partition) == name))
    may_lead, holds, robbed, dead = list(replicas), None, [], []
    for place, row in enumerate(history.rows):
        if isinstance(row, Fault) and row.target.startswith("broker-"):
            dead.append(int(row.target[7:]))
        if isinstance(row, Fault) and row.fault == "unclean_election":
            dead += [broker for broker in replicas if f"broker-{broker}" not in row.target]
        taken = None
        if isinstance(row, Fault) and row.fault == "crash_wiped":
            taken = int(row.target[7:])
        if isinstance(row, TailLost) and row[2:4] == name:
            if offset < 0 or row.from_offset <= offset < row.to_offset:
                taken = row.broker
        if isinstance(row, LeaderChanged) and (row.topic, row.partition) == name:
            now = [*row.in_sync_replicas, *row.eligible_leader_replicas]
            if now and place >= begun:
                had = may_lead if holds is None else holds
                if not any(broker in had for broker in now):
                    return all(broker in robbed for broker in now) and all(broker in dead for broker in had)
                holds = [broker for broker in now if broker in had or broker not in may_lead]
            may_lead = now or may_lead
        elif taken is not None and place >= begun:
            holds = list(may_lead) if holds is None else holds
            robbed.append(taken)
            if taken in holds:
                holds = [broker for broker in holds if broker != taken]
                if not holds:
                    return True
    return False


def recovery(history, every):
    """Places at which the end is not whole, and how many of them are excused."""
    run, end = history.of(Run)[0], history.of(End)[0]
    if not end.healed:
        return 0, 0
    librdkafka = run.client == "librdkafka"
    fatal = [row.producer for row in history.of(Failed) if row.error == "OUT_OF_ORDER_SEQUENCE_NUMBER" and librdkafka]
    open_ends = [row for row in history.of(Sent) if row.send_number not in every]
    found, excused = len(open_ends), sum(row.producer in fatal for row in open_ends)
    for name in dict.fromkeys((row.topic, row.partition) for row in history.of(LeaderChanged)):
        changes = [row for row in history.of(LeaderChanged) if (row.topic, row.partition) == name]
        newest = changes[-1]
        replicas = [row.broker for row in history.of(Log) if (row.topic, row.partition) == name]
        if newest.leader < 0 or any(broker not in newest.in_sync_replicas for broker in replicas):
            found += 1
            might = [row.in_sync_replicas + row.eligible_leader_replicas for row in changes]
            killed = [int(row.target[7:]) for row in history.of(Fault) if row.fault.startswith("crash")]
            held = [brokers for brokers in might if brokers]
            if newest.leader < 0 and not might[-1] and held:
                excused += all(broker in killed for broker in held[-1])
    return found, excused


def all_below_0(numbers):
    return bool(numbers) and all(number < 0 for number in numbers)


def position_before(rows, reader):
    """Where a reader stands before its next poll; -1 when nobody knows."""
    for row in reversed(rows):
        if isinstance(row, (Assigned, Read)) and row[1:4] == reader[1:4]:
            if isinstance(row, Assigned):
                return row.offset
            if row.records:
                return row.records[-1][0] + 1
    return -1
