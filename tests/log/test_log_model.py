"""Whatever happens to a log, it knows what a slow and obvious model says it knows.

The model is lists: the batches, the snapshot files as copies of what was known, and what is known of each producer. It
shares no code with the log; its rules are the sentences of the chapter on snapshots, spelled out.
"""

from __future__ import annotations

from typing import Any

from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from log_stage import MAX, T0, Table, batch, plain

PER_SEGMENT = 3
EXPIRATION_MS = 5_000
Known = dict[int, tuple[int, list[tuple[int, int, int]], int]]
"""Producer id -> (epoch, [(first sequence, count, base offset)], time of the newest)."""


class Model:
    def __init__(self, kept: int) -> None:
        self.kept = kept
        self.batches: list[tuple[int, int, int, int, int, int]] = []  # offset, count, id, epoch, first, time
        self.known: Known = {}
        self.snapshots: dict[int, Known | None] = {}  # None: damaged
        self.newest_snapshot = 0
        self.bases = [0]
        self.start = self.saved_start = 0
        self.end = 0

    # --- what is known

    def learn(self, entry: tuple[int, int, int, int, int, int]) -> None:
        offset, count, producer_id, epoch, first, at_ms = entry
        if producer_id < 0:
            return
        was = self.known.get(producer_id, (epoch, [], 0))
        batches = was[1] if was[0] == epoch else []
        self.known[producer_id] = (epoch, [*batches, (first, count, offset)][-5:], at_ms)

    def write_snapshot(self, offset: int) -> None:
        if offset > self.newest_snapshot:
            self.snapshots[offset] = {
                who: (each[0], each[1][-self.kept :], each[2]) for who, each in self.known.items()
            }
            self.newest_snapshot = offset

    def load(self, start: int, end: int, now_ms: int) -> int:
        for offset in list(self.snapshots):
            if not start < offset <= end:
                del self.snapshots[offset]
        for offset in sorted(self.snapshots, reverse=True):
            found = self.snapshots[offset]
            if found is None:
                del self.snapshots[offset]
                continue
            self.known = {who: each for who, each in found.items() if now_ms - each[2] < EXPIRATION_MS}
            self.newest_snapshot = offset
            return offset
        self.known = {}
        self.newest_snapshot = start
        return start

    def replay(self, offset: int, end: int, stops: list[int]) -> None:
        for stop in [*[each for each in stops if offset < each < end], end]:
            for entry in self.batches:
                if offset < entry[0] + entry[1] and entry[0] < stop and offset < stop:
                    self.learn(entry)
            offset = stop
            self.write_snapshot(stop)

    # --- what happens

    def append(self, producer_id: int, epoch: int, first: int, count: int, at_ms: int) -> None:
        if sum(entry[0] >= self.bases[-1] for entry in self.batches) >= PER_SEGMENT:
            self.bases.append(self.end)
            self.write_snapshot(self.end)
        entry = (self.end, count, producer_id, epoch, first, at_ms)
        self.batches.append(entry)
        self.end += count
        self.learn(entry)

    def truncate(self, offset: int, now_ms: int) -> None:
        if offset >= self.end:
            return
        if offset < self.bases[0]:
            self.__init__(self.kept)  # type: ignore[misc]
            self.end = self.start = self.saved_start = self.newest_snapshot = offset
            self.bases = [offset]
            return
        self.bases = [base for base in self.bases if base <= offset]
        self.batches = [entry for entry in self.batches if entry[0] + entry[1] <= offset]
        self.end = offset
        if offset < self.start:
            self.start = self.saved_start = offset
        was_empty = not self.known
        loaded = self.load(self.start, offset, now_ms)
        if was_empty:
            self.write_snapshot(offset)
        else:
            self.replay(loaded, offset, self.bases[-2:])

    def open(self, is_clean: bool, now_ms: int) -> None:
        if is_clean:
            self.write_snapshot(self.end)
            self.saved_start = self.start
        self.start = max(self.saved_start, self.bases[0])
        self.newest_snapshot = 0
        self.known = {}
        if not is_clean:
            # Nothing was ever flushed but by a roll, and no recovery point saved: all segments are read.
            self.load(self.saved_start, self.bases[0], now_ms)
            self.replay(self.bases[0], self.end, self.bases[1:])
        strays = [offset for offset in sorted(self.snapshots) if offset not in self.bases]
        if strays and strays[-1] > self.bases[-1]:
            strays.pop()
        for offset in strays:
            del self.snapshots[offset]
        if is_clean and not self.snapshots:
            self.known = {}
            self.newest_snapshot = 0
            for offset in (*self.bases[-2:], self.end):
                self.write_snapshot(offset)
            return
        self.replay(self.load(self.start, self.end, now_ms), self.end, self.bases[-2:])

    def delete(self, offset: int) -> None:
        self.start = offset
        self.newest_snapshot = max(self.snapshots) if self.snapshots else max(self.newest_snapshot, offset)

    def drop_segments(self) -> None:
        while len(self.bases) > 1 and self.bases[1] <= self.start:
            self.snapshots.pop(self.bases.pop(0), None)
            self.batches = [entry for entry in self.batches if entry[0] >= self.bases[0]]

    def expire(self, now_ms: int) -> list[int]:
        gone = sorted(who for who, each in self.known.items() if now_ms - each[2] >= EXPIRATION_MS)
        for who in gone:
            del self.known[who]
        return gone


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("send"), st.sampled_from((1, 2, 3)), st.sampled_from((0, 0, 0, 1)), st.integers(-2_000, 100)),
        st.tuples(st.just("send"), st.sampled_from((1, 2, 3)), st.sampled_from((0, 0, 0, 1)), st.integers(-2_000, 100)),
        st.tuples(st.just("plain")),
        st.tuples(st.just("again"), st.sampled_from((1, 2, 3)), st.integers(0, 6)),
        st.tuples(st.just("cut"), st.integers(0, 9)),
        st.tuples(st.just("delete"), st.integers(0, 9)),
        st.tuples(st.just("drop segments")),
        st.tuples(st.just("restart"), st.booleans()),
        st.tuples(st.just("damage"), st.integers(0, 3)),
        st.tuples(st.just("lose"), st.integers(0, 3)),
        st.tuples(st.just("pass"), st.integers(0, 3_000)),
        st.tuples(st.just("expire")),
    ),
    max_size=40,
)


