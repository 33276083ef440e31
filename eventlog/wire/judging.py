"""What real clients did, held against the log by the checker.

A real client's batches stay bytes in the log, so nothing there says which send a record is. Here the logs are decoded, and
each record is recognised: by topic, key, value and headers as a send that a recorder saw; else, with its timestamp, as one
that the door saw. Then there is a history like any other, and `eventlog.check` judges it.

Two sends with equal contents can't be told apart. Nobody guesses: they are named, with how many of them the log has, and
left out of the judgement.

A history has one writer's settings, so there is a verdict for each kind of producer: those with the same acks, with or
without idempotence, of the same library. The settings are what their requests said at the door; no client is asked.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any, Final

from eventlog.check import BROKEN, EXCUSED, NOT_PROMISED, PROMISES, History, judge
from eventlog.check import history as rows
from eventlog.cluster import Cluster
from eventlog.codec import decode_records
from eventlog.errors import ErrorCode, RequestError
from eventlog.values import Record, RecordBatch, TopicPartition
from eventlog.wire.client_verdict import ClientsVerdict, Finding, Kind, KindVerdict
from eventlog.wire.door import Door
from eventlog.wire.recorders import LIBRDKAFKA, REFUSED, Content, Journal, Put, Told
from eventlog.wire.sightings import Fetched, Produced, Sightings
from eventlog.wire.topics import INTERNAL

UNNUMBERED: Final = -1
ANOTHER: Final = -2
"""The number of a record that a reader got and the log does not have there."""
MOST_BYTES_SHOWN: Final = 40
_NUMBER: Final = re.compile(r"\b([Rr]ecord) (-?\d+)")
_OF_CLIENTS: Final = (rows.Sent, rows.Acked, rows.Failed, rows.Assigned, rows.Read)


def judge_clients(door: Door, journal: Journal | None = None, heal: bool = True) -> ClientsVerdict:
    """Judge what came through `door`, with what `journal` says of recorded clients.

    First, unless `heal` is False, every fault is undone and the cluster recovers. Flush or stop producers before: a send
    without a report counts as one that may or may not be written. O(records in all logs + records sent and read).

    Raises RequestError when the door or its cluster was made with record=False.
    """
    if door.sightings is None:
        raise RequestError("this door or its cluster was made with record=False: there is nothing to judge by")
    cluster = door.cluster
    if heal:
        _run(door, Cluster.recover, cluster)
    judging: Judging = _run(door, lambda: Judging(door, Journal(door) if journal is None else journal, heal))
    return judging.verdict()


def _run(door: Door, function: Callable[..., Any], *arguments: Any) -> Any:
    """In the thread that owns the world, while there is one."""
    if door.cluster._door is door:
        return door.hand_over(function, *arguments)
    return function(*arguments)


class Send:
    """A record on its way, by whoever saw it. `number` is given when all are known."""

    __slots__ = (
        "at_ms",
        "came_to",
        "content",
        "kind",
        "number",
        "order",
        "partition",
        "position",
        "producer",
        "sequence",
        "told",
        "topic",
    )

    def __init__(
        self, position: int, at_ms: int, producer: str, topic: str, partition: int, content: Content | None
    ) -> None:
        self.position = position
        self.at_ms = at_ms
        self.producer = producer
        self.topic = topic
        self.partition = partition
        self.content = content
        self.number = UNNUMBERED
        # The partition in which it came to the door; 0 where it never came.
        self.came_to = max(0, partition)
        self.told = False
        self.kind = Kind(True, -1, "")
        # Among those of one producer at one place of the history.
        self.order = (0, 0)
        # (producer_id, producer_epoch, sequence) when it came last.
        self.sequence = (-1, -1, -1)


Identity = tuple[str, int, Content, int]
"""(topic, partition, content, timestamp_ms): what stays the same when a client sends a record again."""


def _content(record: Record) -> Content:
    return record.key, record.value, record.headers


class Judging:
    """Everything arranged once. Made in the thread that owns the world; nothing of the world is looked at afterwards."""

    def __init__(self, door: Door, journal: Journal, healed: bool) -> None:
        assert door.sightings is not None
        cluster: Any = door.cluster
        door.sightings.look()
        self.journal = journal
        self.sightings: Sightings = door.sightings
        self.produced: list[Produced] = list(door.sightings.produced)
        self.fetched: list[Fetched] = list(door.sightings.fetched)
        self.closed: History = Cluster.history(cluster, healed=healed)
        self.world_rows: list[rows.Row] = list(cluster.recorder.history.rows)
        # Topics that are gone, and those in which the brokers keep their own things.
        self.left_out = dict.fromkeys([*door.world.controller.image.deleted, *INTERNAL])
        self.logs = [log for log in self.closed.of(rows.Log) if log.topic not in self.left_out]
        self.batches: dict[tuple[int, TopicPartition], list[RecordBatch]] = {}
        for broker in door.world.brokers():
            for name, replica in broker.replicas.items():
                log = replica.log
                self.batches[(broker.broker_id, name)] = list(log.read(0, log.log_end_offset, 2**62))
        self._decoded: dict[int, tuple[RecordBatch, tuple[Record, ...]]] = {}
        # Each content that a recorder saw, and its sends; and each record that only the door saw.
        self.recorded: list[Send] = []
        self.by_content: dict[tuple[str, Content], list[Send]] = {}
        self.at_the_door: dict[Identity, Send | None] = {}
        self.unchecked: list[str] = []
        self.notes: list[str] = []

    def records(self, batch: RecordBatch) -> tuple[Record, ...]:
        """What is in a batch; replicas share the bytes, and they are read once."""
        known = self._decoded.get(id(batch.records))
        if known is None:
            known = self._decoded[id(batch.records)] = (batch, decode_records(batch))
        return known[1]

    def verdict(self) -> ClientsVerdict:
        """The judgement itself."""
        self._take_recorded()
        self._take_seen()
        self._number()
        finals = self._finals()
        sends: dict[tuple[Kind, bool], list[Send]] = {}
        for send in self.sends:
            sends.setdefault((send.kind, send not in self._recorded_ids), []).append(send)
        kinds: list[KindVerdict] = []
        findings: dict[tuple[str, str], Finding] = {}
        names = {send.number: _shown(send.content) for send in self.sends}
        for place, (kind, is_unrecorded) in enumerate(sorted(sends) or [(Kind(True, -1, ""), False)]):
            mine = sends.get((kind, is_unrecorded), [])
            history = self._history(kind, mine, finals, with_readers=place == 0)
            verdict = judge(history)
            producers = tuple(dict.fromkeys([send.producer for send in mine])) or ("nobody",)
            kinds.append(KindVerdict(kind, producers, not is_unrecorded, verdict))
            for found in verdict.findings:
                told = Finding(found.promise, found.status, _told(found.sentence, names), found.cause, found.faults)
                findings.setdefault((told.promise, told.sentence), told)
            self.notes += [str(problem) for problem in verdict.problems]
        self._note_equals(finals)
        gravity = {BROKEN: 0, NOT_PROMISED: 1, EXCUSED: 2}
        in_order = sorted(findings.values(), key=lambda each: (gravity[each.status], PROMISES[each.promise].rank))
        return ClientsVerdict(tuple(kinds), tuple(in_order), tuple(self.unchecked), tuple(dict.fromkeys(self.notes)))

    # --- who sent what --------------------------------------------------------------------------------------------

    def _take_recorded(self) -> None:
        reported = {told.number: told.content for told in self.journal.told if told.content is not None}
        unknown = 0
        for number, handed in enumerate(self.journal.handed):
            content = handed.content or reported.get(number)
            send = Send(handed.position, handed.at_ms, handed.producer, handed.topic, handed.partition, content)
            self.recorded.append(send)
            if content is None:
                unknown += 1
            else:
                self.by_content.setdefault((handed.topic, content), []).append(send)
        if unknown:
            self.unchecked.append(f"{unknown} sends whose serialized contents nobody reported")
        self._recorded_ids = dict.fromkeys(self.recorded)

    def _take_seen(self) -> None:
        """What the door saw: settings of recorded producers, and the sends of the others."""
        settings: dict[str, tuple[bool, int]] = {}
        sequences: dict[tuple[Identity, int, int], int] = {}
        self.seen: list[tuple[Produced, list[Send | None]]] = []
        for seen in self.produced:
            batch, (topic, partition) = seen.batch, seen.topic_partition
            if isinstance(batch.records, tuple) or batch.is_control:
                continue
            mine: list[Send | None] = []
            here: dict[Identity, None] = {}
            for place, record in enumerate(self.records(batch)):
                owners = self.by_content.get((topic, _content(record)))
                if owners is not None:
                    if len(owners) == 1:
                        owners[0].came_to = partition
                        owners[0].sequence = (batch.producer_id, batch.producer_epoch, batch.base_sequence + place)
                    if len({owner.producer: None for owner in owners}) == 1:
                        settings.setdefault(owners[0].producer, (batch.producer_id >= 0, seen.acks))
                    mine.append(None)
                    continue
                identity = (topic, partition, _content(record), record.timestamp_ms)
                known = self.at_the_door.get(identity)
                if identity not in self.at_the_door:
                    known = Send(seen.position, seen.at_ms, _name(seen), topic, partition, _content(record))
                    known.kind = Kind(batch.producer_id >= 0, seen.acks, _library(self.sightings, seen))
                    known.order = (batch.producer_epoch, batch.base_sequence + place)
                    self.at_the_door[identity] = known
                if batch.producer_id >= 0:
                    # One producer epoch gives a record one sequence: another one is another send.
                    whose = (identity, batch.producer_id, batch.producer_epoch)
                    if sequences.setdefault(whose, batch.base_sequence + place) != batch.base_sequence + place:
                        self.at_the_door[identity] = known = None
                    elif known is not None:
                        known.order = min(known.order, (batch.producer_epoch, batch.base_sequence + place))
                elif identity in here:
                    self.at_the_door[identity] = known = None
                here[identity] = None
                mine.append(known)
            self.seen.append((seen, mine))
        _put_in_order([send for send in self.at_the_door.values() if send is not None])
        unseen = {told.number: told for told in self.journal.told if not told.error and told.offset < 0}
        for number, send in enumerate(self.recorded):
            library = self.journal.kinds[send.producer]
            is_idempotent, acks = settings.get(send.producer, (True, 0 if number in unseen else -1))
            send.kind = Kind(is_idempotent, acks, library)
            send.order = (0, number)

    def _number(self) -> None:
        """Numbers rise in the order of sends; who can't be told apart has none."""
        twins: dict[Send, None] = {}
        for sends in self.by_content.values():
            if len(sends) > 1:
                twins.update(dict.fromkeys(sends))
        known = [send for send in self.recorded if send.content is not None and send not in twins]
        known += [send for send in dict.fromkeys(self.at_the_door.values()) if send is not None]
        gone = dict.fromkeys([send.topic for send in known if send.topic in self.left_out])
        self.unchecked += [
            f"what was sent to {topic!r}, for there was a topic of that name that is gone" for topic in gone
        ]
        known = [send for send in known if send.topic not in gone]
        self.sends = sorted(known, key=lambda send: (send.position, send.order))
        for number, send in enumerate(self.sends):
            send.number = number

    def _find(self, name: TopicPartition, record: Record) -> Send | None:
        """The send that a record in a log is."""
        content = _content(record)
        owners = self.by_content.get((name.topic, content))
        if owners is not None:
            return owners[0]  # one of several that are equal has no number
        return self.at_the_door.get((*name, content, record.timestamp_ms))

    def _note_equals(self, finals: dict[TopicPartition, rows.Log]) -> None:
        """Say which sends are equal, and how many of them the log has."""
        counts: dict[tuple[str, Content], int] = {}
        for name, log in finals.items():
            for batch in self.batches[(log.broker, name)]:
                if isinstance(batch.records, bytes):
                    for offset, record in enumerate(self.records(batch), batch.base_offset):
                        if log.log_start_offset <= offset < log.high_watermark:
                            key = (name.topic, _content(record))
                            counts[key] = counts.get(key, 0) + 1
        for key, sends in self.by_content.items():
            if len(sends) > 1:
                told = sum(send.told for send in sends)
                self.unchecked.append(
                    f"{len(sends)} sends to {key[0]!r} are equal ({_shown(key[1])}), and their records can't be told "
                    f"apart; {told} were acknowledged, the log has {counts.get(key, 0)}. Give each an id: in its value, key "
                    "or headers"
                )
        equal: dict[tuple[str, Content], None] = {
            (topic, content): None for (topic, _, content, _), send in self.at_the_door.items() if send is None
        }
        for topic, content in equal:
            self.unchecked.append(
                f"equal records of one moment came to {topic!r} ({_shown(content)}), and can't be told apart; the log has "
                f"{counts.get((topic, content), 0)} of them"
            )

    # --- histories ------------------------------------------------------------------------------------------------

    def _finals(self) -> dict[TopicPartition, rows.Log]:
        """The log that counts for each partition: the leader's, else the longest."""
        finals: dict[TopicPartition, rows.Log] = {}
        for log in self.logs:
            name = TopicPartition(log.topic, log.partition)
            before = finals.get(name)
            if before is None or (log.is_leader, log.log_end_offset) > (before.is_leader, before.log_end_offset):
                finals[name] = log
        return finals

    def _history(
        self, kind: Kind, mine: list[Send], finals: dict[TopicPartition, rows.Log], with_readers: bool
    ) -> History:
        """The world's rows, and between them those of these producers."""
        ours = {send: send.number for send in mine}
        numbers: dict[tuple[TopicPartition, int], tuple[int, ...]] = {}

        def numbered(name: TopicPartition, batch: RecordBatch) -> tuple[int, ...]:
            if isinstance(batch.records, tuple):
                return (UNNUMBERED,) * batch.record_count
            known = numbers.get((name, id(batch.records)))
            if known is None:
                found = [self._find(name, record) for record in self.records(batch)]
                known = tuple([UNNUMBERED if send is None else ours.get(send, UNNUMBERED) for send in found])
                numbers[(name, id(batch.records))] = known
            return known

        logs = []
        for log in self.logs:
            name = TopicPartition(log.topic, log.partition)
            held = self.batches[(log.broker, name)]
            logs.append(
                log._replace(batches=tuple([(*row[:5], numbered(name, batch)) for row, batch in _pairs(log, held)]))
            )
        timed: list[tuple[int, rows.Row]] = [
            (send.position, rows.Sent(send.at_ms, send.producer, send.number, send.topic, send.partition))
            for send in mine
        ]
        timed += self._ends(mine, ours, finals, numbered)
        if with_readers:
            timed += self._readings(finals, numbered)
        first, last = self.closed.rows[0], self.closed.rows[-1]
        assert isinstance(first, rows.Run)
        writer = "idempotent" if kind.is_idempotent else "plain"
        history = History([first._replace(writer=writer, acks=kind.acks, client=kind.library, literal="")])
        for row in _merged(self.world_rows, timed):
            if getattr(row, "topic", None) not in self.left_out:
                history.append(row)
        for log in logs:
            history.append(log)
        history.append(last)
        return history

    def _ends(
        self,
        mine: list[Send],
        ours: dict[Send, int],
        finals: dict[TopicPartition, rows.Log],
        numbered: Callable[[TopicPartition, RecordBatch], tuple[int, ...]],
    ) -> Iterator[tuple[int, rows.Row]]:
        """What became of the sends: as their recorders say, or as the door answered."""
        ended: dict[int, None] = {}
        yield from self._reported(ours, ended, finals, numbered)
        last_error: dict[Send, str] = {}
        named: dict[tuple[TopicPartition, int, int, int], int] = {}
        for seen, sends in self.seen:
            known = [send for send in sends if send is not None and send in ours]
            if not known:
                continue
            if seen.error is not ErrorCode.NONE:
                last_error.update(dict.fromkeys(known, "no answer left" if seen.error is None else seen.error.name))
                continue
            batch = seen.batch
            whose = (seen.topic_partition, batch.producer_id, batch.producer_epoch, batch.base_sequence)
            # The same batch was acknowledged at another place: that is for the checker.
            is_elsewhere = batch.producer_id >= 0 and named.setdefault(whose, seen.base_offset) != seen.base_offset
            if is_elsewhere or not any(send.number in ended for send in known):
                ended.update(dict.fromkeys([send.number for send in known]))
                row = rows.Acked(
                    seen.answered_ms,
                    known[0].producer,
                    *seen.topic_partition,
                    seen.base_offset,
                    tuple([UNNUMBERED if send is None else ours.get(send, UNNUMBERED) for send in sends]),
                    batch.producer_id,
                    batch.producer_epoch,
                    batch.base_sequence,
                    1,
                )
                yield seen.answered_at, row
        for send in mine:
            if send.number not in ended:
                error = last_error.get(send, "no report")
                if send in self._recorded_ids:
                    self.notes.append(
                        f"{send.producer}: some sends had no report when this was judged; flush or stop producers before"
                    )
                yield (
                    len(self.world_rows),
                    rows.Failed(
                        self.closed.rows[-1].at_ms,  # type: ignore[union-attr]
                        send.producer,
                        send.topic,
                        send.partition,
                        (send.number,),
                        error,
                        True,
                        1,
                    ),
                )

    def _reported(
        self,
        ours: dict[Send, int],
        ended: dict[int, None],
        finals: dict[TopicPartition, rows.Log],
        numbered: Callable[[TopicPartition, RecordBatch], tuple[int, ...]],
    ) -> Iterator[tuple[int, rows.Row]]:
        """By the recorders. Acknowledgements of all that a batch of the log holds are one row, as they came."""
        acked: dict[tuple[TopicPartition, int], list[tuple[Send, Told]]] = {}
        for told in self.journal.told:
            send = self.recorded[told.number]
            send.told = send.told or not told.error
            if send not in ours:
                continue
            ended[send.number] = None
            if told.error:
                may_be_written = not told.error.startswith(REFUSED)
                partition = send.partition
                yield (
                    told.position,
                    rows.Failed(
                        told.at_ms, send.producer, send.topic, partition, (send.number,), told.error, may_be_written, 1
                    ),
                )
            else:
                partition = told.partition if told.partition >= 0 else send.came_to
                name = TopicPartition(send.topic, partition)
                acked.setdefault((name, told.offset), []).append((send, told))
        for name, log in finals.items():
            for batch in self.batches[(log.broker, name)]:
                sent = numbered(name, batch)
                known = [acked.get((name, offset), []) for offset in range(batch.base_offset, batch.end_offset)]
                fits = len(known) == len(sent) and all(
                    [send.number for send, _ in each] == ([number] if number >= 0 else [])
                    for each, number in zip(known, sent, strict=True)
                )
                if fits and any(known):
                    pairs = [each[0] for each in known if each]
                    newest = max([told for _, told in pairs], key=lambda told: told.position)
                    whose = (batch.producer_id, batch.producer_epoch, batch.base_sequence)
                    row = rows.Acked(newest.at_ms, pairs[0][0].producer, *name, batch.base_offset, sent, *whose, 1)
                    yield newest.position, row
                    for offset in range(batch.base_offset, batch.end_offset):
                        acked.pop((name, offset), None)
        there = {
            number: None
            for name, log in finals.items()
            for batch in self.batches[(log.broker, name)]
            for number in numbered(name, batch)
        }
        for (name, offset), alone in acked.items():
            for send, told in alone:
                is_implied = offset < 0 and send.kind.library == LIBRDKAFKA and send.kind.acks != 0
                # Where it is in no log, the batch it came in says why; where it is, that batch is another row's.
                whose = (-1, -1, -1) if send.number in there else send.sequence
                row = rows.Acked(told.at_ms, send.producer, *name, offset, (send.number,), *whose, 1, is_implied)
                yield told.position, row

    # --- readers --------------------------------------------------------------------------------------------------

    def _readings(
        self, finals: dict[TopicPartition, rows.Log], numbered: Callable[[TopicPartition, RecordBatch], tuple[int, ...]]
    ) -> Iterator[tuple[int, rows.Row]]:
        """What recorded consumers got; where there are none, what left through the door."""
        places: dict[TopicPartition, dict[int, tuple[Content | None, int]]] = {}
        for name, log in finals.items():
            there = places[name] = {}
            for batch in self.batches[(log.broker, name)]:
                contents = self.records(batch) if isinstance(batch.records, bytes) else [None] * batch.record_count
                for offset, record, number in zip(
                    range(batch.base_offset, batch.end_offset), contents, numbered(name, batch), strict=False
                ):
                    there[offset] = (None if record is None else _content(record), number)

        def number_of(name: TopicPartition, offset: int, content: Content | None) -> int:
            held = places.get(name, {}).get(offset)
            if held is None:
                return ANOTHER
            return held[1] if content is None or held[0] is None or held[0] == content else ANOTHER

        if not self.journal.reading:
            for fetched in self.fetched:
                yield from self._fetched(fetched, number_of)
            return
        known: dict[tuple[str, TopicPartition], None] = {}
        for entry in self.journal.reading:
            who = (entry.consumer, entry.topic_partition)
            if isinstance(entry, Put):
                if entry.is_explicit or who not in known:
                    yield (
                        entry.position,
                        rows.Assigned(entry.at_ms, entry.consumer, *entry.topic_partition, entry.offset),
                    )
            else:
                number = number_of(entry.topic_partition, entry.offset, entry.content)
                read = (entry.offset, entry.leader_epoch, number)
                yield entry.position, rows.Read(entry.at_ms, entry.consumer, *entry.topic_partition, (read,))
            known[who] = None

    def _fetched(
        self, fetched: Fetched, number_of: Callable[[TopicPartition, int, Content | None], int]
    ) -> Iterator[tuple[int, rows.Row]]:
        """One answer: a client may ask for the same again, so each begins where it was asked for."""
        name, reader = fetched.topic_partition, f"{fetched.client_id} (connection {fetched.connection})"
        read = [
            (offset, batch.leader_epoch, number_of(name, offset, _content(record)))
            for batch in fetched.batches
            if not batch.is_control and isinstance(batch.records, bytes)
            for offset, record in enumerate(self.records(batch), batch.base_offset)
            if offset >= fetched.fetch_offset
        ]
        if read:
            yield fetched.position, rows.Assigned(fetched.at_ms, reader, *name, fetched.fetch_offset)
            yield fetched.position, rows.Read(fetched.at_ms, reader, *name, tuple(read))


