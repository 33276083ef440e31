"""Stories: a title, a sentence or two, and commands with the exact text that each of them gives.

A command is a line that begins with `> `; what it gives stands below it. `tell` runs the commands of a text and returns
the text as it ought to be. The commands are those of `Cluster`, with as little around them as a reader needs:

| command | what it does |
|---|---|
| `at EVENT FAULT TARGET MS` | plan a fault for an event that is still to come (before everything else) |
| `cluster NAME=VALUE ...` | begin with other settings than three brokers of which two must have a record |
| `create TOPIC SETTING=VALUE ...`, `alter SETTING=VALUE ...` | the topic that everything else is about, from now on |
| `producer NAME SETTING=VALUE ...` | with no linger, unless told otherwise |
| `partitions N` | the topic gets more of them |
| `send NAME VALUE ...` | records, each at once in a batch of its own, to partition 0; `VALUE@N` to another |
| `flush NAME`, `advance MS` | let time pass, until all has its end or for so long |
| `deliveries` | what became of everything sent |
| `reader NAME SETTING=VALUE ...`, `read NAME` | a consumer of the topic, and what it reads next, with offsets |
| `crash N [losing_tail]`, `stop N`, `restart N`, `pause N`, `resume N`, `isolate N`, `rejoin N` | |
| `cut A B`, `heal [A B]`, `lose_next_ack`, `lose_next_request` | |
| `elect N`, `elect_unclean`, `delete_records [BEFORE]` | |
| `leader`, `records [N]` | who leads, and what is committed, or all that broker N holds |
| `skip` | the next ladder begins here |
| `story [all]` | the ladder of what has happened since the last one; `all`: with replication |
| `check` | the verdict, and for each promise that was not kept, the reason |
"""

from __future__ import annotations

import shlex
from textwrap import wrap
from typing import Any

from eventlog import Cluster, Consumer, Delivery, EventLogError, Producer
from eventlog.check.promises import EXCUSES
from eventlog.sim.faults import Deviation

PROMPT = "> "
WIDTH = 120
OWN_COMMANDS = (
    *("stop", "restart", "pause", "resume", "isolate", "rejoin"),
    *("cut", "heal", "lose_next_ack", "lose_next_request"),
)


def _settings(words: list[str]) -> dict[str, Any]:
    pairs = [word.split("=", 1) for word in words]
    return {name: {"True": True, "False": False}.get(value, value) for name, value in pairs} | {
        name: int(value) for name, value in pairs if value.lstrip("-").isdigit()
    }


def _machine(word: str) -> int | str:
    return int(word) if word.isdigit() else word


