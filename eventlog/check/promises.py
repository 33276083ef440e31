"""The promises, as a table: what each says, who gives it, and which fault may excuse it by which event.

This is data. `judge` finds what a promise forbids and asks here whether it was promised at all; a person reads what may
be hoped for under a fault. Ids beginning with H, I and G are the usual ones of log checkers; A is an
acknowledgement's, R a reader's.

Why excuses are named: faithful Kafka breaks what its users believe in a few known places. A checker that calls these
broken cries wolf; one that skips them is blind to real losses beside them. So every excuse has a name, says which event
must be in the history for it, and is computed, never assumed.
"""

from __future__ import annotations

from typing import NamedTuple

from eventlog.errors import RequestError
from eventlog.values import FAULTS

HELD = "held"
EXCUSED = "excused"
BROKEN = "broken"
NOT_PROMISED = "not promised"
NOT_CHECKABLE = "not checkable"

EVERYBODY = "every writer"
IDEMPOTENT = "idempotent only"
ACKNOWLEDGED = "acks=all; acks=1 while the leader stays"
IDEMPOTENT_WRITERS = ("idempotent", "transactional")
PLAIN_WRITER = "plain"


class Promise(NamedTuple):
    """One promise. `rank` orders findings, 0 the most damning; `needs` names the rows without which nobody can tell."""

    id: str
    name: str
    sentence: str
    who: str
    rank: int
    needs: str


PROMISES: dict[str, Promise] = {
    promise.id: promise
    for promise in (
        Promise("H1", "one offset", "All acknowledgements of a record name the same offset.", EVERYBODY, 5, "Acked"),
        Promise("H2", "no duplicate", "A record stands at most once in the committed log.", IDEMPOTENT, 3, "Log"),
        Promise(
            "H3",
            "order",
            "Records of one producer stand in a partition in the order in which they were sent.",
            IDEMPOTENT,
            8,
            "Sent Log",
        ),
        Promise(
            "H4",
            "no gap",
            "Sequences of a (producer_id, producer_epoch) begin at the start and go on without a gap.",
            IDEMPOTENT,
            9,
            "Log",
        ),
        Promise(
            "H5",
            "nothing lost",
            "What was acknowledged with an offset is in the committed log.",
            ACKNOWLEDGED,
            0,
            "Run Acked Log",
        ),
        Promise("H6", "no dirty read", "What a reader got stays in the log, at that offset.", EVERYBODY, 1, "Read Log"),
        Promise(
            "H7", "replicas agree", "Below the high_watermark of both, two replicas hold the same.", EVERYBODY, 2, "Log"
        ),
        Promise(
            "H8",
            "one leader",
            "A leader_epoch has one leader, and leader epochs never go back.",
            EVERYBODY,
            11,
            "LeaderChanged|Log",
        ),
        Promise(
            "H9",
            "fencing",
            "After the first record of a higher producer_epoch none of a lower one is appended.",
            IDEMPOTENT,
            10,
            "Log",
        ),
        Promise(
            "H11",
            "whole batches",
            "A batch is in a log whole, right behind the one before it, as it was acknowledged.",
            EVERYBODY,
            12,
            "Log",
        ),
        Promise(
            "H13",
            "it recovers",
            "When all is healed, every send has an end and every replica is in sync.",
            EVERYBODY,
            18,
            "End",
        ),
        Promise(
            "H14",
            "no false refusal",
            "A batch is refused for its sequence or epoch only when the log says so.",
            IDEMPOTENT,
            16,
            "Log",
        ),
        Promise("I3", "marks in order", "log_start_offset <= high_watermark <= log_end_offset.", EVERYBODY, 14, "Log"),
        Promise(
            "I5",
            "logs match",
            "Equal leader_epoch at an offset of two replicas: equal records there and before.",
            EVERYBODY,
            13,
            "Log",
        ),
        Promise(
            "I11",
            "no sequence twice",
            "A (producer_id, producer_epoch, base_sequence) is appended once.",
            IDEMPOTENT,
            4,
            "Log",
        ),
        Promise("I33", "one end", "A send ends once: acknowledged or failed.", EVERYBODY, 15, "Acked|Failed"),
        Promise("G1a", "no failed write", "What was reported not written is not in the log.", EVERYBODY, 7, "Log"),
        Promise("A1", "true offset", "What was acknowledged with an offset is there.", EVERYBODY, 6, "Acked Log"),
        Promise("A2", "sent before", "What is in a log was sent, and to that partition.", EVERYBODY, 14, "Sent Log"),
        Promise(
            "A3",
            "true success",
            "What was acknowledged without an offset is in the committed log.",
            ACKNOWLEDGED,
            0,
            "Run Acked Log",
        ),
        Promise("R1", "forward", "A reader never goes back and gets nothing twice.", EVERYBODY, 16, "Read"),
        Promise("R2", "no skip", "A reader passes over no committed record.", EVERYBODY, 17, "Read Log"),
    )
}

