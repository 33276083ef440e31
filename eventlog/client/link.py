"""How a client engine talks to one broker: a connection, what is unanswered on it, and asking one broker after another.

`Link` is one connection (and its successors). `Asker` keeps a single question under way and goes to the next broker
when one does not answer; metadata and producer ids are asked for with it.
"""

from __future__ import annotations

from collections import deque
from typing import Any

from eventlog.messages import CloseConnection, Connection, Envelope, Frozen, broker_name
from eventlog.values import draw


def backoff_ms(first_ms: int, limit_ms: int, failures: int, seed: int, name: str, jitter_percent: int = 20) -> int:
    """How long to wait after the `failures`-th failure (from 1): doubling from `first_ms`, give or take the jitter, at
    most `limit_ms`.

    `name` names what waits; the jitter is drawn by it. Source: `ExponentialBackoff`, KIP-580.
    """
    term_ms = min(first_ms << min(failures - 1, 40), max(first_ms, limit_ms))
    least = 1000 - 10 * jitter_percent
    return min(term_ms * (least + draw(seed, name, 20 * jitter_percent + 1)) // 1000, max(first_ms, limit_ms))


class Link:
    """One client's connection to one broker for one purpose, with its unanswered requests, oldest first.

    An entry of `in_flight` is (correlation id, sent at, what the asker keeps about it). `answered` is True once a
    reply came: then the broker did listen. `is_refused`: nobody listened, and metadata was not heard since;
    `reconnect_at_ms`: not before this time. `timer` names the timer of the oldest unanswered request.
    """

    __slots__ = (
        "answered",
        "broker_id",
        "client",
        "connection",
        "correlation_id",
        "in_flight",
        "is_refused",
        "opened",
        "reconnect_at_ms",
        "timer",
    )

    def __init__(self, client: str, broker_id: int, purpose: str, timer: str) -> None:
        self.client = client
        self.broker_id = broker_id
        self.connection = Connection(client, broker_name(broker_id), purpose, 0)
        self.timer = timer
        self.correlation_id = 0
        self.in_flight: deque[tuple[int, int, Any]] = deque()
        self.answered = False
        self.opened = False
        self.is_refused = False
        self.reconnect_at_ms = 0

    def request(self, message: object, kept: object, now_ms: int, *, expects_reply: bool = True) -> Envelope:
        """The envelope that carries `message`; `kept` comes back with its reply."""
        correlation_id = self.correlation_id
        self.correlation_id = correlation_id + 1
        self.opened = True
        if expects_reply:
            self.in_flight.append((correlation_id, now_ms, kept))
        return Envelope(self.client, self.connection.server, self.connection, correlation_id, message)

    def is_current(self, connection: Connection) -> bool:
        """False for a connection that was given up: what still comes from it is of no interest."""
        return self.opened and connection.number == self.connection.number

    def take_reply(self, correlation_id: int) -> Any:
        """What was kept about the oldest request if `correlation_id` is its own, else None (a broken connection)."""
        if not self.in_flight or self.in_flight[0][0] != correlation_id:
            return None
        self.answered = True
        return self.in_flight.popleft()[2]

    def break_off(self) -> list[Any]:
        """Forgets the connection; the next request opens the next one. What was unanswered, oldest first."""
        unanswered = [kept for _, _, kept in self.in_flight]
        self.in_flight.clear()
        self.connection = self.connection._replace(number=self.connection.number + 1)
        self.correlation_id = 0
        self.answered = False
        self.opened = False
        return unanswered

    def close(self) -> Envelope:
        """Tells the network that this connection is given up. To be called before `break_off`."""
        return Envelope(self.client, self.connection.server, self.connection, self.correlation_id, CloseConnection())

    def set_timer(self, deadlines: dict[str, int], request_timeout_ms: int) -> None:
        """Sets the request timer for the oldest unanswered request, or removes it."""
        if self.in_flight:
            deadlines[self.timer] = self.in_flight[0][1] + request_timeout_ms
        else:
            deadlines.pop(self.timer, None)

    def freeze(self, now_ms: int, request_timeout_ms: int) -> Frozen:
        """Everything but `kept`, which its owner freezes: ages instead of times, clipped at the request timeout."""
        waiting = tuple((number, min(now_ms - sent_ms, request_timeout_ms)) for number, sent_ms, _ in self.in_flight)
        state = (self.correlation_id, self.answered, self.opened, self.is_refused)
        return (self.broker_id, self.connection.number, *state, max(self.reconnect_at_ms - now_ms, 0), waiting)

    def restore(self, frozen: Frozen, kept: list[Any], now_ms: int) -> None:
        """Takes over what `freeze` gave; `kept` stands beside the unanswered requests, oldest first."""
        _, number, self.correlation_id, self.answered, self.opened, self.is_refused, in_ms, waiting = frozen
        self.reconnect_at_ms = now_ms + in_ms
        self.connection = self.connection._replace(number=number)
        pairs = zip(waiting, kept, strict=True)
        self.in_flight = deque((correlation_id, now_ms - age_ms, item) for (correlation_id, age_ms), item in pairs)


class Asker:
    """One question at a time to any broker, round and round until one answers.

    Its timers are `<purpose>` (backing off) and `request <purpose>` (the answer is late).
    """

    __slots__ = (
        "backoff_limit_ms",
        "backoff_ms",
        "broker_id",
        "client",
        "failures",
        "jitter_percent",
        "links",
        "purpose",
        "seed",
        "timer",
    )

    def __init__(
        self,
        client: str,
        purpose: str,
        seed: int,
        first_backoff_ms: int,
        backoff_limit_ms: int,
        jitter_percent: int = 20,
    ) -> None:
        self.jitter_percent = jitter_percent
        self.client = client
        self.purpose = purpose
        self.timer = f"request {purpose}"
        self.seed = seed
        self.backoff_ms = first_backoff_ms
        self.backoff_limit_ms = backoff_limit_ms
        self.links: dict[int, Link] = {}
        self.broker_id = -1
        self.failures = 0

    @property
    def asked(self) -> Any:
        """The question under way, None if there is none."""
        link = self.links.get(self.broker_id)
        return link.in_flight[0][2] if link is not None and link.in_flight else None

    def may_ask(self, deadlines: dict[str, int]) -> bool:
        return self.purpose not in deadlines and self.asked is None

    def ask(
        self, message: object, brokers: tuple[int, ...], now_ms: int, request_timeout_ms: int, deadlines: dict[str, int]
    ) -> Envelope:
        """Asks the broker whose turn it is, out of `brokers`."""
        if self.broker_id not in brokers:
            self.broker_id = brokers[0]
        link = self.links.get(self.broker_id)
        if link is None:
            link = self.links[self.broker_id] = Link(self.client, self.broker_id, self.purpose, self.timer)
        envelope = link.request(message, message, now_ms)
        link.set_timer(deadlines, request_timeout_ms)
        return envelope

    def take_reply(self, envelope: Envelope, deadlines: dict[str, int]) -> Any:
        """The question that this reply answers, None if it is a late one of a connection that was given up."""
        link = self.links.get(self.broker_id)
        if link is None or envelope.connection != link.connection or not link.opened:
            return None
        question = link.take_reply(envelope.correlation_id)
        if question is not None:
            deadlines.pop(self.timer, None)
        return question

    def disconnected(self, connection: Connection, deadlines: dict[str, int]) -> bool:
        """Notes that a connection is gone; True if a question went with it."""
        for link in self.links.values():
            if link.connection == connection:
                lost = link.break_off()
                if lost:
                    deadlines.pop(self.timer, None)
                return bool(lost)
        return False

    def give_up(self, deadlines: dict[str, int]) -> list[Envelope]:
        """Closes the connection that the question under way is on."""
        deadlines.pop(self.timer, None)
        link = self.links.get(self.broker_id)
        if link is None or not link.in_flight:
            return []
        envelope = link.close()
        link.break_off()
        return [envelope]

    def fail(self, brokers: tuple[int, ...], now_ms: int, deadlines: dict[str, int]) -> None:
        """The question brought nothing: the next broker's turn, after backing off."""
        self.failures += 1
        if brokers:
            index = brokers.index(self.broker_id) + 1 if self.broker_id in brokers else 0
            self.broker_id = brokers[index % len(brokers)]
        name = f"{self.client} {self.purpose} {self.failures}"
        deadlines[self.purpose] = now_ms + backoff_ms(
            self.backoff_ms, self.backoff_limit_ms, self.failures, self.seed, name, self.jitter_percent
        )

    def close(self, deadlines: dict[str, int]) -> list[Envelope]:
        """Closes every connection and forgets the question under way."""
        deadlines.pop(self.timer, None)
        deadlines.pop(self.purpose, None)
        envelopes = [link.close() for link in self.links.values() if link.opened]
        for link in self.links.values():
            if link.opened:
                link.break_off()
        return envelopes

    def freeze(self, now_ms: int, request_timeout_ms: int) -> Frozen:
        links = tuple(
            (link.freeze(now_ms, request_timeout_ms), tuple(kept for _, _, kept in link.in_flight))
            for link in self.links.values()
        )
        # The jitter is drawn by the count, but a back-off at its limit is as long as any later one but for that.
        return (self.broker_id, self.failures, links)

    def restore(self, frozen: Frozen, now_ms: int) -> None:
        self.broker_id, self.failures, links = frozen
        for frozen_link, kept in links:
            link = self.links[frozen_link[0]] = Link(self.client, frozen_link[0], self.purpose, self.timer)
            link.restore(frozen_link, list(kept), now_ms)