class Teller:
    """One story's cluster, made with the first command that needs it."""

    def __init__(self) -> None:
        self.planned: list[Deviation] = []
        self.settings: dict[str, Any] = {"brokers": 3, "min_insync_replicas": 2}
        self._cluster: Cluster | None = None
        self.producers: dict[str, Producer] = {}
        self.readers: dict[str, Consumer] = {}
        self.sent: list[tuple[str, Delivery]] = []
        self.topic = ""
        self.told = 0

    @property
    def cluster(self) -> Cluster:
        if self._cluster is None:
            self._cluster = Cluster(deviations=self.planned or None, checks="full", **self.settings)
        return self._cluster

    def do(self, line: str) -> list[str]:
        """Run one command; the lines that it gives."""
        command, *words = shlex.split(line)
        try:
            return list(getattr(self, f"do_{command}")(*words) or ())
        except EventLogError as error:
            return [f"{type(error).__name__} ({error.code.name} {error.code.value}): {error}"]

    def do_at(self, event: str, fault: str, target: str, duration_ms: str) -> None:
        self.planned.append(Deviation(event, 1, fault, target, int(duration_ms)))

    def do_cluster(self, *words: str) -> None:
        self.settings |= _settings(list(words))

    def do_create(self, topic: str, *words: str) -> None:
        self.topic = topic
        self.cluster.create_topic(topic, **_settings(list(words)))

    def do_alter(self, *words: str) -> None:
        self.cluster.alter_topic(self.topic, **_settings(list(words)))

    def do_partitions(self, count: str) -> None:
        self.cluster.create_partitions(self.topic, int(count))

    def do_producer(self, name: str, *words: str) -> None:
        alone = {"linger_ms": 0, "batch_size": 0}
        self.producers[name] = self.cluster.producer(name, **{**alone, **_settings(list(words))})

    def do_send(self, name: str, *values: str) -> None:
        for word in values:
            value, _, partition = word.partition("@")
            where = int(partition) if partition else 0
            self.sent.append((value, self.producers[name].send(self.topic, value, partition=where)))

    def do_flush(self, name: str) -> None:
        self.producers[name].flush()

    def do_advance(self, by_ms: str) -> None:
        self.cluster.advance(int(by_ms))

    def do_deliveries(self) -> list[str]:
        """A line for each send: its offset, its error, or that it is still under way."""
        ends = [(value, delivery.error or repr(delivery)[1:-1].split(": ")[1]) for value, delivery in self.sent]
        return [f"{value}: {'acknowledged, offset unknown' if end == 'at -1' else end}" for value, end in ends]

    def do_reader(self, name: str, *words: str) -> None:
        self.readers[name] = self.cluster.consumer((self.topic, 0), name=name, **_settings(list(words)))

    def do_read(self, name: str) -> list[str]:
        found = self.readers[name].poll()
        return [" ".join(f"{read.offset}:{(read.record.value or b'').decode()}" for read in found) or "nothing"]

    def do_crash(self, broker_id: str, how: str = "") -> None:
        self.cluster.crash(int(broker_id), losing_tail=how == "losing_tail")

    def do_elect(self, broker_id: str) -> None:
        self.cluster.elect(self.topic, 0, int(broker_id))

    def do_elect_unclean(self) -> None:
        self.cluster.elect_unclean(self.topic)

    def do_delete_records(self, before_offset: str = "-1") -> list[str]:
        return [f"the log begins at {self.cluster.delete_records(self.topic, 0, int(before_offset))}"]

    def do_leader(self) -> list[str]:
        leader = self.cluster.leader(self.topic)
        replicas = ", ".join(map(str, self.cluster.in_sync_replicas(self.topic))) or "none"
        return [f"{'nobody' if leader < 0 else f'broker {leader}'} leads, in sync are {replicas}"]

    def do_records(self, broker_id: str = "") -> list[str]:
        found = self.cluster.records(self.topic, 0, int(broker_id) if broker_id else None)
        return [" ".join((record.record.value or b"").decode() for record in found) or "none"]

    def do_story(self, how: str = "") -> list[str]:
        start, self.told = self.told, len(self.cluster.recorder.events)
        return [line.rstrip() for line in self.cluster.story(start, self.told, how == "all").split("\n")]

    def do_skip(self) -> None:
        self.told = len(self.cluster.recorder.events)

    def do_check(self) -> list[str]:
        """The verdict, and each reason once, with the promises that it is the reason for."""
        verdict = self.cluster.check()
        reasons: dict[str, list[str]] = {}
        for result in verdict.promises:
            if result.places:
                why = f"{result.why}: {EXCUSES[result.why]}" if result.why in EXCUSES else result.why
                reasons.setdefault(f"{result.status}, {why}", []).append(result.promise)
        told = [f"{', '.join(promises)} {reason}" for reason, promises in reasons.items()]
        return [line for text in (verdict.sentence(), *told) for line in wrap(text, WIDTH, subsequent_indent="  ")]

    def __getattr__(self, name: str) -> Any:
        """The rest are the cluster's own commands: broker ids and names of machines in, nothing out."""
        command = name.removeprefix("do_")
        if command not in OWN_COMMANDS:
            raise AttributeError(f"there is no command {command!r}")
        return lambda *words: getattr(self.cluster, command)(*map(_machine, words))


def tell(text: str) -> str:
    """The story with what its commands give now."""
    teller = Teller()
    lines = text.split("\n")
    first = next((index for index, line in enumerate(lines) if line.startswith(PROMPT)), len(lines))
    told = lines[:first]
    for line in lines[first:]:
        if line.startswith(PROMPT):
            told += [line, *teller.do(line.removeprefix(PROMPT))]
    return "\n".join(told) + "\n"
