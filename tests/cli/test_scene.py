"""`eventlog scene` and `eventlog run --html`, as their user meets them."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from eventlog.cli import main
from eventlog.cli.scene import Player
from eventlog.views.scenes import NUMBERS, find_scene


def player(name: str) -> Player:
    found = find_scene(name)
    return Player(found.title, found.question, found.sheets())


def test_without_a_name_it_says_which_scenes_there_are(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["scene"]) == 0
    printed = capsys.readouterr().out
    assert [line.split()[:2] for line in printed.splitlines()] == [list(known) for known in NUMBERS.items()]


def test_a_scene_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["scene", "lost-ack"]) == 0
    printed = capsys.readouterr().out
    assert "m1: DUPLICATE, offset 1" in printed
    assert "because sequence 1 is already at offset 1" in printed
    assert main(["scene", "1"]) == 0
    assert capsys.readouterr().out == printed


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["nope"], "there is no scene 'nope'; the scenes are: 1 lost-ack"),
        (["--step"], "which scene? There are: lost-ack, mirror"),
        (["1", "--html", "/nowhere/page.html"], "/nowhere/page.html can't be written"),
        (["1", "--step"], "--step needs a terminal"),
    ],
)
def test_bad_input_is_one_line(arguments: list[str], complaint: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["scene", *arguments]) == 2
    said = capsys.readouterr().err
    assert said.startswith(f"eventlog: {complaint}")
    assert said.count("\n") == 1


def test_a_scene_becomes_a_page(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page = tmp_path / "page.html"
    assert main(["scene", "mirror", "--html", str(page)]) == 0
    assert capsys.readouterr().out == f"the page is in {page}\n"
    assert "idempotent writer" in page.read_text()


def test_a_player_goes_on_and_back_and_says_why() -> None:
    shown = player("lost-ack")
    assert "step 1 of 5" in shown.screen()
    assert "the answer to m1" not in shown.screen()
    shown.press(" ")
    assert "the answer to m1" in shown.screen()
    shown.press("b")
    shown.press("b")
    assert "step 1 of 5" in shown.screen()
    for _ in range(9):
        shown.press(" ")
    assert "step 5 of 5" in shown.screen()
    assert "why: " not in shown.screen()
    shown.press("w")
    assert "why: sequence 1 is already at offset 1, written under leader_epoch 0" in shown.screen()
    shown.press("x")
    assert not shown.is_over
    shown.press("q")
    assert shown.is_over


def test_columns_stand_still_while_a_scene_is_played() -> None:
    shown = player("failover")
    heads = []
    for _ in range(13):
        heads.append(next(line for line in shown.screen().splitlines() if "broker-1" in line))
        shown.press("n")
    assert len(dict.fromkeys(heads)) == 1


def test_two_pictures_are_played_one_after_the_other() -> None:
    shown = player("mirror")
    screens = []
    for _ in range(24):
        screens.append(shown.screen())
        shown.press(" ")
    assert "plain writer" in screens[9]
    assert "idempotent writer" in screens[10]


@pytest.mark.skipif(sys.platform == "win32", reason="a terminal of Unix")
def test_it_plays_in_a_terminal() -> None:
    import pty

    own, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-c", "from eventlog.cli import main; raise SystemExit(main(['scene', '5', '--step']))"],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        close_fds=True,
    )
    os.close(theirs)
    seen = b""

    def until(wanted: bytes) -> None:
        nonlocal seen
        seen = b""
        end = time.monotonic() + 20
        while wanted not in seen and time.monotonic() < end:
            seen += os.read(own, 65536)
        assert wanted in seen

    try:
        until(b"step 1 of 6")
        os.write(own, b" ")
        until(b"step 2 of 6")
        os.write(own, b"\x1b[D")
        until(b"step 1 of 6")
        os.write(own, b"w")
        until(b"why: ")
        os.write(own, b"q")
        assert process.wait(20) == 0
    finally:
        process.kill()
        os.close(own)


def test_a_run_becomes_a_page_of_both_writers(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = tmp_path / "lines.txt"
    lines.write_text("".join(f"line {number}\n" for number in range(30)))
    page = tmp_path / "page.html"
    assert main(["run", str(lines), "--html", str(page)]) == 0
    assert f"the page is in {page}" in capsys.readouterr().out
    assert "plain writer" in page.read_text()
    assert "idempotent writer" in page.read_text()
    assert main(["run", str(lines), "--html", str(tmp_path / "no" / "page.html")]) == 2
    assert "can't be written" in capsys.readouterr().err
