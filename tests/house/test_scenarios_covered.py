"""Every conformance scenario has a test that carries its id in its name (`test_bd_07_...`), or a reason why not.

The scenarios are retold from the tests of Apache Kafka. Coverage shrinks only by changing this list.
"""

from __future__ import annotations

import ast
import re
from pathlib import Path

SCENARIOS = {
    "BD": "01 02 03 04 05 07 08 09 10 11 12 13 14 15 17 18 19 20 21 22 23 25 26 28 29 30",  # duplicates
    "WR": "01 02 03 04",  # sequences that wrap round
    "EF": "02 04 06 07 08 10 11 12 13 14 15 16 18 19 20 21 22 23 24 26 27 29",  # epochs, fencing, markers
    "EX": "01 03 04 06 07 08 09 10 11",  # expiry
    "SR": "02 03 04 05 09 11 12 13 14 15 16 17 18 20 21 22 23 24 26",  # snapshots and recovery
    "LE": "01 02 03 04 05 07 08 10 11 13 15 17 18 19 20 22 24 25 27 29 30 32 33 35",  # leader epochs, truncation
    "RF": "01 02 03 05 06 07 08 09 10 11 12 13 14 16 18 19 21 23 25 26 27 28 31 32 34 35",  # replication, failover
    "CR": "01 03 04 05 06 07 08 09 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 28 30",  # the client's retries
    "DT": "01 04 05 06 07 09 10 13 15 17 18",  # delivery timeout
    "TC": "01 02 05 06 07 08 09 10 11 13 14 15 16 17 19 20 21 22 23 26 27 28 29 30 31 32 33 34 35 36 37 38 39 41 42 44",
    "TX": "01 02 04 05 06 08 09 10 11 12 13 15 16 18 19 21 23 24 25 26 28 30",  # transactions, end to end
    "RC": "01 02 03 05 06 07 09",  # readers of committed data
}

COORDINATOR = "needs a transaction coordinator, which is not built"
PRODUCER = "needs a transactional producer, which is not built"
NOT_TESTED = {
    "EF-18": "several batches in one append: an append here is one batch, as in a produce request",
    "EF-29": f"how a coordinator's answers to a verification are told: {COORDINATOR}",
    "EX-10": f"a transactional id outlives its producer id: {PRODUCER}",
    "EX-11": f"a transactional id expires under a living producer: {PRODUCER}",
    "RF-35": "appends of the metadata log with offsets given: metadata is a list of records here, no partition log",
    "CR-16": "a rewrite under the same epoch: only a transactional producer renumbers without raising the epoch",
    "CR-30": "an aborted transaction gives the failed sequence out again; an idempotent producer raises its epoch",
    "DT-09": "an unresolved sequence makes a transaction abortable; there is no transaction to abort",
    "DT-10": "a coordinator that can't raise epochs; an idempotent producer raises its own",
    **{f"TC-{number}": COORDINATOR for number in SCENARIOS["TC"].split()},
    "TX-09": "threads racing on one log: a log here has one caller",
    **{f"TX-{number}": PRODUCER for number in (15, 16, 18, 19, 21, 23, 24, 25, 26, 28, 30)},
}

NAMES = re.compile(rf"_({'|'.join(SCENARIOS).lower()})_(\d\d)(?=_)")


def ids_in_names() -> dict[str, str]:
    """Each id, with one of the tests that carry it."""
    found: dict[str, str] = {}
    for path in sorted(Path(__file__).parents[1].rglob("test_*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
                for chapter, number in NAMES.findall(node.name):
                    found[f"{chapter.upper()}-{number}"] = f"{path.name}: {node.name}"
    return found


def all_ids() -> list[str]:
    return [f"{chapter}-{number}" for chapter, numbers in SCENARIOS.items() for number in numbers.split()]


def test_every_scenario_has_a_test_that_names_it_or_a_reason() -> None:
    found = ids_in_names()
    assert [each for each in all_ids() if each not in found and each not in NOT_TESTED] == []


def test_no_reason_is_given_for_what_is_tested_and_no_test_names_what_is_not_there() -> None:
    found = ids_in_names()
    assert {each: found[each] for each in NOT_TESTED if each in found} == {}
    assert {each: where for each, where in found.items() if each not in all_ids()} == {}
    assert [each for each in NOT_TESTED if each not in all_ids()] == []


def test_the_list_of_scenarios_is_whole() -> None:
    counts = [len(numbers.split()) for numbers in SCENARIOS.values()]
    assert counts == [26, 4, 22, 9, 19, 24, 26, 27, 11, 36, 22, 7]
    assert sum(counts) == 233
    assert all(numbers.split() == sorted(set(numbers.split())) for numbers in SCENARIOS.values())
