"""`eventlog scene`: a prepared story in the terminal, step by step if one likes, or as a page."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from eventlog.errors import RequestError

KEYS = "space: next   b: back   w: why   q: quit"
CLEAR = "\x1b[2J\x1b[H"


def add_scene(commands: Any) -> None:
    """`eventlog scene` and its arguments."""
    parser = commands.add_parser(
        "scene",
        help="a prepared story: what can go wrong between writing and knowing that it was written",
        description="Show a scene, run anew by the real code. Without a name: which scenes there are.",
    )
    parser.set_defaults(command=_scene)
    parser.add_argument("name", nargs="?", help="a scene's name or number")
    parser.add_argument("--html", metavar="FILE", type=Path, help="write it as one page with a slider")
    parser.add_argument("--step", action="store_true", help=f"play it in the terminal ({KEYS})")


def _scene(arguments: argparse.Namespace) -> int:
    from eventlog.views.scenes import NUMBERS, SCENES, find_scene
    from eventlog.views.view import scene

    if arguments.name is None:
        if arguments.step or arguments.html is not None:
            raise RequestError(f"which scene? There are: {', '.join(SCENES)}")
        for number, name in NUMBERS.items():
            print(f"{number:<3} {name:<17} {SCENES[name].title}")
        return 0
    found = find_scene(arguments.name)
    shown = scene(found.name)
    if arguments.html is not None:
        print(f"the page is in {shown.to_html(arguments.html)}")
    if arguments.step:
        return _play(Player(found.title, found.question, shown.sheets))
    if arguments.html is None:
        print(f"{found.title}\n{found.question}\n\n{shown.text}", end="")
    return 0


class Player:
    """One scene, a step at a time: a key in, a screen out. Two pictures are played one after the other."""

    def __init__(self, title: str, question: str, sheets: tuple[Any, ...]) -> None:
        self.title = title
        self.question = question
        self.sheets = sheets
        self.places = [(which, step) for which, sheet in enumerate(sheets) for step in range(len(sheet.rows))]
        self.place = 0
        self.is_asked = False
        self.is_over = False

    def press(self, key: str) -> None:
        """Space (or Enter, n, right) goes on, b (or left) back, w says why, q ends. Other keys do nothing."""
        if key in (" ", "\r", "\n", "n", "\x1b[C"):
            self.place = min(self.place + 1, len(self.places) - 1)
            self.is_asked = False
        elif key in ("b", "\x7f", "\x1b[D"):
            self.place = max(self.place - 1, 0)
            self.is_asked = False
        elif key == "w":
            self.is_asked = not self.is_asked
        elif key in ("q", "\x03", "\x04", ""):
            self.is_over = True

    def screen(self) -> str:
        """What is to be seen now."""
        from eventlog.views.text import column_width, text_ladder

        which, step = self.places[self.place]
        sheet = self.sheets[which]
        is_last = step == len(sheet.rows) - 1
        shown = sheet._replace(
            rows=sheet.rows[: step + 1],
            moments=tuple([moment for moment in sheet.moments if moment.row <= step]),
            gaps=tuple([gap for gap in sheet.gaps if gap[0] <= step]),
            known=sheet.known if is_last else (),
            left_out=sheet.left_out if is_last else 0,
        )
        lines = [f"{self.title}\n{self.question}\n", text_ladder(shown, column_width(sheet))]
        if self.is_asked:
            row = sheet.rows[step]
            lines.append(f"why: {row.why or row.told or 'nothing special: that is what happens when nothing goes wrong'}\n")
        lines.append(f"step {step + 1} of {len(sheet.rows)}   {KEYS}")
        return "\n".join(lines)


def _play(player: Player) -> int:
    if not sys.stdin.isatty() or not sys.stdout.isatty():
        raise RequestError("--step needs a terminal; without it the whole scene is printed")
    try:
        import termios
        import tty
    except ImportError:
        raise RequestError("--step needs a terminal of Unix; --html FILE works everywhere") from None
    stdin = sys.stdin.fileno()
    before = termios.tcgetattr(stdin)
    try:
        tty.setcbreak(stdin)
        while not player.is_over:
            print(f"{CLEAR}{player.screen()}", flush=True)
            player.press(_key())
    finally:
        termios.tcsetattr(stdin, termios.TCSADRAIN, before)
    return 0


def _key() -> str:
    import os

    # An arrow key comes as three characters at once.
    return os.read(sys.stdin.fileno(), 3).decode("utf-8", "replace")
