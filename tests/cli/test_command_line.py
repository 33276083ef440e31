"""The command line as its user meets it: what it prints, what it exits with, what it says to bad input."""

from __future__ import annotations

import io
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from eventlog.cli import main

PLAIN_LINES = "".join(f"line {number}\n" for number in range(30))


def call(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    try:
        code = main(list(arguments))
    except SystemExit as stop:
        code = int(stop.code or 0)
    printed = capsys.readouterr()
    return code, printed.out, printed.err


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """The one line on stderr of a request that can't be right."""
    code, out, err = call(capsys, *arguments)
    assert code == 2
    assert out == ""
    assert err.startswith("eventlog: ")
    assert err.count("\n") == 1, err
    assert "Traceback" not in err
    return err


@pytest.fixture
def lines(tmp_path: Path) -> str:
    path = tmp_path / "lines.txt"
    path.write_text(PLAIN_LINES)
    return str(path)


# --- the main job -----------------------------------------------------------------------------------------------------


def test_the_sample_shows_duplicates_of_the_plain_writer_and_none_of_the_idempotent_one(
    capsys: pytest.CaptureFixture[str],
) -> None:
    code, out, _ = call(capsys, "run")
    assert code == 0
    row = re.search(r"duplicated\s+(\d+)\s+(\d+)", out)
    assert row is not None
    assert int(row[1]) > 0
    assert int(row[2]) == 0
    assert re.search(r"events\s+842\s+842", out)
    assert "Repeat it with: eventlog run --seed 0" in out
    for name in ("acknowledged", "lost", "out of order", "retries", "duplicates recognised", "failovers", "virtual s"):
        assert name in out


def test_the_same_seed_prints_the_same_numbers(capsys: pytest.CaptureFixture[str], lines: str) -> None:
    def numbers(seed: str) -> str:
        _, out, _ = call(capsys, "run", lines, "--seed", seed)
        return re.sub(r"real time.*", "", out)

    assert numbers("3") == numbers("3")
    assert numbers("3") != numbers("4")


def test_a_story_is_told_of_the_first_duplicate(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = call(capsys, "run", "--story")
    assert code == 0
    assert "plain writer: the first duplicate" in out
    assert "idempotent writer: the first duplicate" in out
    assert "DUPLICATE, it is at" in out


def test_many_runs_are_summed_up(capsys: pytest.CaptureFixture[str], lines: str) -> None:
    code, out, _ = call(capsys, "run", lines, "--runs", "3", "--seed", "5")
    assert code == 0
    assert "seeds 5 to 7" in out
    assert re.search(r"events\s+90 ", out)


def test_an_excused_loss_is_named_with_its_reason(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = call(capsys, "run", "--brokers", "1", "--seed", "50", "--runs", "6")
    assert code == 0
    why = "every in-sync copy lost: every in-sync replica that held the record lost the end of its log in a crash"
    assert re.search(rf"Excused, {why} .*H5 nothing lost in \d+ places", out)


def test_without_faults_both_writers_are_right(capsys: pytest.CaptureFixture[str], lines: str) -> None:
    code, out, _ = call(capsys, "run", lines, "--faults", "none")
    assert code == 0
    assert re.search(r"duplicated\s+0\s+0", out)
    assert re.search(r"deviations\s+0\s+0", out)


def test_acks_of_the_plain_writer_can_be_chosen(capsys: pytest.CaptureFixture[str], lines: str) -> None:
    for acks in ("0", "1", "all"):
        code, out, _ = call(capsys, "run", lines, "--acks", acks, "--faults", "none")
        assert code == 0
        assert re.search(r"in the log\s+30\s+30", out)


def test_json_lines_are_keyed_and_timed_by_their_fields(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    path = tmp_path / "orders.jsonl"
    rows = [{"customer": f"c{n % 3}", "created": 1_700_000_000 + n * 60, "n": n} for n in range(20)]
    path.write_text("\n".join(json.dumps(row) for row in rows))
    out_directory = tmp_path / "out"
    code, out, _ = call(
        capsys,
        "run",
        str(path),
        "--key",
        "customer",
        "--time",
        "created",
        "--speed",
        "10",
        "--export",
        str(out_directory),
    )
    assert code == 0
    log = [json.loads(line) for line in (out_directory / "log-idempotent.jsonl").read_text().splitlines()]
    assert sorted(row["event"] for row in log) == list(range(20))
    by_key: dict[str, list[int]] = {}
    for row in log:
        by_key.setdefault(row["key"], []).append(row["partition"])
    assert all(len(dict.fromkeys(partitions)) == 1 for partitions in by_key.values())
    assert re.search(r"virtual s\s+1\d\d", out)


def test_standard_input_is_read(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(PLAIN_LINES.encode())))
    code, out, _ = call(capsys, "run", "-", "--faults", "none")
    assert code == 0
    assert re.search(r"events\s+30\s+30", out)


def test_an_export_can_be_checked_and_replayed(capsys: pytest.CaptureFixture[str], tmp_path: Path, lines: str) -> None:
    code, _, _ = call(capsys, "run", lines, "--seed", "2", "--export", str(tmp_path))
    assert code == 0
    for writer in ("plain", "idempotent"):
        code, judged, _ = call(capsys, "check", str(tmp_path / f"history-{writer}.jsonl"))
        assert code == 0
        assert judged == (tmp_path / f"verdict-{writer}.txt").read_text()
        again = tmp_path / f"again-{writer}"
        code, out, _ = call(capsys, "replay", str(tmp_path / f"literal-{writer}.txt"), "--export", str(again))
        assert code == 0
        for part in ("trace", "log"):
            name = f"{part}-{writer}.jsonl"
            assert (again / name).read_text() == (tmp_path / name).read_text()
        code, out, _ = call(capsys, "replay", (tmp_path / f"literal-{writer}.txt").read_text())
        assert code == 0
        assert judged.splitlines()[0] in out


def test_help_has_examples(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in (("--help",), ("run", "--help")):
        code, out, _ = call(capsys, *arguments)
        assert code == 0
        assert "eventlog run --seed 7 --story" in out


def test_a_broken_promise_exits_with_one(capsys: pytest.CaptureFixture[str], tmp_path: Path, lines: str) -> None:
    call(capsys, "run", lines, "--export", str(tmp_path))
    path = tmp_path / "history-idempotent.jsonl"
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    for row in rows:
        if row["row"] == "Log":
            row["batches"] = []
    path.write_text("\n".join(json.dumps(row) for row in rows))
    code, out, _ = call(capsys, "check", str(path))
    assert code == 1
    assert "H5" in out


def test_ctrl_c_prints_what_was_reached(lines: str) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "eventlog", "run", lines, "--runs", "100000"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
        # Who runs the tests in the background of a shell has them ignore it, and what they start too.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    # Long enough for some runs on any machine; what is asserted doesn't depend on how many.
    deadline = time.monotonic() + 3.0
    while time.monotonic() < deadline and process.poll() is None:
        try:
            process.wait(timeout=0.2)
        except subprocess.TimeoutExpired:
            continue
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=30)
    assert "stopped after" in err
    assert "Traceback" not in err
    assert "plain writer" in out


# --- bad input --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("run", "missing.jsonl"), "missing.jsonl can't be read"),
        (("run", "--faults", "gremlins"), "unknown fault 'gremlins'; the known ones are: request_lost"),
        (("run", "--max-in-flight", "6"), "from 1 to 5"),
        (("run", "--max-in-flight", "0"), "from 1 to"),
        (("run", "--brokers", "0"), "brokers must be from 1 to 32, not 0"),
        (("run", "--brokers", "33"), "brokers must be from 1 to 32, not 33"),
        (("run", "--min-insync-replicas", "4"), "at most the 3 replicas"),
        (("run", "--min-insync-replicas", "0"), "min_insync_replicas must be from 1"),
        (("run", "--acks", "2"), "--acks must be all, 1 or 0, not '2'"),
        (("run", "--speed", "0"), "speed must be above 0"),
        (("run", "--speed", "nan"), "speed must be above 0"),
        (("run", "--runs", "0"), "--runs must be 1 or more"),
        (("run", "--seed", "x"), "invalid int value"),
        (("run", "--partitions", "0"), "partitions must be from 1"),
        (
            (
                "run",
                "--nonsense",
            ),
            "unrecognized arguments",
        ),
        ((), "required"),
        (("dance",), "invalid choice"),
        (("check", "missing"), "missing can't be read"),
        (("replay", "missing"), "missing can't be read"),
        (("replay", "{'eventlog': 99}"), "format 99; this version reads format 1"),
        (("replay", "{'eventlog': 1}"), "a literal needs 'scenario'"),
        (("replay", "{broken"), "not a run's literal"),
        (("replay", "{'eventlog': 1, 'scenario': {}, 'deviations': []}"), "a program's own cluster"),
    ],
)
def test_a_request_that_cannot_be_right_is_one_line(
    capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], says: str
) -> None:
    assert says in refused(capsys, *arguments)


