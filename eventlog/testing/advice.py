"""What to do about a failure: by the name of a fault, of an error, or of what an oracle found."""

from __future__ import annotations

from collections.abc import Iterable
from textwrap import wrap
from typing import Final

COLUMNS: Final = 112

_LOST_ANSWER = (
    "An answer that never came says nothing: the record may stand in the log. Don't send it again as a new record; let "
    "the same idempotent producer retry (keep its Delivery and wait on), or give each event an id and let readers drop "
    "what they have seen."
)
_FAILOVER = (
    "The leader changed. What must survive that: acks=all, min_insync_replicas=2 or more, and one idempotent producer "
    "that retries for as long as a failover takes (delivery_timeout_ms)."
)

ADVICE: Final[dict[str, str]] = {
    # what an oracle found
    "written twice by a plain producer": (
        "A producer without idempotence writes a batch again when its answer is lost. Leave enable_idempotence on."
    ),
    "written twice after a crash": (
        "The process died after it had written, and before it had noted that. No order of the two steps helps (the "
        "other one loses). Either let readers drop what they have seen: an id in each event, remembered in the same "
        "transaction as its effect. Or keep the note where the record is: find out from the log how far it got."
    ),
    "written twice by two producers": (
        "To the broker, two producers are two writers: the second one's record is no retry. Keep one producer for the "
        "life of the process, and let it retry; don't make one for each request or attempt."
    ),
    "sent twice": (
        "The code itself sent it a second time, and each send is a new record. A send that raised UnknownOutcomeError "
        "may have been written: keep the Delivery and wait on, or let readers drop what they have seen, by an id."
    ),
    "applied twice": (
        "The reader applied one event more than once. Remember the ids of what was applied in the same transaction as "
        "the effect, and pass over what is known."
    ),
    "never written": (
        "It was given up, forgotten, or marked as done before it was written. Mark after the acknowledgement "
        "(Delivery.offset returned), and go on with what is unmarked after a restart."
    ),
    "never applied": (
        "The reader moved its position before it had applied what lies below. Store the position with the effect, in "
        "one transaction, or after it."
    ),
    "acknowledged and lost": (
        "Only acks=all with min_insync_replicas=2 or more keeps what was acknowledged when a leader dies; and what was "
        "acknowledged must have been written by this very send."
    ),
    "out of order": (
        "Something was sent again behind younger records. Let the idempotent producer retry in place, and don't queue "
        "what failed behind what came later."
    ),
    "not expected": "Nobody asked for this record. See who sent it in the picture; is a topic shared, or an id reused?",
    "not marked": "It is in the log, and the outbox does not know. After a restart, look again at what is unmarked.",
    # errors that escape
    "UnknownOutcomeError": (
        "The code under test let an UnknownOutcomeError escape. Catch it where the send is waited for: the record may "
        "be written, so wait on (longer delivery_timeout_ms), or find out from the log; never just send again."
    ),
    "RetriableError": (
        "The code under test let a RetriableError escape. Nothing was written: wait a little and call again; for a "
        "look at the log at the end of a test, call cluster.recover() before."
    ),
    "FatalError": "This producer is finished. Close it and make a new one, or let the process end and be started again.",
    "PromiseBroken": (
        "The checker holds the cluster to this promise; `cluster.check().report()` has the whole verdict. If your "
        "code can't be the reason, it is a bug of this library: please report the literal."
    ),
    "InvariantViolation": "The library broke a promise of its own: a bug here. Please report the literal below.",
    # what faults teach
    "reply_lost": _LOST_ANSWER,
    "client_timeout": _LOST_ANSWER,
    "disconnect": _LOST_ANSWER,
    "error_after_append": _LOST_ANSWER,
    "request_lost": _LOST_ANSWER,
    "delay": "It took longer than the code waits. Does a timeout here mean that it failed, or that nobody knows?",
    "crash": _FAILOVER,
    "election": _FAILOVER,
    "clean_restart": _FAILOVER,
    "isolate": _FAILOVER,
    "client_crash": (
        "The process died there: all before it had happened, nothing behind it. Make the steps around it one "
        "transaction, or make the second run of the first step harmless."
    ),
    "crash_losing_tail": (
        "A broker lost what was not flushed. Kafka keeps data by copies: min_insync_replicas=2 and acks=all, so that "
        "no single disk counts."
    ),
    "unclean_election": "Data was lost by declaration: an unclean election. Keep unclean_leader_election_enable off.",
    # with real clients
    "a plain client wrote twice": (
        "A producer without idempotence sends a batch again when it has no answer, and the broker takes it for a new one. "
        "Turn it on: enable.idempotence=True (confluent-kafka and all of librdkafka have it off by default), "
        "enable_idempotence=True (aiokafka, kafka-python)."
    ),
    "sent again to a real broker": (
        "The application took a missing answer for a failure and sent the event once more. Each send is a new record, with "
        "an idempotent producer, too. Let the producer retry (delivery.timeout.ms, request_timeout_ms) and wait on; or give "
        "each event an id, and let readers drop what they have seen."
    ),
    "weak acks lost it": (
        "Nobody promised to keep it: with acks=0 no broker says that it has a record, with acks=1 one says so, and may die "
        "before the others have it. Use acks=all with min.insync.replicas=2 or more."
    ),
    "a reader went astray": (
        "The reader did not go on where it had stopped: it committed another offset than that behind the last record it was "
        "done with. Commit after the effect, or keep the position with the effect."
    ),
    "a real client's promise is broken": (
        "The brokers or the client broke a promise; `print(kafka.judge())` has the whole verdict. If your code can't be the "
        "reason, try the client against a real Kafka, and report what you see with the plan below."
    ),
    "not confirmed": (
        "The same plan does not fail each time: time, threads or chance have a part in it. Make the test wait for what it "
        "needs (flush, futures, fault.wait) instead of sleeping, seed what is drawn, and look for what an earlier run left."
    ),
    "no fault with real clients": (
        "No fault is needed: run the test's body with a plain eventlog_kafka and debug it there."
    ),
    **dict.fromkeys(
        ["real reply_lost", "real disconnect", "real error_after_append"],
        "An answer that never came says nothing: the record may stand in the log. Let the same idempotent producer retry, "
        "or give each event an id and let readers drop what they have seen; a new send is a new record.",
    ),
    **dict.fromkeys(
        ["real crash", "real election", "real clean_restart"],
        "The leader changed. What must survive that: acks=all, min.insync.replicas=2 or more, and one idempotent producer "
        "that retries for as long as a failover takes (delivery.timeout.ms).",
    ),
    **dict.fromkeys(
        ["real delay", "real request_lost", "real append_fails"],
        "It took longer than the code waits. Does a timeout here mean that it failed, or that nobody knows?",
    ),
    # other
    "no fault": "No fault is needed: run the test's body with a plain eventlog_cluster and debug it there.",
    "unrepeatable": (
        "Make what differs an input, or make it anew in each run: a clock (use cluster.now_ms), a random number or "
        "uuid that decides what happens (seed it), the order of a set, a thread, a global, a file or database that an "
        "earlier run left behind (take tmp_path, or a factory in fresh=)."
    ),
}


def advice_for(names: Iterable[str]) -> list[str]:
    """The advice under these names, each once, in lines."""
    found = dict.fromkeys([ADVICE[name] for name in names if name in ADVICE])
    texts = list(found) or ["Read the picture from its end: what was the last thing that went as you expected?"]
    return [line for text in texts[:2] for line in wrap(text, COLUMNS)]
