"""Stories: a title, a sentence or two, and commands with the exact text that each of them gives.

A command is a line that begins with `> `; what it gives stands below it. `tell` runs the commands of a text and returns
the text as it ought to be. The commands are those of `Cluster`, with as little around them as a reader needs:

| command | what it does |
|---|---|
| `at EVENT FAULT TARGET MS` | plan a fault for an event that is still to come (before everything else) |
| `cluster NAME=VALUE ...` | begin with other settings than three brokers of which two must have a record |
| `create TOPIC`, `producer NAME SETTING=VALUE ...` | |
| `send NAME VALUE ...` | hand over records, each of which leaves at once in a batch of its own |
| `flush NAME`, `advance MS` | let time pass, until all has its end or for so long |
| `deliveries` | what became of everything sent |
| `crash N [losing_tail]`, `restart N`, `isolate N`, `rejoin N`, `cut A B`, `heal [A B]`, `elect N` | |
| `lose_next_ack`, `lose_next_request` | |
| `leader`, `records [N]` | who leads, and what is committed, or all that broker N holds |
| `story [all]` | the ladder of what has happened since the last one; `all`: with replication |
| `check` | the verdict |
"""

from __future__ import annotations

import shlex
from typing import Any

from eventlog import Cluster, Delivery, EventLogError, Producer
from eventlog.sim.faults import Deviation

PROMPT = "> "


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

    def do_create(self, topic: str) -> None:
        self.topic = topic
        self.cluster.create_topic(topic)

    def do_producer(self, name: str, *words: str) -> None:
        self.producers[name] = self.cluster.producer(name, **{"linger_ms": 0, **_settings(list(words))})

    def do_send(self, name: str, *values: str) -> None:
        for value in values:
            self.sent.append((value, self.producers[name].send(self.topic, value)))

    def do_flush(self, name: str) -> None:
        self.producers[name].flush()

    def do_advance(self, by_ms: str) -> None:
        self.cluster.advance(int(by_ms))

    def do_deliveries(self) -> list[str]:
        return [f"{value}: {delivery.error or repr(delivery)[1:-1].split(': ')[1]}" for value, delivery in self.sent]

    def do_crash(self, broker_id: str, how: str = "") -> None:
        self.cluster.crash(int(broker_id), losing_tail=how == "losing_tail")

    def do_elect(self, broker_id: str) -> None:
        self.cluster.elect(self.topic, 0, int(broker_id))

    def do_leader(self) -> list[str]:
        replicas = ", ".join(map(str, self.cluster.in_sync_replicas(self.topic)))
        return [f"broker {self.cluster.leader(self.topic)} leads, in sync are {replicas}"]

    def do_records(self, broker_id: str = "") -> list[str]:
        found = self.cluster.records(self.topic, 0, int(broker_id) if broker_id else None)
        return [" ".join((record.record.value or b"").decode() for record in found) or "none"]

    def do_story(self, how: str = "") -> list[str]:
        start, self.told = self.told, len(self.cluster.recorder.events)
        return [line.rstrip() for line in self.cluster.story(start, self.told, how == "all").split("\n")]

    def do_check(self) -> list[str]:
        return [self.cluster.check().sentence()]

    def __getattr__(self, name: str) -> Any:
        """The rest are the cluster's own commands: broker ids and names of machines in, nothing out."""
        command = name.removeprefix("do_")
        if command not in ("restart", "isolate", "rejoin", "cut", "heal", "lose_next_ack", "lose_next_request"):
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