def test_an_empty_input_is_refused(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    path = tmp_path / "empty"
    path.write_bytes(b"\n\n")
    assert "has no events in it" in refused(capsys, "run", str(path))
    path.write_bytes(b"")
    assert "is empty" in refused(capsys, "check", str(path))


def test_a_directory_is_no_input(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert "can't be read" in refused(capsys, "run", str(tmp_path))


def broken_file(tmp_path: Path, line: bytes) -> str:
    rows = [b'{"k": "a", "t": "2013-01-01T00:00"}'] * 1_000
    rows[699] = line
    path = tmp_path / "events.jsonl"
    path.write_bytes(b"\n".join(rows))
    return str(path)


@pytest.mark.parametrize(
    ("line", "says"),
    [
        (b'{"k": "a", "t": ', "this is not JSON"),
        (b'["k"]', "a JSON object was expected"),
        (b'{"t": "2013-01-01T00:00"}', "there is no field 'k' for the key"),
        (b'{"k": "a"}', "there is no field 't' for the time"),
        (b'{"k": "a", "t": "soon"}', "field 't' is no ISO 8601 time"),
        (b'{"k": "a", "t": null}', "field 't' holds no time"),
        (b'{"k": "\xff", "t": 1}', "this is not UTF-8 (byte 8)"),
    ],
)
def test_a_broken_line_is_shown_with_its_number_or_skipped_and_counted(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, line: bytes, says: str
) -> None:
    path = broken_file(tmp_path, line)
    message = refused(capsys, "run", path, "--key", "k", "--time", "t")
    assert "line 700: " in message
    assert says in message
    code, out, _ = call(capsys, "run", path, "--key", "k", "--time", "t", "--skip-bad", "--faults", "none")
    assert code == 0
    assert "1 broken lines were left out" in out
    assert re.search(r"events\s+999\s+999", out)


def test_a_literal_that_no_longer_applies_says_so(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, lines: str
) -> None:
    call(capsys, "run", lines, "--seed", "2", "--export", str(tmp_path))
    literal = (tmp_path / "literal-plain.txt").read_text()
    begin = "'deviations': ["
    stale = literal.replace(begin, f"{begin}('writer produces events-9 @0 try 0', 1, 'delay', 'a>b', 5), ")
    assert stale != literal
    code, _, err = call(capsys, "replay", stale)
    assert code == 2
    assert "1 of" in err
    assert "no longer apply" in err
    Path(lines).write_text("other\n")
    assert "the events differ" in refused(capsys, "replay", literal)


def test_a_history_with_unknown_and_missing_fields_is_judged_as_far_as_it_goes(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, lines: str
) -> None:
    call(capsys, "run", lines, "--export", str(tmp_path))
    path = tmp_path / "history-idempotent.jsonl"
    rows = path.read_text().splitlines()
    rows[2] = rows[2].replace('"at_ms"', '"when"')
    rows[3] = '{"row": "Gossip"}'
    rows[4] = "{"
    path.write_text("\n".join(rows))
    _, out, err = call(capsys, "check", str(path))
    assert err == ""
    for number in (3, 4, 5):
        assert f"line {number}:" in out


def test_an_export_that_cannot_be_written_is_refused_before_the_run(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, lines: str
) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("")
    assert "can't be made" in refused(capsys, "run", lines, "--export", str(blocked / "below"))
