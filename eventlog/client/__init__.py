"""Floor 2: the clients: a producer engine and a consumer engine, both machines without a clock or a socket.

**What an idempotent writer is on the client's side.** A broker can recognise a repeated batch only if the repetition is
the same batch. So the writer's half of the bargain is to *freeze* a batch: when it is drained for the first time it gets
the next sequences of its partition, and from then on (producer_id, producer_epoch, base_sequence, records) never change,
however often it is sent. Nothing is added to it, merged with it or taken out of it.

The other half is *order*. A broker takes the sequence that directly follows the last one, so what was lost must come
before what is behind it. Up to five batches of a partition are out at once; when one fails, those behind it are answered
45 (OUT_OF_ORDER_SEQUENCE_NUMBER), and all go back into the queue by their sequences. The oldest goes alone until it has
an end, then the next, and so on; new batches follow when nothing is left to repeat.

Three questions have no certain answer, and most of this room is about them:

* *Was it written?* A broken connection or a late answer says nothing. The batch is sent again; the broker knows.
* *Its time is over; was it written?* The delivery timeout ends a batch whose outcome is unknown. The partition is
  *unresolved*: no new sequence is given out until what is in flight has its end. If the last acknowledged sequence is
  then the last one given out, all was written after all.
* *45 for the very next sequence; who is wrong?* The broker has lost records or its memory of them. Then the epoch is
  raised (KIP-360): the partition's batches in flight get new sequences from 0 under the next epoch. Those that had been
  appended all the same are appended twice. That is the edge of the guarantee, and where it lies in Kafka's own client.

A consumer has none of these troubles: it asks again. Its state is a position for each partition.

**Promises about the producer's own state** (`probes.check_producer`; tests ask after every event):

C1. At most max_in_flight_requests_per_connection requests are unanswered on a connection.
C2. A batch is in one place: in one unanswered request or in its queue, never in both, never twice. What is queued has no
    end yet.
C3. In a queue, batches with sequences come first, in the order in which those were given out, and each is in flight.
C4. Sequences in flight rise without overlapping (0 follows 2147483647), and the next to give out is behind them all.
C5. What is in flight in a partition bears that partition's producer id and epoch: ids change between batches only.
C6. Nothing is forgotten: what is in flight is out or queued, every pending batch can be found from its partition, and the
    partitions and topics noted as having something to do are those that have.
C7. Timers say what is waited for: a request timer for each connection with an unanswered request, and `delivery` while
    anything is pending; no other time is kept. Pending batches stand in the order of their creation.
C8. The bytes reserved are those of the pending batches, and never more than buffer_memory.

**And about the consumer's** (held by tests):

R1. A poll has exactly one answer. No question is asked and no timer but a request's is set while nobody polls.
R2. A position only goes forward, save by a seek, a reset or a cut of the log behind it; each record between two positions
    is brought once, in order.
R3. After a seek nothing is brought that was asked for before it.
R4. A broker that leads no longer, is behind, or is gone costs time and no record; only what the user must act on is told.

**Why sequences are compared around the circle.** The Java client compares them as plain 32-bit numbers: base ==
last_acknowledged + 1, the larger of two, the order in flight. Behind 2147483647 that misjudges a retry. Here 0 follows
2147483647 in every comparison (`later_sequence`, `PartitionQueue.is_next`), and the order in flight is the list's own and
not that of the numbers. Runs that begin near the end (`initial_sequence`) must do what runs from 0 do.

**Why an exhausted epoch waits.** At epoch 32767 the Java client drops its producer id, and then labels the batches of the
partition that asked for the bump with id -1 and epoch -1, so that they would leave with no protection at all. Here they
keep their label and stay in the queue until the new id has come, and are relabelled then. Other partitions' batches are
finished under the old id, as in Kafka.

**Why a plain producer reverses.** Without idempotence a failed batch goes back to the *front* of its queue, each before
the one that failed before it: m5 m4 m3 m2 m1. It looks like a mistake, but it is what Kafka's Java client does (recorded
with 4.3.1), and what people should see when they turn the protection off.

**Why there is a second kind of producer** (`settings.behaves_like`). Most languages' clients are built on librdkafka,
and after an error it goes another way than Java, with other losses. Both are recorded with the real ones:

| | java | librdkafka |
|---|---|---|
| a retry | the oldest alone, then the next | when nothing of the partition is out: all, pipelined, in order |
| 45 for the next expected batch | a new epoch, and it is written again | fatal: it fails, and what is queued |
| 45 for a later one | retry, no bump | retry, not charged; drain, then a new epoch |
| 59 | as 45 | drain, then a new epoch; fatal for one that was sent before |
| a success behind a failure | each waits for its own answer | all before it are taken for written (`is_implied`) |
| a record's time is over | what is behind it decides | a new epoch at once; what is behind it is sent again |
| raising the epoch | the partition that asked, at once | all partitions, when nothing is out anywhere |
| too large | cut into pieces | fails |
| without idempotence | copies in reverse order | copies in order |

The implied success is where librdkafka loses in silence: a first batch that was refused (19, 6) is reported as written
when the second is accepted, by a broker that takes any first sequence of a producer it does not know. The epoch raised at
once is where it duplicates with no fault of a broker. Beyond what is recorded, `_judge_as_librdkafka` follows its source;
where that wraps an exhausted epoch to 0, this one asks for a new id.

**Why a batch that is too large is cut in the middle.** Splitting goes by upper bounds of sizes, so a batch that the broker
finds too large may count as one piece again; the Java client then repeats it until its delivery timeout (KAFKA-8350).

**Why a refused connection gives sequences back.** The Java client connects before it drains, so a broker that is down
uses up no sequence and no attempt. Here the first request opens the connection; when nobody listens, nothing can have
been written, and the batches return as if they had never been drained.

**Why a question may be held back.** A client that tried a leader in vain asks a broker for a newer one, and the broker
answers when it knows one. So nobody polls for leaders, and an election costs the same few events however long it takes.

**Why one fetch at a time.** A consumer asks a leader only for partitions it has nothing of, and only while somebody polls.
So the log is read when the reader is ready, runs stay short, and an idle consumer does nothing.

**How a reader knows that the log was cut behind it** (KIP-320). It keeps the leader epoch of what it read last and says
so with each fetch; a leader whose log parts from that answers where. The Java client asks the same with a request of its
own (OffsetForLeaderEpoch) when the leader changes, and comes to the same end: on from that place with a reset policy, an
error that names it without one.

Read `batches` (what a batch is, and its sequences), `sender` (one loop of it), `verdicts` (what an answer means),
`identity` (ids and epochs), then `producer` and `pending` around them; `reader` and `consumer` on their own. `link` and
`metadata` serve both, `frozen` makes a producer a value and back.

Not here: transactions (their column in `verdicts` is to be filled), consumer groups and committed offsets, compression,
interceptors and serialisers, throttling, blocking when memory is short (a send is refused instead), fetch sessions,
librdkafka's own defaults and its `enable.gapless.guarantee`, and the offsets of single records inside a compacted batch.
Bytes are codec's, sockets are wire's.

Sources: Kafka's `KafkaProducer`, `RecordAccumulator`, `Sender`, `TransactionManager`, `NetworkClient`, `KafkaConsumer`,
`AbstractFetch`, `OffsetFetcher`; KIP-98, KIP-185, KIP-320, KIP-360, KIP-580, KIP-794, KIP-951; `SenderTest` and
`TransactionManagerTest` for the scenarios; librdkafka's `rdkafka_request.c`, `rdkafka_idempotence.c`; producers of both
kinds recorded behind a proxy, in front of a 4.3.1.
"""

from eventlog.client.consumer import ConsumerEngine
from eventlog.client.producer import ProducerEngine

__all__ = ["ConsumerEngine", "ProducerEngine"]
