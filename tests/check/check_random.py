"""Small histories drawn at random, for two judges to agree on."""

from __future__ import annotations

from random import Random

from check_brute import data_records

from eventlog.check import (
    Acked,
    Assigned,
    End,
    Failed,
    Fault,
    Forgot,
    History,
    LeaderChanged,
    Log,
    LogStartMoved,
    Read,
    Refused,
    Run,
    Sent,
    TailLost,
    Truncated,
)


def random_history(random: Random) -> History:
    """A small history: mostly right, with a few things turned wrong, so that each check has both cases."""
    draw = random.random
    writer = "plain" if draw() < 0.3 else "idempotent"
    run = Run(1, "0", writer, random.choice((-1, -1, -1, 1, 0)), 1, 3, "", 0, random.choice((1, 1, 5)))
    run = run._replace(
        unknown_producer_first_sequence=random.choice(("any", "any", "zero")),
        client=random.choice(("", "java", "librdkafka")),
        unclean_leader_election_enable=random.random() < 0.3,
    )
    rows = [run]
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
                rows.append(Acked(50, producer, "t", partition, base, numbers, *who, 1, base < 0 and draw() < 0.5))
                if goes_wrong():
                    rows.append(Acked(51, producer, "t", partition, base + random.choice((0, 1)), numbers, *who, 1))
            elif answer < 0.9:
                error = "OUT_OF_ORDER_SEQUENCE_NUMBER" if goes_wrong() else "REQUEST_TIMED_OUT"
                rows.append(Failed(50, producer, "t", partition, numbers, error, not goes_wrong(), 1))
            elif draw() < 0.05:
                nameless = Acked(50, producer, "t", partition, offset, (-1,), *who, 1)
                rows += [nameless, nameless._replace(base_offset=offset + random.choice((-1, 0, 1)))]
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
    for row in random_events(random, logs):
        rows.insert(random.randrange(1, len(rows) + 1), row)
    if goes_wrong() and logs:
        logs = [row for row in logs if row.partition]
    return History([*rows, *logs, End(99, draw() < 0.7)])


def random_events(random: Random, logs: list[Log]) -> list:
    """What brokers and the controller did: mostly nothing, now and then what an excuse rests on."""
    draw, broker = random.random, lambda: random.randrange(1, 4)
    found = []
    if draw() < 0.3:
        found += [LeaderChanged(5, "t", 0, 1, 0, (1, 2, 3)), Fault(6, "crash", f"broker-{broker()}", "", -1)]
        found.append(TailLost(6, broker(), "t", 0, random.randrange(5), 9))
    if draw() < 0.1:
        found.append(Fault(6, "unclean_election", f"t-0>broker-{broker()}", "", -1))
    for _ in range(random.choice((0, 0, 0, 1, 3))):
        in_sync = tuple(random.sample((1, 2, 3), random.randrange(4)))
        eligible = tuple(random.sample((1, 2, 3), random.choice((0, 0, 1))))
        found.append(LeaderChanged(7, "t", 0, random.choice((-1, 1, 1, 2, 3)), random.randrange(4), in_sync, eligible))
    if draw() < 0.1:
        found += [Fault(6, random.choice(("crash", "crash_wiped")), f"broker-{n}", "", -1) for n in (1, 2, 3)]
    elif draw() < 0.1:
        found.append(Fault(6, "crash_wiped", f"broker-{broker()}", "", -1))
    if draw() < 0.05:
        found.append(Truncated(6, broker(), "t", 0, random.randrange(9), 9))
    if draw() < 0.05:
        found.append(LogStartMoved(6, broker(), "t", 0, 0, random.randrange(3)))
    for _ in range(random.choice((0, 0, 1, 2))):
        why = random.choice(("restart", "expired", "expired", "snapshot"))
        producers = random.choice(((97,), (98,), (97, 98)))
        found.append(Forgot(6, random.choice((1, 1, 2)), "t", 0, why, producers, random.randrange(-1, 7)))
    for log in random.sample(logs, min(len(logs), random.choice((0, 0, 1, 2)))):
        named = [batch for batch in log.batches if batch[2] >= 0 <= batch[4]]
        sequence, epoch, producer_id, count = random.randrange(6), 0, random.choice((97, 98)), 1
        if named and draw() < 0.6:
            _, _, producer_id, epoch, sequence, numbers = random.choice(named)
            count = len(numbers)
            sequence += random.choice((0, 0, count))
        epoch += random.choice((0, 0, 0, 1, -1))
        error = random.choice(
            (*["OUT_OF_ORDER_SEQUENCE_NUMBER"] * 8, *["INVALID_PRODUCER_EPOCH"] * 3, "UNKNOWN_PRODUCER_ID")
        )
        end = random.randrange(max(log.log_end_offset, 0) + 2)
        found.append(Refused(7, log.broker, "t", log.partition, producer_id, epoch, sequence, count, error, end))
    log = random.choice(logs) if logs and draw() < 0.2 else None
    named = [batch for batch in log.batches if batch[2] >= 0 <= batch[4]] if log is not None else []
    if named:  # a batch whose broker may have forgotten it
        base_offset, _, producer_id, epoch, sequence, numbers = random.choice(named[-3:])
        end = random.choice((-1, log.log_end_offset, base_offset + 1))
        why = random.choice(("restart", "expired", "snapshot"))
        error = "OUT_OF_ORDER_SEQUENCE_NUMBER"
        found.append(
            Refused(
                7, log.broker, "t", log.partition, producer_id, epoch, sequence, len(numbers), error, log.log_end_offset
            )
        )
        found.append(Forgot(6, log.broker, "t", log.partition, why, (producer_id,), end))
    return found
