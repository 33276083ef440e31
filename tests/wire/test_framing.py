"""Frames come out whole and in order, however their bytes were cut, and room is taken as they arrive."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eventlog.wire.framing import FIRST_BYTES, INBOX_BYTES, Framing
from eventlog.wire.primitives import MalformedError

SIZES = (1, 2, 100, INBOX_BYTES - 5, INBOX_BYTES - 4, INBOX_BYTES - 3, INBOX_BYTES, FIRST_BYTES, 5 * FIRST_BYTES)


def feed(framing: Framing, data: bytes, most: int) -> list[bytes]:
    """`data` comes in pieces of at most `most` bytes."""
    frames: list[bytes] = []
    while data:
        room = framing.room()
        size = min(most, len(room), len(data))
        assert size
        room[:size], data = data[:size], data[size:]
        room.release()
        frames += map(bytes, framing.received(size))
    return frames


@settings(deadline=None)
@given(
    sizes=st.lists(st.sampled_from(SIZES), max_size=8),
    most=st.sampled_from((1, 3, 4, 5, 1000, 10**9)),
    seed=st.integers(),
)
def test_frames_come_out_as_they_were_sent_however_they_were_cut(sizes: list[int], most: int, seed: int) -> None:
    random = Random(seed)
    frames = [random.randbytes(min(size, 2_000) if most < 10 else size) for size in sizes]
    data = b"".join([len(frame).to_bytes(4, "big") + frame for frame in frames])
    assert feed(Framing(10**9), data, most) == frames


@pytest.mark.parametrize("length", [0, -1, 1001, 2**31 - 1, -(2**31)])
def test_a_length_that_cannot_be_is_refused_behind_whole_frames_too(length: int) -> None:
    for before in (b"", b"\0\0\0\1x"):
        framing = Framing(1000)
        with pytest.raises(MalformedError, match=f"a frame of {length} bytes was announced; 1 to 1000 are taken"):
            feed(framing, before + length.to_bytes(4, "big", signed=True), 10**9)


def test_what_is_announced_takes_no_room_before_it_comes() -> None:
    framing = Framing(10**9)
    feed(framing, (10**9).to_bytes(4, "big"), 4)
    assert len(framing.room()) == FIRST_BYTES
    feed(framing, bytes(FIRST_BYTES), 10**9)
    assert len(framing.room()) == 3 * FIRST_BYTES
