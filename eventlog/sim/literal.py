"""A run as a Python literal: what it was made of and where it deviated. It can be pasted, kept and replayed."""

from __future__ import annotations

import ast
from collections.abc import Iterable
from typing import Any

from eventlog.errors import RequestError
from eventlog.sim.faults import Deviation
from eventlog.values import FAULTS

FORMAT = 1


def run_literal(scenario: dict[str, Any], deviations: Iterable[Deviation]) -> str:
    """`{'eventlog': 1, 'scenario': {...}, 'deviations': [...]}`"""
    return repr(
        {"eventlog": FORMAT, "scenario": scenario, "deviations": [tuple(deviation) for deviation in deviations]}
    )


def read_literal(text: str) -> tuple[dict[str, Any], tuple[Deviation, ...]]:
    """(scenario, deviations) of a literal. Raises RequestError that says what is wrong with it."""
    try:
        value = ast.literal_eval(text.strip())
    except (ValueError, SyntaxError, MemoryError, RecursionError) as error:
        raise RequestError(f"this is not a run's literal: {error}") from None
    if not isinstance(value, dict) or "eventlog" not in value:
        raise RequestError("this is not a run's literal: a dictionary with 'eventlog', 'scenario' and 'deviations' is")
    if value["eventlog"] != FORMAT:
        raise RequestError(f"this literal has format {value['eventlog']!r}; this version reads format {FORMAT}")
    scenario, deviations = value.get("scenario"), value.get("deviations")
    if not isinstance(scenario, dict) or not isinstance(deviations, list | tuple):
        raise RequestError("a literal needs 'scenario', a dictionary, and 'deviations', a list")
    return scenario, tuple([_deviation(fields) for fields in deviations])


def _deviation(fields: Any) -> Deviation:
    if not isinstance(fields, list | tuple) or len(fields) != 5:
        raise RequestError(
            f"a deviation has five fields (event, occurrence, fault, target, duration_ms), not {fields!r}"
        )
    event, occurrence, fault, target, duration_ms = fields
    kinds = (isinstance(event, str), isinstance(occurrence, int), isinstance(fault, str), isinstance(target, str))
    if not all(kinds) or not isinstance(duration_ms, int):
        raise RequestError(f"a deviation is (text, number, text, text, number), not {fields!r}")
    if fault not in FAULTS:
        raise RequestError(f"unknown fault {fault!r} in a deviation; the known ones are: {', '.join(FAULTS)}")
    return Deviation(event, occurrence, fault, target, duration_ms)
