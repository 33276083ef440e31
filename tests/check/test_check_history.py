"""A history goes to lines and comes back the same, and no line whatsoever can break its reading or judging."""

import json
from typing import get_type_hints

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eventlog.check import (
    ROW_KINDS,
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
    judge,
    read_history,
    to_json_line,
    to_json_lines,
)
from eventlog.check.history import LogBatch, ReadRecord

EXAMPLES = [
    Run(1, "0.1.0", "idempotent", -1, 2, 3, "replay('é\n')"),
    Sent(1700000000000, "p", 0, "t", -1),
    Acked(1, "p", "t", 0, 4, (0, 1), 7, 0, 3, 2),
    Failed(1, "p", "t", 0, (2,), "REQUEST_TIMED_OUT", True, 3),
    Refused(1, 2, "t", 0, 7, 0, 3, 2, "OUT_OF_ORDER_SEQUENCE_NUMBER", 5),
    Assigned(1, "c", "t", 0, -1),
    Read(1, "c", "t", 0, ((4, 0, 0), (5, 0, 1))),
    Fault(1, "crash", "broker 1", "reply to batch 3", 12),
    LeaderChanged(1, "t", 0, -1, 2, (), (3,)),
    Truncated(1, 2, "t", 0, 3, 5),
    TailLost(1, 2, "t", 0, 3, 5),
    Forgot(1, 2, "t", 0, "expired", (7,), 5),
    LogStartMoved(1, 2, "t", 0, 0, 3),
    Log(1, 2, "t", 0, True, 0, 1, 2, ((0, 0, 7, 0, 0, (0,)), (1, 0, -1, -1, -1, (-1,)))),
    End(1, False),
]
BY_TYPE = {
    int: st.integers(),
    str: st.text(),
    bool: st.booleans(),
    tuple[int, ...]: st.lists(st.integers(), max_size=3).map(tuple),
    tuple[ReadRecord, ...]: st.lists(st.tuples(*[st.integers()] * 3), max_size=3).map(tuple),
    tuple[LogBatch, ...]: st.lists(
        st.tuples(*[st.integers(-1, 3)] * 5, st.lists(st.integers(-1, 5), max_size=3).map(tuple)), max_size=3
    ).map(tuple),
}


def any_rows():
    return st.one_of(
        *(
            st.builds(kind, **{f: BY_TYPE[held] for f, held in get_type_hints(kind).items()})
            for kind in ROW_KINDS.values()
        )
    )


def test_every_kind_of_row_has_an_example():
    assert [type(row).__name__ for row in EXAMPLES] == list(ROW_KINDS)


@pytest.mark.parametrize("row", EXAMPLES, ids=lambda row: type(row).__name__)
def test_a_row_comes_back_from_its_line_the_same(row):
    line = to_json_line(row)
    assert "\n" not in line
    back = read_history([line])
    assert back.rows == [row]
    assert type(back.rows[0]) is type(row)
    assert not back.problems


@given(st.lists(any_rows(), max_size=8))
@settings(max_examples=150, deadline=None)
def test_any_rows_come_back_the_same_and_are_judged_the_same(rows):
    history = History(rows)
    back = read_history(to_json_lines(history))
    assert back.rows == rows
    assert not back.problems
    verdict = judge(history)
    assert judge(back) == verdict
    json.dumps(verdict.as_dict())
    assert verdict.report()


@given(
    st.lists(
        st.one_of(
            st.text(),
            st.recursive(
                st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
                lambda inner: (
                    st.lists(inner, max_size=3)
                    | st.dictionaries(
                        st.sampled_from(["row", "at_ms", "batches", "send_numbers", "records", "x"]),
                        inner | st.sampled_from(list(ROW_KINDS)),
                        max_size=4,
                    )
                ),
                max_leaves=8,
            ).map(json.dumps),
        ),
        max_size=5,
    )
)
@settings(max_examples=150, deadline=None)
def test_no_line_can_break_the_reading_or_the_judging(lines):
    history = read_history(lines)
    assert len(history.rows) + len(history.problems) == len([line for line in lines if line.strip()])
    assert judge(history).report()


