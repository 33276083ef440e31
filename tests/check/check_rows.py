"""Rows of small histories, in as few words as can be: producer p (id 7) writes to t-0, broker 1 leads."""

from eventlog.check import Acked, End, History, LeaderChanged, Log, Read, Refused, Run, Sent, TailLost

RUN = Run(1, "0.1.0", "idempotent", -1, 2, 3, "replay('x')")
LED = LeaderChanged(0, "t", 0, 1, 0, (1, 2, 3))


def sent(*numbers, producer="p", partition=0):
    return [Sent(number, producer, number, "t", partition) for number in numbers]


def acked(base_offset, *numbers, producer_id=7, epoch=0, sequence=None, at_ms=50):
    sequence = base_offset if sequence is None else sequence
    return Acked(at_ms, "p", "t", 0, base_offset, numbers, producer_id, epoch, sequence, 1)


def batch(base_offset, *numbers, leader_epoch=0, producer_id=7, epoch=0, sequence=None):
    return (base_offset, leader_epoch, producer_id, epoch, base_offset if sequence is None else sequence, numbers)


def log(*batches, broker=1, high_watermark=None, is_leader=None, start=0, end=None):
    end = (batches[-1][0] + len(batches[-1][5]) if batches else 0) if end is None else end
    high_watermark = end if high_watermark is None else high_watermark
    is_leader = broker == 1 if is_leader is None else is_leader
    return Log(90, broker, "t", 0, is_leader, start, high_watermark, end, batches)


def read(*records, consumer="c"):
    return Read(60, consumer, "t", 0, records)


def history(*rows, run=RUN, healed=True):
    flat = [inner for row in rows for inner in (row if isinstance(row, list) else [row])]
    return History([run, *flat, End(99, healed)])


def unhealed(*rows):
    return history(*rows, healed=False)


def status(verdict, promise):
    return verdict.promise(promise).status


def tail(broker, first=0, end=5):
    return TailLost(70, broker, "t", 0, first, end)


def in_sync(*brokers, leader=1, epoch=1):
    return LeaderChanged(70, "t", 0, leader, epoch, brokers)


def refused(sequence, error="OUT_OF_ORDER_SEQUENCE_NUMBER", end=0, count=1, epoch=0, producer_id=7, broker=1):
    return Refused(60, broker, "t", 0, producer_id, epoch, sequence, count, error, end)