NEEDS: dict[str, tuple[str, ...]] = {promise.id: tuple(promise.needs.split()) for promise in PROMISES.values()}
"""The kinds of rows without which a promise can't be checked; `|` where either will do."""

UNKNOWN_PRODUCER = "unknown-producer rule"
ONE_BATCH_MEMORY = "memory of one batch"
EXPIRED = "producer expired"
WINDOW_PASSED = "more in flight than remembered"
LATE_COPY = "late copy"
RAISED_ELSEWHERE = "epoch raised elsewhere"
EVERY_COPY_LOST = "every in-sync copy lost"
DISK_WIPED = "disk wiped"
UNCLEAN_ELECTION = "unclean election"
LEADER_MOVED = "leader moved after acks=1"
WATERMARK_BEHIND = "high_watermark behind"
LOG_START_MOVED = "log start moved"
NOBODY_LEFT = "nobody left to lead"
FATAL_CLIENT = "client in a fatal error"

EXCUSES: dict[str, str] = {
    UNKNOWN_PRODUCER: (
        "A broker takes any first sequence from a producer the partition does not know. An earlier batch was refused "
        "and a later one accepted as the first; the earlier can't be written any more under this epoch."
    ),
    ONE_BATCH_MEMORY: (
        "The broker that judged the retry had lost its memory of all but the newest batch. It refuses the retry of an "
        "older one, and the client raises its epoch and writes again (Run.producer_snapshot_batches is 1)."
    ),
    EXPIRED: (
        "The partition had forgotten the producer (idle longer than producer.id.expiration.ms): what it sent next, a "
        "retry or a fenced epoch included, was judged as an unknown producer's."
    ),
    WINDOW_PASSED: (
        "The partition had a new leader while five batches hung on the connection to the old one, and five more went to "
        "the new one. A broker remembers five: it refused the retry of an older one, which it had, and the client raised "
        "its epoch and wrote again."
    ),
    LATE_COPY: (
        "A message timed out while a later one was appended but unanswered; librdkafka raises its epoch and sends the "
        "later one again."
    ),
    RAISED_ELSEWHERE: (
        "Another partition refused a batch out of order, or a message to it timed out; librdkafka raises its epoch for all "
        "partitions at once and sends what is unanswered under the new one, this partition's copy too, which was written."
    ),
    EVERY_COPY_LOST: "Every in-sync replica that held the record lost the end of its log in a crash (TailLost).",
    DISK_WIPED: "Every in-sync replica that held the record lost it in crashes, one of them with its whole disk.",
    UNCLEAN_ELECTION: "An out-of-sync replica was made leader: it was neither in sync nor eligible (ELR).",
    LEADER_MOVED: "Leadership moved, or the leader lost the end of its log, before the record was replicated.",
    WATERMARK_BEHIND: "The record is in the log; the new leader did not yet know that it is committed.",
    LOG_START_MOVED: "Records before log_start_offset were deleted, and nobody knows whether this was one of them.",
    NOBODY_LEFT: "Every replica that was in sync or eligible died, none is left that may lead, and none was forced to.",
    FATAL_CLIENT: "A librdkafka producer that is refused out of order at the head of its line sends nothing any more.",
}
"""The only reasons for which a promise may be excused, and what each rests on."""

MEMORY_LOST = "the broker that judged the retry had lost its memory of all but the newest batch"
NOBODY_PROMISED_ORDER = "a plain writer has no producer_id: to a broker its retry is a new record"
NOBODY_PROMISED_ACKS_0 = "acks=0: nobody waits for an answer"


class Standing(NamedTuple):
    """How a promise stands under a fault: held, excused (by which events, if they are in the history), not promised."""

    status: str
    excuses: tuple[str, ...]
    reason: str


REFUSES, MOVES, FORGETS, LOSES, WIPES, FORCES, DELETES, STALLS, LIES = (
    "a first batch can be refused and a later one accepted",
    "leadership moves",
    "a broker restarts and remembers one batch",
    "the end of a log is lost",
    "a disk is lost",
    "a replica that is not in sync leads",
    "old records go",
    "a client may give up what was appended",
    "calls a written batch an error",
)
EFFECTS = (REFUSES, MOVES, FORGETS, LOSES, WIPES, FORCES, DELETES, STALLS, LIES)

