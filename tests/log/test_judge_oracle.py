"""The verdict against an oracle that knows only the list of what was appended and the table of rules.

Nothing is shared with the product: the oracle keeps no state per producer, it reads the whole history for each question.
"""

from __future__ import annotations

from typing import NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from log_stage import MAX, batch

from eventlog.log.producer_state import Accepted, Duplicate, ProducerState, Rejected, Verdict
from eventlog.values import RecordBatch, placed


class Sent(NamedTuple):
    producer_id: int
    epoch: int
    first: int
    count: int
    offset: int = -1

    @property
    def sequences(self) -> tuple[int, int]:
        return self.first, (self.first + self.count - 1) % 2**31


def expected(history: tuple[Sent, ...], sent: Sent) -> str | int:
    """ "append", "duplicate of <offset>", or the error's number, by the rows of the table."""
    own = [known for known in history if known.producer_id == sent.producer_id]
    if not own:
        return "append"
    epoch = own[-1].epoch
    if sent.epoch < epoch:
        return 47
    if sent.epoch > epoch:
        return "append" if sent.first == 0 else 45
    this_epoch = [known for known in own if known.epoch == epoch]
    for known in this_epoch[-5:]:
        if known.sequences == sent.sequences:
            return f"duplicate of {known.offset}"
    return "append" if sent.first == (this_epoch[-1].sequences[1] + 1) % 2**31 else 45


def told(verdict: Verdict) -> str | int:
    if isinstance(verdict, Accepted):
        return "append"
    if isinstance(verdict, Duplicate):
        return f"duplicate of {verdict.base_offset}"
    assert isinstance(verdict, Rejected)
    return int(verdict.error)


def as_batch(sent: Sent, known: dict[Sent, RecordBatch]) -> RecordBatch:
    made = known.get(sent)
    if made is None:
        made = known[sent] = batch(sent.producer_id, sent.epoch, sent.first, sent.count)
    return made


def explore(alphabet: list[Sent], depth: int) -> int:
    """Every history of up to `depth` appended batches, and every batch of the alphabet after each. Returns how many
    verdicts were compared. Refused batches leave the state equal, so histories with them in between are these too."""
    known: dict[Sent, RecordBatch] = {}
    compared = 0
    todo: list[tuple[tuple[Sent, ...], tuple[object, ...], int]] = [((), ProducerState().freeze(), 0)]
    while todo:
        history, frozen, end_offset = todo.pop()
        state = ProducerState.thaw(frozen)
        followers = []
        for sent in alphabet:
            answer = told(state.judge(as_batch(sent, known)))
            wanted = expected(history, sent)
            assert answer == wanted, f"{sent} after {history}: {answer}, not {wanted}"
            compared += 1
            if wanted == "append" and len(history) < depth:
                followers.append(sent)
        assert state.freeze() == frozen, f"a verdict changed something after {history}"
        for sent in followers:
            child = ProducerState.thaw(frozen)
            child.remember(placed(as_batch(sent, known), end_offset, 0))
            child.check_invariants()
            todo.append(((*history, sent._replace(offset=end_offset)), child.freeze(), end_offset + sent.count))
    return compared


def alphabet_of(producer_ids: tuple[int, ...], epochs: tuple[int, ...], firsts: tuple[int, ...]) -> list[Sent]:
    return [
        Sent(producer_id, epoch, first, count)
        for producer_id in producer_ids
        for epoch in epochs
        for first in firsts
        for count in (1, 2)
    ]


AROUND_THE_WRAP = (MAX - 1, MAX, 0, 1, 2)


@pytest.mark.parametrize(
    ("producer_ids", "epochs", "firsts", "depth", "at_least"),
    [
        ((1,), (0, 1), AROUND_THE_WRAP, 8, 10_000),
        ((1, 2), (0, 1), (MAX - 1, MAX, 0, 1), 3, 100_000),
        ((1,), (0,), (0, 1, 2, 3, 4, 5, 6, 7), 8, 2_000),
        ((1,), (32766, 32767), (MAX - 3, MAX - 2, *AROUND_THE_WRAP, 3), 6, 20_000),
    ],
    ids=["one producer", "two producers", "beyond the five", "the highest epochs"],
)
def test_every_short_history_gets_the_tables_verdicts(
    producer_ids: tuple[int, ...], epochs: tuple[int, ...], firsts: tuple[int, ...], depth: int, at_least: int
) -> None:
    assert explore(alphabet_of(producer_ids, epochs, firsts), depth) >= at_least


SENDS = st.lists(
    st.tuples(
        st.sampled_from((1, 2, 9_000_000_000_000)),
        st.sampled_from((0, 0, 0, 1, 2, 32767)),
        # Mostly what a client may send: the next, or one that was sent before; else anything.
        st.sampled_from(("next", "next", "next", "again", "again", "zero", "odd")),
        st.integers(0, 7),
        st.sampled_from((1, 1, 2, 3, 500)),
    ),
    max_size=60,
)


@settings(max_examples=150, deadline=None, derandomize=True)
@given(st.sampled_from((0, 5, MAX - 3, MAX)), SENDS)
def test_a_long_history_gets_the_tables_verdicts(start: int, sends: list[tuple[int, int, str, int, int]]) -> None:
    state = ProducerState()
    history: tuple[Sent, ...] = ()
    end_offset = 0
    for producer_id, raised, kind, back, count in sends:
        own = [known for known in history if known.producer_id == producer_id]
        epoch = own[-1].epoch if own and raised == 0 else raised
        first = (own[-1].sequences[1] + 1) % 2**31 if own else start
        if kind == "again" and own:
            old = own[max(0, len(own) - 1 - back)]
            sent = old._replace(offset=-1)
        else:
            first = {"zero": 0, "odd": (first + back) % 2**31}.get(kind, first)
            sent = Sent(producer_id, epoch, first, count)
        made = batch(*sent[:4])
        before = state.freeze()
        answer, wanted = told(state.judge(made)), expected(history, sent)
        assert answer == wanted
        assert state.freeze() == before
        if wanted == "append":
            state.remember(placed(made, end_offset, 0))
            history = (*history, sent._replace(offset=end_offset))
            end_offset += count
    state.check_invariants()
    assert ProducerState.thaw(state.freeze()).freeze() == state.freeze()
