"""Every class of Jepsen's checker for Kafka that means something without transactions is found by a promise of ours."""

import pytest
from check_rows import LED, acked, batch, log, read, sent, unhealed

from eventlog.check import BROKEN, HELD, Assigned, Failed, judge

WROTE = (LED, sent(0, 1, 2), acked(0, 0), acked(1, 1), acked(2, 2), log(batch(0, 0), batch(1, 1), batch(2, 2)))
ALL = ((0, 0, 0), (1, 0, 1), (2, 0, 2))
WHOLE_BATCH = (LED, sent(0, 1), acked(0, 0, 1))

CLASSES = {
    "inconsistent-offsets, two readers": ("H6", [*WROTE, read(*ALL), read((0, 0, 0), (1, 0, 2), consumer="d")]),
    "inconsistent-offsets, two replicas": (
        "H7",
        [LED, sent(0, 1), log(batch(0, 0)), log(batch(0, 1, leader_epoch=1), broker=2)],
    ),
    "inconsistent-offsets, ack and log": ("A1", [sent(0, 1), acked(1, 0, sequence=0), log(batch(0, 0), batch(1, 1))]),
    "duplicate": ("H2", [sent(0), log(batch(0, 0), batch(1, 0))]),
    "lost-write": ("H5", [LED, sent(0, 1), acked(0, 0), read((0, 0, 1)), log(batch(0, 1, sequence=0))]),
    "unseen": ("H5", [LED, sent(0, 1), acked(0, 0), acked(1, 1), read((0, 0, 0)), log(batch(0, 0))]),
    "G1a aborted read": (
        "G1a",
        [sent(0), Failed(50, "p", "t", 0, (0,), "INVALID_RECORD", False, 1), read((0, 0, 0)), log(batch(0, 0))],
    ),
    "int-poll-skip": ("R2", [*WROTE, read(ALL[0], ALL[2])]),
    "int-nonmonotonic-poll": ("R1", [*WROTE, read(ALL[1], ALL[0])]),
    "int-nonmonotonic-poll, the same again": ("R1", [*WROTE, read(ALL[0], ALL[0])]),
    "int-send-skip": ("H11", [*WHOLE_BATCH, log(batch(0, 0), batch(1, 2), batch(2, 1, sequence=2))]),
    "int-nonmonotonic-send": ("H3", [*WHOLE_BATCH, log(batch(0, 1, 0))]),
    "poll-skip": ("R2", [*WROTE, read(ALL[0]), read(ALL[2])]),
    "nonmonotonic-poll": ("R1", [*WROTE, read(ALL[0], ALL[1]), read(ALL[0])]),
    "nonmonotonic-send": ("H3", [sent(0, 1), log(batch(0, 1), batch(1, 0))]),
}


@pytest.mark.parametrize("kind", CLASSES)
def test_a_class_of_anomaly_is_found(kind):
    promise, rows = CLASSES[kind]
    assert judge(unhealed(*rows)).promise(promise).status == BROKEN


@pytest.mark.parametrize("promise", ["H6", "R1", "R2"])
def test_a_reader_that_goes_on_from_poll_to_poll_is_right(promise):
    polls = [read(ALL[0]), read(*ALL[1:]), Assigned(61, "c", "t", 0, 0), read(*ALL), read(*ALL, consumer="d")]
    assert judge(unhealed(*WROTE, *polls)).promise(promise).status == HELD
