"""A second judge, slow and written from the definitions alone, and histories drawn at random for both.

It shares nothing with `eventlog.check.judge`: no index, no short ways, every question answered by looking at all rows.
"""

from __future__ import annotations

from random import Random

from eventlog.check import (
    Acked,
    Assigned,
    End,
    Failed,
    Fault,
    History,
    LeaderChanged,
    Log,
    Read,
    Run,
    Sent,
    TailLost,
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
    found = dict.fromkeys(("H1", "H4", "H5", "H6", "H9", "I11", "I33", "G1a", "A1", "A2", "R1", "R2", "H11"), 0)

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
            found["H5"] += final is not None and not deleted and number not in numbers
        if of_fails and not of_fails[0].may_be_written and number in numbers:
            found["G1a"] += 1
        for row, offset in of_acks:
            final = finals.get((row.topic, row.partition))
            if final is None or offset < 0 or offset < final.log_start_offset or number not in numbers:
                continue
            there = [record[3] for record in log if record[:2] == ((row.topic, row.partition), offset)]
            found["A1"] += not there or there[-1] != number

    if sents:
        for name, _, _, number in log:
            if number >= 0:
                row = next((row for row in sents if row.send_number == number), None)
                found["A2"] += row is None or row.topic != name[0] or row.partition not in (-1, name[1])

    for row in finals.values():
        seen = [batch for batch in row.batches if batch[0] < row.high_watermark and batch[2] >= 0 and batch[4] >= 0]
        for place, batch in enumerate(seen):
            before = [other for other in seen[:place] if other[2:4] == batch[2:4]]
            expected = next_sequence(before)
            if expected is None:
                found["H4"] += batch[4] not in (0, run.initial_sequence)
            elif batch[4] != expected:
                found["I11" if any(other[4] == batch[4] for other in before) else "H4"] += 1
            found["H9"] += any(other[2] == batch[2] and other[3] > batch[3] for other in seen[:place])

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
        for one in rows:
            end = None
            for batch in one.batches:
                if end is None:
                    found["H11"] += batch[0] > one.log_start_offset or batch[0] < 0 or not batch[5]
                else:
                    found["H11"] += batch[0] != end or not batch[5]
                end = batch[0] + len(batch[5])
            found["H11"] += one.log_end_offset != (one.log_start_offset if end is None else end)
    for row in acks:
        final = finals.get((row.topic, row.partition))
        if final is None or row.producer_id < 0 or row.base_sequence < 0:
            continue
        same = [b for b in final.batches if b[0] < final.high_watermark and b[2:5] == row[6:9]]
        found["H11"] += bool(same) and same[0][5] != row.send_numbers

    counts = {
        "sent": len(sents),
        "acknowledged": len(acked),
        "failed": len({number for row in fails for number in row.send_numbers if number >= 0}),
        "unresolved": sum(row.send_number not in every for row in sents),
        "in_log": len(log),
        "duplicated": found["H2"],
        "duplicated_records": len({n for n in numbers if n >= 0 and numbers.count(n) > 1}),
        "lost": found["H5"],
        "out_of_order": found["H3"],
    }
    return found, counts


def next_sequence(batches):
    """The sequence that comes after these batches of one (producer_id, producer_epoch); None after none."""
    if not batches:
        return None
    expected = next_sequence(batches[:-1])
    sequence, count = batches[-1][4], len(batches[-1][5])
    repeated = any(other[4] == sequence for other in batches[:-1])
    if expected is None or sequence == expected or (not repeated and (sequence - expected) % 2**31 < 2**30):
        return (sequence + count) % 2**31
    return expected


def position_before(rows, reader):
    """Where a reader stands before its next poll; -1 when nobody knows."""
    for row in reversed(rows):
        if isinstance(row, (Assigned, Read)) and row[1:4] == reader[1:4]:
            if isinstance(row, Assigned):
                return row.offset
            if row.records:
                return row.records[-1][0] + 1
    return -1


def random_history(random: Random) -> History:
    """A small history: mostly right, with a few things turned wrong, so that each check has both cases."""
    draw = random.random
    writer = "plain" if draw() < 0.3 else "idempotent"
    rows = [Run(1, "0", writer, random.choice((-1, -1, -1, 1, 0)), 1, 3, "")]
    wrong = random.choice((0.0, 0.0, 0.05, 0.2))

    def goes_wrong():
        return wrong and draw() < wrong

    partitions = [0] if draw() < 0.7 else [0, 1]
    pending = {partition: [] for partition in partitions}
    for number in range(random.randrange(0, 9)):
        partition = random.choice(partitions)
        rows.append(Sent(number, random.choice("ab"), number, "t", -1 if draw() < 0.2 else partition))
        pending[partition].append(rows[-1])
    logs = []
    for partition, sends in pending.items():
        batches, offset, leader_epoch = [], 0, 0
        sequences = {}
        epochs = {"a": 0, "b": 0}
        todo = []
        while sends:
            taken = [sends.pop(0)]
            while sends and sends[0].producer == taken[0].producer and draw() < 0.5:
                taken.append(sends.pop(0))
            todo.append((taken[0].producer, tuple(send.send_number for send in taken)))
        if goes_wrong() and len(todo) > 1:
            todo.insert(random.randrange(len(todo)), todo.pop())
        if goes_wrong() and todo:
            todo.insert(random.randrange(len(todo) + 1), random.choice(todo))
        for producer, numbers in todo:
            if goes_wrong():
                epochs[producer] += random.choice((1, 1, -1))
            key = (producer, epochs[producer])
            sequence = sequences.get(key, 0)
            if goes_wrong():
                sequence = max(0, sequence + random.choice((-2, -1, 1, 2)))
            sequences[key] = sequence + len(numbers)
            leader_epoch += draw() < 0.2
            who = (-1, -1, -1) if writer == "plain" else (ord(producer), epochs[producer], sequence)
            if goes_wrong():
                offset += random.choice((-1, 1))
            if draw() < 0.05:
                batches.append((offset, leader_epoch, 9, 0, -1, (-1,)))  # a marker
                offset += 1
            answer = draw()
            if answer < 0.7:
                base = -1 if goes_wrong() else offset + (1 if goes_wrong() else 0)
                rows.append(Acked(50, producer, "t", partition, base, numbers, *who, 1))
                if goes_wrong():
                    rows.append(Acked(51, producer, "t", partition, base + random.choice((0, 1)), numbers, *who, 1))
            elif answer < 0.9:
                rows.append(Failed(50, producer, "t", partition, numbers, "REQUEST_TIMED_OUT", not goes_wrong(), 1))
            if answer < 0.85 and not goes_wrong():
                batches.append((offset, leader_epoch, *who, numbers))
                offset += len(numbers)
                if goes_wrong():
                    batches.append((offset, leader_epoch, *who, numbers))
                    offset += len(numbers)
        for broker in (1, 2, 3):
            mine = list(batches)
            if goes_wrong() and mine:
                place = random.randrange(len(mine))
                changed = mine[place]
                mine[place] = (*changed[:5], tuple(number + 1 for number in changed[5]))
            if draw() < 0.15 and broker > 1:
                del mine[random.randrange(len(mine) + 1) :]
            end = mine[-1][0] + len(mine[-1][5]) if mine else 0
            high_watermark = end if draw() < 0.8 else random.randrange(0, max(end, 0) + 1)
            start = 0 if not goes_wrong() else random.randrange(0, max(high_watermark, 0) + 1)
            is_leader = (broker == 1 and draw() < 0.9) or goes_wrong()
            logs.append(Log(90, broker, "t", partition, bool(is_leader), start, high_watermark, end, tuple(mine)))
        readable = [record for record in data_records(logs[-3]) if record[0] < logs[-3].high_watermark]
        for consumer in ("c", "d")[: random.randrange(3)]:
            if draw() < 0.5:
                rows.append(Assigned(60, consumer, "t", partition, random.choice((-1, 0))))
            place = 0
            while place < len(readable) and draw() < 0.8:
                count = random.randrange(1, 4)
                got = readable[place : place + count]
                place += len(got)
                if goes_wrong():
                    place = random.randrange(len(readable) + 1)
                if goes_wrong():
                    got[0] = (got[0][0], got[0][1] + random.choice((0, 1)), got[0][2] + random.choice((0, 1)))
                if goes_wrong():
                    got.reverse()
                rows.append(Read(61, consumer, "t", partition, tuple(got)))
    if draw() < 0.3:
        rows.insert(random.randrange(1, len(rows) + 1), LeaderChanged(5, "t", 0, 1, 0, (1, 2, 3)))
        rows.insert(random.randrange(1, len(rows) + 1), TailLost(6, random.randrange(1, 4), "t", 0, 0, 9))
        rows.insert(random.randrange(1, len(rows) + 1), Fault(6, "crash", "broker 1", "", -1))
    if goes_wrong() and logs:
        logs = [row for row in logs if row.partition]
    return History([*rows, *logs, End(99, draw() < 0.7)])