@given(
    st.sampled_from(EXAMPLES),
    st.data(),
    st.one_of(
        st.none(), st.text(max_size=3), st.floats(), st.lists(st.integers() | st.none(), max_size=2), st.booleans()
    ),
)
@settings(max_examples=150, deadline=None)
def test_a_wrong_value_in_any_field_is_a_problem_or_a_row(row, data, value):
    line = json.loads(to_json_line(row))
    field = data.draw(st.sampled_from(list(line)))
    line[field] = value
    history = read_history([json.dumps(line)])
    assert len(history.rows) + len(history.problems) == 1
    judge(history)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("{", "one JSON object"),
        ("[" * 100_000, "one JSON object"),
        ('{"row":"End","at_ms":' + "1" * 5000 + ',"healed":true}', "one JSON object"),
        ("[1]", "one JSON object"),
        ("{}", "a field 'row' that is one of: Run"),
        ('{"row":"Rain"}', "a field 'row' that is one of: Run"),
        ('{"row":["End"]}', "a field 'row' that is one of: Run"),
        ('{"row":"End","at_ms":1}', "End with a field 'healed'"),
        ('{"row":"End","at_ms":1,"healed":true,"x":1}', "End without a field 'x'; it has: at_ms, healed"),
        ('{"row":"End","at_ms":true,"healed":true}', "End.at_ms to be a whole number"),
        ('{"row":"End","at_ms":1.0,"healed":true}', "End.at_ms to be a whole number"),
        ('{"row":"End","at_ms":1,"healed":1}', "End.healed to be true or false"),
        ('{"row":"Read","at_ms":1,"consumer":"c","topic":"t","partition":0,"records":[[1,2]]}', "Read.records to be"),
    ],
)
def test_a_bad_line_is_told_with_its_number_and_what_was_expected(line, expected):
    history = read_history(["", line, to_json_line(End(1, True))])
    assert [problem.line_number for problem in history.problems] == [2]
    assert history.problems[0].expected.startswith(expected)
    assert len(history.problems[0].text) <= 120
    assert history.rows == [End(1, True)]
    assert history.line_number(0) == 3


@pytest.mark.parametrize(
    ("row", "added"),
    [
        (EXAMPLES[0], 4),
        (Acked(1, "p", "t", 0, 4, (0, 1), 7, 0, 3, 2), 1),
        (LeaderChanged(1, "t", 0, 1, 2, (1,)), 1),
        (Forgot(1, 2, "t", 0, "restart"), 2),
    ],
    ids=lambda row: type(row).__name__,
)
def test_fields_that_came_later_may_be_left_out(row, added):
    line = json.loads(to_json_line(row))
    for field in row._fields[-added:]:
        del line[field]
    assert read_history([json.dumps(line)]).rows == [row]


def problems(*rows):
    return [problem.text for problem in judge(History(rows)).problems]


def test_rows_that_do_not_fit_together_are_told():
    run, end = EXAMPLES[0], EXAMPLES[-1]
    assert problems(run, end) == []
    assert problems() == ["no Run row"]
    assert problems(end._replace(), run) == ["1 rows after End", "no Run row"]
    assert problems(EXAMPLES[1], run) == ["Sent first"]
    assert problems(run, run) == ["2 Run rows; the first counts"]
    assert problems(run._replace(format=2)) == ["format 2"]
    assert problems(run._replace(acks=3)) == ["acks 3"]
    assert problems(run, EXAMPLES[1], EXAMPLES[1]) == ["send_number of Sent rows"]
    assert problems(run, EXAMPLES[1]._replace(send_number=-1)) == ["send_number -1 in a Sent row"]
    assert problems(run, Fault(1, "crash", "", "", 12)._replace(fault="rain")) == ["unknown fault 'rain'"]
    assert problems(run, "no row") == ["1 objects are no rows"]


def test_what_stands_behind_the_end_is_not_judged():
    run, sent, end = EXAMPLES[0], EXAMPLES[1], EXAMPLES[-1]
    assert judge(History([run, end, sent])).counts.sent == 0


def test_an_unnumbered_record_is_counted_but_never_taken_for_another():
    rows = [EXAMPLES[0], Acked(1, "p", "t", 0, 0, (-1, -1), 7, 0, 0, 1), Acked(1, "p", "t", 0, 2, (-1,), 7, 0, 2, 1)]
    log = Log(1, 1, "t", 0, True, 0, 3, 3, ((0, 0, 7, 0, 0, (-1, -1)), (2, 0, 7, 0, 2, (-1,))))
    verdict = judge(History([*rows, log, End(2, True)]))
    assert verdict.held, verdict.report()
    assert (verdict.counts.in_log, verdict.counts.duplicated, verdict.counts.acknowledged) == (3, 0, 0)


def test_appending_is_the_lists_own_append():
    history = History()
    for row in EXAMPLES:
        history.append(row)
    assert list(history) == EXAMPLES
    assert len(history) == len(EXAMPLES)
    assert history.of(Sent) == [EXAMPLES[1]]
