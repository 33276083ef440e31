"""The part of the second judge that says which refusals were right, by folding the log anew for each of them."""

from __future__ import annotations

from eventlog.check import Fault, Forgot, Log, Refused, Run, Sent, TailLost, Truncated


def place_of(history, row):
    """Where a row stands in the history; 0 for none."""
    return next((place for place, other in enumerate(history.rows) if other is row), 0)


def place_of_send(history, number):
    return place_of(history, next((row for row in history.of(Sent) if row.send_number == number), None))


def false_refusals(history):
    """Refusals that the log contradicts, and how many of them are excused by what the broker had forgotten."""
    run = history.of(Run)[0]
    found = excused = 0
    for place, row in enumerate(history.rows):
        if not isinstance(row, Refused):
            continue
        if row.error in ("UNKNOWN_PRODUCER_ID", "DUPLICATE_SEQUENCE_NUMBER"):
            found += 1
            continue
        logs = [log for log in history.of(Log) if log[1:4] == row[1:4]]
        here = [(at, other) for at, other in enumerate(history.rows) if other[1:4] == row[1:4]]
        cuts = [(at, cut) for at, cut in here if isinstance(cut, (Truncated, TailLost))]
        wipes = [at for at, other in enumerate(history.rows) if isinstance(other, Fault) and is_wipe(other, row.broker)]
        if (
            not logs
            or holes(logs[-1])
            or logs[-1].log_end_offset < row.log_end_offset
            or any(at > place and cut.from_offset < row.log_end_offset for at, cut in cuts)
            or any(at > place for at in wipes)
        ):
            continue
        batches = [b for b in logs[-1].batches if b[2] == row.producer_id and b[0] < row.log_end_offset]
        if logs[-1].log_start_offset > 0 and sum(batch[4] >= 0 for batch in batches) < 5:
            continue
        forgot = [
            (at, other)
            for at, other in here
            if isinstance(other, Forgot)
            and at < place
            and (other.why != "restart" or run.producer_snapshot_batches == 1)
            and (other.why != "expired" or row.producer_id in other.producer_ids)
        ]
        expired = [at for at, other in forgot if other.why == "expired"]
        is_exact = (
            all(other.log_end_offset >= 0 for _, other in forgot)
            and not any(at > earlier for at, _ in cuts if at < place for earlier, _ in forgot)
            and not any(at > earlier for at, other in forgot if other.why != "expired" for earlier in expired)
        )
        events = [(boundary(history, batches, at, other, row), other.why) for at, other in forgot]
        answers = [
            decision(run, row, memory(batches, [(at, why) for at, why in events if why in kinds]))
            for kinds in ((), ("restart", "snapshot"), ("restart", "snapshot", "expired"))
        ]
        is_right = row.error == answers[-1] if is_exact else row.error in answers
        if not (is_right and row.error == answers[0]):
            found += 1
            excused += is_right
    return found, excused


def is_wipe(row, broker):
    return row.fault == "crash_wiped" and row.target == f"broker-{broker}"


def boundary(history, batches, place, forgot, row):
    """Below which offset lies what was forgotten; the most it can be, where nobody noted it."""
    if forgot.log_end_offset >= 0:
        return forgot.log_end_offset
    later = [batch[0] for batch in batches if batch[5] and place_of_send(history, batch[5][0]) > place]
    return later[0] if later else row.log_end_offset


def memory(batches, events):
    """(producer_epoch, [(first, last), ...]) after these batches, the events falling in between; None: unknown."""
    known = None
    todo = sorted(events)
    for batch in [*batches, None]:
        while todo and (batch is None or todo[0][0] <= batch[0]):
            _, why = todo.pop(0)
            if why == "expired":
                known = None
            elif known is not None:
                known = (known[0], known[1][-1:])
        if batch is not None:
            if known is None or known[0] != batch[3]:
                known = (batch[3], [])
            if batch[4] >= 0:
                known = (known[0], [*known[1], (batch[4], (batch[4] + len(batch[5]) - 1) % 2**31)][-5:])
    return known


def decision(run, row, known):
    """What a broker answers that knows this of the producer."""
    first, last = row.base_sequence, (row.base_sequence + row.record_count - 1) % 2**31
    if known is None:
        fits = run.unknown_producer_first_sequence == "any" or first == 0
    elif known[0] == row.producer_epoch and (first, last) in known[1]:
        return "known"
    elif row.producer_epoch < known[0]:
        return "INVALID_PRODUCER_EPOCH"
    elif known[0] < 0:
        fits = True
    elif row.producer_epoch > known[0] or not known[1]:
        fits = first == 0
    else:
        fits = first == (known[1][-1][1] + 1) % 2**31
    return "taken" if fits else "OUT_OF_ORDER_SEQUENCE_NUMBER"


def holes(log):
    """How many batches, or ends, of a log don't lie where they should."""
    found, end = 0, None
    for batch in log.batches:
        if end is None:
            found += batch[0] > log.log_start_offset or batch[0] < 0 or not batch[5]
        else:
            is_deleted = end < batch[0] <= log.log_start_offset
            found += (batch[0] != end and not is_deleted) or not batch[5]
        end = batch[0] + len(batch[5])
    return found + (log.log_end_offset != (log.log_start_offset if end is None else end))
