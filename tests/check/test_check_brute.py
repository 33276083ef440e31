"""The judge and a slow second judge written from the definitions say the same.

`CHECK_HISTORIES=100000 pytest tests/check/test_check_brute.py` judges more of them.
"""

import gc
import os
from random import Random

from check_brute import brute
from check_random import random_history

import eventlog.check.verdict as verdict_room
from eventlog.check import History, Log, judge, read_history, to_json_lines

HISTORIES = int(os.environ.get("CHECK_HISTORIES", "10000"))


def test_both_judges_count_the_same_on_random_histories(monkeypatch):
    gc.disable()  # nothing here is cyclic, and a sixth of the time is saved
    broken = dict.fromkeys(judge(History([])).as_dict()["counts"], 0)
    monkeypatch.setattr(verdict_room, "MOST_FINDINGS_KEPT", 32)  # set below; put back in the end
    places_seen: dict[str, int] = {}
    excused_seen: dict[str, int] = {}
    for seed in range(HISTORIES):
        # Describing takes a third of the time; what is counted must not depend on it.
        verdict_room.MOST_FINDINGS_KEPT = 0 if seed % 8 else 32
        history = random_history(Random(seed))
        verdict = judge(history)
        found, excused, counts = brute(history)
        ours = {result.promise: result.places for result in verdict.promises}
        assert {name: ours[name] for name in found} == found, f"seed {seed}\n{verdict.report()}"
        granted = {name: verdict.promise(name).excused for name in excused}
        assert granted == excused, f"seed {seed}\n{verdict.report()}"
        assert {name: getattr(verdict.counts, name) for name in counts} == counts, f"seed {seed}\n{verdict.report()}"
        for name, places in ours.items():
            places_seen[name] = places_seen.get(name, 0) + bool(places)
        for name, places in excused.items():
            excused_seen[name] = excused_seen.get(name, 0) + bool(places)
        for name in counts:
            broken[name] += bool(counts[name])
    gc.enable()
    if HISTORIES >= 1000:
        for name in found:
            assert HISTORIES * 0.001 < places_seen[name] < HISTORIES * 0.9, f"{name}: {places_seen[name]}"
        for name in excused:
            assert excused_seen[name] > HISTORIES * 0.0005, f"{name} excused: {excused_seen[name]}"


def test_a_history_that_went_through_lines_gets_the_same_verdict():
    for seed in range(300):
        history = random_history(Random(seed))
        assert judge(read_history(to_json_lines(history))) == judge(history), f"seed {seed}"


def test_a_verdict_does_not_depend_on_how_often_it_is_asked():
    for seed in range(50):
        history = random_history(Random(seed))
        assert judge(history) == judge(history)


def test_the_order_of_replicas_does_not_change_whether_it_held():
    for seed in range(300):
        rows = random_history(Random(seed)).rows
        logs = [row for row in rows if isinstance(row, Log)]
        others = [row for row in rows if not isinstance(row, Log)]
        turned = History([*others[:-1], *reversed(logs), others[-1]])
        if sum(row.is_leader for row in logs if row.partition == 0) == 1 and len(logs) == 3:
            assert judge(turned).held == judge(History(rows)).held, f"seed {seed}"
