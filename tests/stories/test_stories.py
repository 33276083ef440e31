from __future__ import annotations

from pathlib import Path

import pytest
from teller import PROMPT, tell

STORIES = sorted(Path(__file__).parent.glob("*.txt"))


@pytest.mark.parametrize("path", STORIES, ids=[path.stem for path in STORIES])
def test_the_story_is_told_as_it_is_written(path: Path, request: pytest.FixtureRequest) -> None:
    written = path.read_text()
    told = tell(written)
    if request.config.getoption("--rewrite-stories", default=False):
        path.write_text(told)
        return
    assert told == written


def test_each_story_begins_with_a_title_and_a_sentence() -> None:
    assert len(STORIES) >= 20
    for path in STORIES:
        title, blank, sentence, *_ = path.read_text().split("\n")
        assert title
        assert not blank
        assert sentence.endswith((".", ":", ",")) or len(sentence) > 60
        assert not sentence.startswith(PROMPT)


def test_each_picture_can_be_read() -> None:
    for path in STORIES:
        for told in path.read_text().split(PROMPT):
            rungs = [line for line in told.split("\n")[2:] if told.startswith("story")]
            assert len(rungs) <= 40, path.stem
            assert max(map(len, rungs), default=0) <= 160, path.stem


def test_an_unknown_command_is_an_error() -> None:
    with pytest.raises(AttributeError, match="there is no command 'explode'"):
        tell("A title\n\nA sentence.\n\n> explode 1\n")