_OUTAGE = (REFUSES, MOVES, STALLS)
EFFECTS_OF: dict[str, tuple[str, ...]] = {
    "request_lost": (STALLS,),
    "reply_lost": (STALLS,),
    "request_duplicated": (),
    "reply_duplicated": (),
    "request_reordered": (REFUSES,),
    "delay": (STALLS,),
    "disconnect": (STALLS,),
    "clog": _OUTAGE,
    "cut": _OUTAGE,
    "cut_one_way": _OUTAGE,
    "split": _OUTAGE,
    "isolate": _OUTAGE,
    "crash": (*_OUTAGE, FORGETS),
    "crash_losing_tail": (*_OUTAGE, FORGETS, LOSES),
    "crash_wiped": (*_OUTAGE, FORGETS, WIPES),
    "power_cut": (*_OUTAGE, FORGETS, LOSES),
    "clean_restart": (*_OUTAGE, FORGETS),
    "pause": _OUTAGE,
    "snapshot_lost": (*_OUTAGE, FORGETS),
    "snapshot_old": (*_OUTAGE, FORGETS),
    "snapshot_corrupt": (*_OUTAGE, FORGETS),
    "append_fails": _OUTAGE,
    "error_after_append": (STALLS, LIES),
    "client_timeout": (STALLS,),
    "election": (REFUSES, MOVES),
    "unclean_election": (REFUSES, MOVES, FORCES),
    "slow_follower": (REFUSES, STALLS),
    "stuck_fetcher": (REFUSES, STALLS),
    "isr_shrink": (REFUSES,),
    "isr_expand": (REFUSES,),
    "controller_isolated": _OUTAGE,
    "controller_paused": _OUTAGE,
    "metadata_delay": (REFUSES, STALLS),
    "log_start_moved": (DELETES,),
}
"""What a fault can do that an excuse rests on. A fault that is not here yet is answered for as if it did everything."""

_EXCUSED_BY: tuple[tuple[str, tuple[str, ...], tuple[str, ...]], ...] = (
    (UNKNOWN_PRODUCER, (REFUSES,), ("H2", "H3", "H4", "A3")),
    (ONE_BATCH_MEMORY, (FORGETS,), ("H2", "H3", "H14")),
    (WINDOW_PASSED, (MOVES, LIES), ("H2", "H3")),
    (LATE_COPY, (STALLS,), ("H2", "H3")),
    (RAISED_ELSEWHERE, (REFUSES, FORGETS, STALLS), ("H2", "H3")),
    (EVERY_COPY_LOST, (LOSES,), ("H5", "H6", "H7", "A1", "A3")),
    (DISK_WIPED, (WIPES,), ("H5", "H6", "H7", "A1", "A3")),
    (UNCLEAN_ELECTION, (LOSES, WIPES, FORCES), ("H5", "H6", "H7", "A1", "A3")),
    (LEADER_MOVED, (MOVES,), ("H5", "A1", "A3")),
    (WATERMARK_BEHIND, (MOVES,), ("H5", "H6", "A1", "A3")),
    (LOG_START_MOVED, (DELETES,), ("H4", "A3")),
    (NOBODY_LEFT, (LOSES, WIPES), ("H13",)),
    (FATAL_CLIENT, (REFUSES, FORGETS), ("H13",)),
)
_OF_LIBRDKAFKA = (LATE_COPY, RAISED_ELSEWHERE, FATAL_CLIENT)
LIBRDKAFKA = "librdkafka"


def standing(fault: str, promise_id: str, writer: str = "idempotent", acks: int = -1, client: str = "") -> Standing:
    """How a promise stands when `fault` strikes a run with this writer, acks and client (`java`, `librdkafka`).

    Raises RequestError for a fault or a promise that is not in its table.
    """
    if fault not in FAULTS:
        raise RequestError(f"unknown fault {fault!r}; the known ones are: {', '.join(FAULTS)}")
    if promise_id not in PROMISES:
        raise RequestError(f"unknown promise {promise_id!r}; the known ones are: {', '.join(PROMISES)}")
    reason = not_promised(promise_id, writer, acks)
    if reason:
        return Standing(NOT_PROMISED, (), reason)
    effects = EFFECTS_OF.get(fault, EFFECTS)
    excuses = tuple(
        excuse
        for excuse, causes, promises in _EXCUSED_BY
        if promise_id in promises
        and any(effect in causes for effect in effects)
        and (excuse != LEADER_MOVED or acks == 1)
        and (excuse not in _OF_LIBRDKAFKA or client == LIBRDKAFKA)
    )
    if excuses:
        return Standing(EXCUSED, excuses, " ".join(EXCUSES[excuse] for excuse in excuses))
    return Standing(HELD, (), f"{FAULTS[fault].what}: no reason to break it")


def not_promised(promise_id: str, writer: str | None, acks: int | None) -> str:
    """Why nobody gives this promise to such a writer; empty when somebody does. None: not known."""
    who = PROMISES[promise_id].who
    if who == IDEMPOTENT and writer == PLAIN_WRITER:
        return NOBODY_PROMISED_ORDER
    if who == ACKNOWLEDGED and acks == 0:
        return NOBODY_PROMISED_ACKS_0
    return ""
