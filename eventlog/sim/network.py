"""Connections and links: what carries envelopes, and what can go wrong on the way.

A connection is first-in first-out in each direction and has one request in process: the next is handed over when the
one before is answered, as Kafka mutes a channel. What a fault takes from a connection takes everything behind it too:
a client never sees an answer skipped, only a connection that hangs or breaks. Late copies come from old connections:
when a client gives one up, what it sent is still read by the server.

A cut link loses nothing: it holds what comes until it is healed, as a transport that retransmits does.
"""

from __future__ import annotations

from collections import deque
from typing import Any, Final

from eventlog.messages import Envelope, Frozen

MOST_ANSWERS_UNDER_WAY: Final = 64


class ConnectionState:
    """One connection's state. `is_plain` is False when anything but `is_busy` must be looked at."""

    __slots__ = (
        "awaited_answer",
        "backlog",
        "early_answers",
        "failing",
        "is_busy",
        "is_closed",
        "is_plain",
        "replies_lost",
        "replies_not_before_ms",
        "requests_lost",
        "requests_not_before_ms",
        "served",
    )

    def __init__(self) -> None:
        self.is_plain = True
        self.is_busy = False
        # The newest requests taken into process, oldest first: their answers are named after them. Several answers may
        # be under way at once.
        self.served: deque[Envelope] = deque(maxlen=MOST_ANSWERS_UNDER_WAY)
        # Requests that have arrived while one is in process.
        self.backlog: deque[Envelope] = deque()
        # The client gave it up: what is under way to the server is read, no answer arrives.
        self.is_closed = False
        self.requests_lost = False
        self.replies_lost = False
        self.requests_not_before_ms = 0
        self.replies_not_before_ms = 0
        # Correlation ids of requests that the server's disk will refuse.
        self.failing: tuple[int, ...] = ()
        # The request that was overtaken, by its correlation id: later answers wait for its own. -1: none.
        self.awaited_answer = -1
        self.early_answers: tuple[Envelope, ...] = ()

    def answers_in_order(self, answer: Envelope) -> tuple[Envelope, ...]:
        """What may leave now that the server gave `answer`: answers go in the order of the requests."""
        if self.awaited_answer < 0 or answer.correlation_id < self.awaited_answer:
            return (answer,)
        if answer.correlation_id > self.awaited_answer:
            self.early_answers = (*self.early_answers, answer)
            return ()
        leaving, self.early_answers, self.awaited_answer = (answer, *self.early_answers), (), -1
        return leaving

    def request_of(self, correlation_id: int) -> Envelope | None:
        """The request that this answer belongs to; those before it are forgotten."""
        served = self.served
        while served and served[0].correlation_id < correlation_id:
            served.popleft()
        return served[0] if served and served[0].correlation_id == correlation_id else None

    def copy(self) -> ConnectionState:
        """Another one, equal to it."""
        state = ConnectionState.__new__(ConnectionState)
        state.is_plain = self.is_plain
        state.is_busy = self.is_busy
        state.served = self.served.copy()
        state.backlog = self.backlog.copy()
        state.is_closed = self.is_closed
        state.requests_lost = self.requests_lost
        state.replies_lost = self.replies_lost
        state.requests_not_before_ms = self.requests_not_before_ms
        state.replies_not_before_ms = self.replies_not_before_ms
        state.failing = self.failing
        state.awaited_answer = self.awaited_answer
        state.early_answers = self.early_answers
        return state

    def freeze(self, now_ms: int) -> Frozen:
        return (
            self.is_plain,
            self.is_busy,
            tuple(self.served),
            tuple(self.backlog),
            self.is_closed,
            self.requests_lost,
            self.replies_lost,
            max(0, self.requests_not_before_ms - now_ms),
            max(0, self.replies_not_before_ms - now_ms),
            self.failing,
            self.awaited_answer,
            self.early_answers,
        )

    @classmethod
    def thaw(cls, frozen: tuple[Any, ...], now_ms: int) -> ConnectionState:
        state = cls()
        (
            state.is_plain,
            state.is_busy,
            served,
            backlog,
            state.is_closed,
            state.requests_lost,
            state.replies_lost,
            requests_wait_ms,
            replies_wait_ms,
            state.failing,
            state.awaited_answer,
            state.early_answers,
        ) = frozen
        state.served.extend(served)
        state.backlog = deque(backlog)
        state.requests_not_before_ms = now_ms + requests_wait_ms
        state.replies_not_before_ms = now_ms + replies_wait_ms
        return state


class Links:
    """Which links are cut, and what they hold. A link is one direction between two machines."""

    __slots__ = ("cuts", "held")

    def __init__(self) -> None:
        # How many faults cut it at the moment: they may overlap.
        self.cuts: dict[tuple[str, str], int] = {}
        # What waits on it, with its order of sending.
        self.held: dict[tuple[str, str], list[tuple[int, Any]]] = {}

    def cut(self, source: str, destination: str) -> None:
        link = (source, destination)
        self.cuts[link] = self.cuts.get(link, 0) + 1
        self.held.setdefault(link, [])

    def heal(self, source: str, destination: str) -> list[tuple[int, Any]]:
        """Undo one cut; what was held, oldest first, when it was the last one."""
        link = (source, destination)
        left = self.cuts.get(link, 0) - 1
        if left > 0:
            self.cuts[link] = left
            return []
        self.cuts.pop(link, None)
        return self.held.pop(link, [])

    def freeze(self) -> Frozen:
        return (tuple(self.cuts.items()), tuple([(link, tuple(held)) for link, held in self.held.items()]))

    @classmethod
    def thaw(cls, frozen: Frozen) -> Links:
        links = cls()
        cuts, held = frozen
        links.cuts = dict(cuts)
        links.held = {link: list(items) for link, items in held}
        return links