# --- small things ---------------------------------------------------------------------------------------------------


def _name(seen: Produced) -> str:
    client_id = seen.client_id or f"connection {seen.connection}"
    return client_id if seen.batch.producer_id < 0 else f"{client_id} (producer id {seen.batch.producer_id})"


def _library(sightings: Sightings, seen: Produced) -> str:
    software = sightings.software.get(seen.connection, "")
    if LIBRDKAFKA in software or software.startswith("confluent-kafka"):
        return LIBRDKAFKA
    return "java" if "java" in software else ""


def _put_in_order(sends: list[Send]) -> None:
    """An idempotent producer sends in the order of its sequences, in whatever order they came to one broker or another."""
    by_log: dict[tuple[str, str, int], list[Send]] = {}
    for send in sends:
        if send.kind.is_idempotent:
            by_log.setdefault((send.producer, send.topic, send.partition), []).append(send)
    for mine in by_log.values():
        earliest = 1 << 62
        for send in sorted(mine, key=lambda each: each.order, reverse=True):
            earliest = send.position = min(earliest, send.position)


def _pairs(log: rows.Log, batches: list[RecordBatch]) -> Iterator[tuple[rows.LogBatch, RecordBatch]]:
    return zip(log.batches, batches, strict=True)


def _merged(world: list[rows.Row], timed: list[tuple[int, rows.Row]]) -> Iterator[rows.Row]:
    """The rows of clients, each before the row of the world at its place; rows of clients in this process are left out."""
    timed = sorted(timed, key=lambda each: each[0])
    place = 0
    for position, row in enumerate(world):
        while place < len(timed) and timed[place][0] <= position:
            yield timed[place][1]
            place += 1
        if not isinstance(row, _OF_CLIENTS):
            yield row
    for _, row in timed[place:]:
        yield row


def _shown(content: Content | None) -> str:
    """`b'order-1'`; the key where there is no value."""
    if content is None:
        return "?"
    key, value, _ = content
    shown = value if value is not None else key
    text = repr(shown)
    return text if len(text) <= MOST_BYTES_SHOWN else f"{text[: MOST_BYTES_SHOWN - 4]}...'"


def _told(sentence: str, names: dict[int, str]) -> str:
    """The checker's sentence with values beside the numbers."""

    def name(found: re.Match[str]) -> str:
        number = int(found[2])
        if number == ANOTHER:
            return "something that is not in the log there" if found[1] == "record" else "Something else"
        return f"{found[0]} ({names[number]})" if number in names else found[0]

    return _NUMBER.sub(name, sentence)
