"""A transactional outbox: orders are stored with the event that tells of them, in one transaction of the shop's database;
a relay publishes the events; the mail service reads them and writes a letter for each.

The mistake is not in the relay. Publishing and marking are two steps in two systems, and it may die between them: then it
publishes again. Marking first would be worse, for then it may never publish. The mistake is a reader that believes that
an event comes once.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path

from eventlog import Cluster
from eventlog.testing import maybe_crash

TOPIC = "orders"


def open_database(path: Path) -> sqlite3.Connection:
    database = sqlite3.connect(path)
    database.execute("PRAGMA synchronous = OFF")  # processes die here, not machines
    return database


def open_shop(path: Path) -> sqlite3.Connection:
    database = open_database(path)
    database.execute("CREATE TABLE IF NOT EXISTS outbox (event TEXT PRIMARY KEY, is_published INTEGER DEFAULT 0)")
    return database


def place_orders(path: Path, orders: list[str]) -> None:
    with open_shop(path) as database:
        database.executemany("INSERT INTO outbox (event) VALUES (?)", [(order,) for order in orders])


def relay(path: Path, cluster: Cluster) -> None:
    """Publish, then mark: what is marked was published, and what was published may be published again."""
    database = open_shop(path)
    producer = cluster.producer("relay")
    for (event,) in database.execute("SELECT event FROM outbox WHERE NOT is_published ORDER BY rowid").fetchall():
        producer.send(TOPIC, event).offset  # noqa: B018 (waits until it is acknowledged)
        maybe_crash("after_publish")
        with database:
            database.execute("UPDATE outbox SET is_published = 1 WHERE event = ?", (event,))


def hasty_relay(path: Path, cluster: Cluster) -> None:
    """Buggy: mark, then publish. What it was about to publish when it died is never published."""
    database = open_shop(path)
    producer = cluster.producer("relay")
    for (event,) in database.execute("SELECT event FROM outbox WHERE NOT is_published ORDER BY rowid").fetchall():
        with database:
            database.execute("UPDATE outbox SET is_published = 1 WHERE event = ?", (event,))
        maybe_crash("after_mark")
        producer.send(TOPIC, event).offset  # noqa: B018


class TrustingMailer:
    """Buggy: a letter for each record."""

    def __init__(self, path: Path) -> None:
        self.database = open_database(path)
        self.database.execute("CREATE TABLE IF NOT EXISTS letters (event TEXT)")
        self.database.execute("CREATE TABLE IF NOT EXISTS seen (event TEXT PRIMARY KEY)")

    def run(self, cluster: Cluster) -> None:
        reader = cluster.consumer((TOPIC, 0))
        while found := reader.poll(timeout_ms=100):
            for record in found:
                self.handle(record.record.value.decode())

    def handle(self, event: str) -> None:
        with self.database:
            self.database.execute("INSERT INTO letters VALUES (?)", (event,))

    def letters(self) -> list[str]:
        return [event for (event,) in self.database.execute("SELECT event FROM letters")]


class Mailer(TrustingMailer):
    """Fixed: it remembers which events it has seen, in the transaction that writes the letter."""

    def handle(self, event: str) -> None:
        with self.database:
            is_new = self.database.execute("INSERT OR IGNORE INTO seen VALUES (?)", (event,)).rowcount
            if is_new:
                self.database.execute("INSERT INTO letters VALUES (?)", (event,))