def told(table: Table) -> Known:
    return {
        producer_id: (
            entry.producer_epoch,
            [(each.base_sequence, each.last_offset_delta + 1, each.base_offset) for each in entry.batches],
            entry.last_timestamp_ms,
        )
        for producer_id, entry in table.log.producer_state.entries()
    }


@settings(max_examples=250, deadline=None, derandomize=True, phases=[Phase.generate], report_multiple_bugs=False)
@given(st.sampled_from((1, 5)), STEPS)
def test_a_log_knows_what_the_model_knows(kept: int, steps: list[tuple[Any, ...]]) -> None:
    size = batch(1, 0, 0, 2).size_bytes
    table = Table(
        segment_bytes=PER_SEGMENT * size,
        producer_snapshot_batches=kept,
        producer_id_expiration_ms=EXPIRATION_MS,
        retention_ms=-1,
    )
    model = Model(kept)
    now_ms = T0
    for kind, *numbers in steps:
        log = table.log
        if kind == "send":
            producer_id, raised, earlier = numbers
            epoch, first = 0, MAX - 3
            if producer_id in model.known:
                was = model.known[producer_id]
                epoch = was[0] + raised
                first = 0 if raised else (was[1][-1][0] + 2) % 2**31
            sent = batch(producer_id, epoch, first, 2, at_ms=now_ms + earlier)
            assert table.append(sent, now_ms=now_ms).base_offset == model.end
            model.append(producer_id, epoch, first, 2, now_ms + earlier)
        elif kind == "plain":
            filler = plain(2, at_ms=now_ms)
            table.append(filler, now_ms=now_ms)
            model.append(-1, -1, -1, 2, now_ms)
        elif kind == "again":
            producer_id, back = numbers
            entries = [each for each in model.batches if each[2] == producer_id]
            if len(entries) > back and producer_id in model.known:
                offset, count, _, epoch, first, at_ms = entries[-1 - back]
                was = model.known[producer_id]
                same = [each for each in was[1] if epoch == was[0] and each[:2] == (first, count)]
                bases_before = table.bases
                result = table.append(batch(producer_id, epoch, first, count, at_ms=at_ms), now_ms=now_ms)
                assert result.is_duplicate == bool(same)
                if same:
                    assert result.base_offset == same[-1][2]
                elif not result.error:
                    model.append(producer_id, epoch, first, count, at_ms)
                if table.bases != bases_before and (same or result.error):
                    # A roll comes before the verdict.
                    model.bases.append(model.end)
                    model.write_snapshot(model.end)
        elif kind == "cut":
            offset = max(0, model.end - numbers[0])
            log.truncate_to(offset, now_ms)
            model.truncate(offset, now_ms)
        elif kind == "delete":
            offset = max(model.start, model.end - numbers[0])
            table.commit()
            if offset > model.start:
                log.advance_log_start(offset)
                model.delete(offset)
        elif kind == "drop segments":
            table.commit()
            log.delete_old_segments(now_ms)
            model.drop_segments()
        elif kind == "restart":
            table.reload("clean" if numbers[0] else "kill", now_ms)
            model.open(numbers[0], now_ms)
        elif kind in ("damage", "lose"):
            offsets = sorted(model.snapshots)
            if offsets:
                offset = offsets[numbers[0] % len(offsets)]
                if kind == "lose":
                    table.store.delete_snapshot(offset)
                    del model.snapshots[offset]
                else:
                    table.store.write_snapshot(offset, table.store.read_snapshot(offset)[:-1] + b"?")
                    model.snapshots[offset] = None
        elif kind == "pass":
            now_ms += numbers[0]
        else:
            assert list(log.producer_state.expire(now_ms, EXPIRATION_MS)) == model.expire(now_ms)
        table.check()
        assert (table.end, table.log.log_start_offset, table.bases) == (model.end, model.start, model.bases)
        assert table.snapshots == sorted(model.snapshots)
        assert told(table) == model.known
