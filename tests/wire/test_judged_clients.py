"""The checker judges what real clients did: by their recorders, and by what the door saw of those who have none."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Callable
from contextlib import ExitStack
from copy import copy
from subprocess import PIPE
from typing import Any
from urllib.request import urlopen

import pytest
from wire_clients import Confluent

from eventlog import Cluster
from eventlog.check import HELD
from eventlog.check import history as rows
from eventlog.cli import main
from eventlog.errors import RequestError
from eventlog.wire import listen
from eventlog.wire.client_verdict import Kind
from eventlog.wire.fixtures import EventlogKafka
from eventlog.wire.judging import Send, _put_in_order
from eventlog.wire.recorders import Recorder

VALUES = [b"order-1", b"order-2", b"order-3"]
Wrap = Callable[[Any], Any]


def by_confluent(kafka: EventlogKafka, values: list[bytes], wrap: Wrap, idempotent: bool) -> None:
    from confluent_kafka import Producer

    settings = {"bootstrap.servers": kafka.bootstrap, "enable.idempotence": idempotent, "log_level": 0}
    with wrap(Producer(settings)) as producer:
        for value in values:
            producer.produce("orders", value)
        producer.flush(30)


def by_kafka_python(kafka: EventlogKafka, values: list[bytes], wrap: Wrap, idempotent: bool) -> None:
    from kafka import KafkaProducer

    settings = {"bootstrap_servers": kafka.bootstrap.split(","), "enable_idempotence": idempotent}
    producer = wrap(KafkaProducer(**settings))
    for each in [producer.send("orders", value) for value in values]:
        each.get(30)
    producer.close()


def by_aiokafka(kafka: EventlogKafka, values: list[bytes], wrap: Wrap, idempotent: bool) -> None:
    from aiokafka import AIOKafkaProducer

    async def run() -> None:
        made = AIOKafkaProducer(bootstrap_servers=kafka.bootstrap, enable_idempotence=idempotent)
        async with wrap(made) as producer:
            for value in values:
                await producer.send_and_wait("orders", value)

    asyncio.run(run())


CLIENTS = [by_confluent, by_kafka_python, by_aiokafka]


def confluent(kafka: EventlogKafka, name: str = "", **settings: Any) -> Any:
    """A recorded producer of confluent-kafka."""
    from confluent_kafka import Producer

    named = {name.replace("_", "."): value for name, value in settings.items()}
    return kafka.record(Producer({"bootstrap.servers": kafka.bootstrap, "log_level": 0, **named}), name)


def consumer(kafka: EventlogKafka, name: str = "") -> Any:
    """A recorded consumer of confluent-kafka that commits when it is told to."""
    from confluent_kafka import Consumer

    settings = {
        "bootstrap.servers": kafka.bootstrap,
        "group.id": "billing",
        "enable.auto.commit": False,
        "log_level": 0,
    }
    return kafka.record(Consumer({**settings, "auto.offset.reset": "earliest"}), name)


def published(kafka: EventlogKafka, values: list[bytes] = VALUES, linger_ms: int = 5) -> EventlogKafka:
    producer = confluent(kafka, enable_idempotence=False, linger_ms=linger_ms)
    for value in values:
        producer.produce("orders", value)
    assert producer.flush(30) == 0
    return kafka


# --- producers ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("is_recorded", [True, False], ids=["recorded", "at the door"])
@pytest.mark.parametrize("send", CLIENTS)
def test_an_idempotent_producer_that_loses_an_acknowledgement_writes_exactly_once(
    eventlog_kafka: EventlogKafka, send: Any, is_recorded: bool
) -> None:
    eventlog_kafka.faults.lose_reply("Produce")
    send(eventlog_kafka, VALUES, eventlog_kafka.record if is_recorded else lambda client: client, True)
    verdict = eventlog_kafka.judge()
    assert verdict.exactly_once, verdict
    assert (verdict.count("sent"), verdict.count("acknowledged")) == (3, 3)
    assert [(each.kind.is_idempotent, each.kind.acks, each.is_recorded) for each in verdict.kinds] == [
        (True, -1, is_recorded)
    ]


@pytest.mark.parametrize("is_recorded", [True, False], ids=["recorded", "at the door"])
@pytest.mark.parametrize("send", CLIENTS)
def test_the_copy_of_a_plain_producer_is_named_with_its_offsets(
    eventlog_kafka: EventlogKafka, send: Any, is_recorded: bool
) -> None:
    eventlog_kafka.faults.lose_reply("Produce")
    send(eventlog_kafka, [b"order-1"], eventlog_kafka.record if is_recorded else lambda client: client, False)
    verdict = eventlog_kafka.judge()
    assert verdict.held
    assert not verdict.exactly_once
    assert verdict.count("duplicated") == 1
    (found,) = verdict.findings
    assert "Record 0 (b'order-1')" in found.sentence
    assert "is in the log twice: at orders-0@0 and at 1" in found.sentence
    assert (found.promise, found.status) == ("H2", "not promised")
    assert "After: reply_lost." in str(verdict)


def test_what_acks_0_lost_is_named(eventlog_kafka: EventlogKafka) -> None:
    eventlog_kafka.cluster.create_topic("orders")
    producer = confluent(eventlog_kafka, acks=0)
    producer.produce("orders", b"order-1")
    assert producer.flush(30) == 0
    eventlog_kafka.cluster.wait_for(lambda: eventlog_kafka.cluster.records("orders") != [])
    lost = eventlog_kafka.faults.lose_request("Produce")
    producer.produce("orders", b"order-2")
    producer.flush(30)
    lost.wait(1)
    verdict = eventlog_kafka.judge()
    assert (verdict.held, verdict.exactly_once, verdict.count("lost")) == (True, False, 1)
    assert "Record 1 (b'order-2') of producer 'producer-1' was acknowledged in orders-0" in verdict.findings[0].sentence
    assert verdict.findings[0].cause == "acks=0: nobody waits for an answer"


def test_what_acks_1_lost_with_its_leader_is_named_and_excused(eventlog_kafka: EventlogKafka) -> None:
    cluster = eventlog_kafka.cluster
    cluster.create_topic("orders")
    producer = confluent(eventlog_kafka, acks=1)
    leader = cluster.leader("orders")
    cluster.isolate(leader)
    producer.produce("orders", b"order-1")
    assert producer.flush(30) == 0
    eventlog_kafka.faults.notice(leader)
    verdict = eventlog_kafka.judge()
    assert (verdict.held, verdict.exactly_once, verdict.count("lost")) == (True, False, 1)
    assert "Record 0 (b'order-1') of producer 'producer-1' was acknowledged at offset 0" in verdict.findings[0].sentence
    assert verdict.findings[0].cause == "leader moved after acks=1"


def test_an_acknowledgement_that_nobody_gave_is_a_broken_promise(eventlog_kafka: EventlogKafka) -> None:
    published(eventlog_kafka)
    journal = eventlog_kafka.journal
    number = journal.hand("liar", "orders", 0, (None, b"order-4", ()))
    journal.kinds["liar"] = ""
    journal.acknowledge(number, 0, 3)
    verdict = eventlog_kafka.judge()
    assert not verdict.held
    assert verdict.findings[0].promise == "H5"
    assert "Record 3 (b'order-4') of producer 'liar' was acknowledged at offset 3" in verdict.findings[0].sentence


def test_equal_sends_are_not_judged_but_counted(eventlog_kafka: EventlogKafka) -> None:
    eventlog_kafka.faults.lose_reply("Produce")
    published(eventlog_kafka, [b"ping", b"order-1", b"ping"], linger_ms=100)  # in one batch
    verdict = eventlog_kafka.judge()
    assert verdict.count("sent") == 1
    assert verdict.unchecked == (
        "2 sends to 'orders' are equal (b'ping'), and their records can't be told apart; 2 were acknowledged, the log has "
        "4. Give each an id: in its value, key or headers",
    )
    assert "not checkable: 1." in verdict.sentence()


def test_equal_values_with_another_key_or_header_are_told_apart(eventlog_kafka: EventlogKafka) -> None:
    producer = confluent(eventlog_kafka)
    producer.produce("orders", b"ping", "one")
    producer.produce("orders", b"ping", "two")
    producer.produce("orders", b"ping", key="two", headers={"id": b"3"})
    producer.flush(30)
    verdict = eventlog_kafka.judge()
    assert verdict.exactly_once, verdict
    assert verdict.count("sent") == 3


def test_equal_records_at_the_door_are_told_apart_by_their_sequences_and_no_further(
    eventlog_kafka: EventlogKafka,
) -> None:
    from confluent_kafka import Producer

    settings = {"bootstrap.servers": eventlog_kafka.bootstrap, "enable.idempotence": True, "log_level": 0}
    producer, began_ms = Producer(settings), eventlog_kafka.cluster.now_ms
    for value, later_ms in ((b"ping", 0), (b"ping", 0), (b"order-1", 0), (b"order-1", 1)):
        producer.produce("orders", value, timestamp=began_ms + later_ms)
        producer.flush(30)
    verdict = eventlog_kafka.judge()
    assert verdict.count("sent") == 2
    assert len(verdict.unchecked) == 1
    assert "equal records of one moment came to 'orders' (b'ping')" in verdict.unchecked[0]


def test_what_was_sent_to_a_topic_that_is_gone_is_not_judged_and_that_is_said(eventlog_kafka: EventlogKafka) -> None:
    published(eventlog_kafka)
    eventlog_kafka.cluster.delete_topic("orders")
    verdict = eventlog_kafka.judge()
    assert verdict.held, verdict
    assert verdict.unchecked == ("what was sent to 'orders', for there was a topic of that name that is gone",)


def test_producers_with_other_settings_are_judged_apart(eventlog_kafka: EventlogKafka) -> None:
    plain, idempotent = (
        confluent(eventlog_kafka, "plain", enable_idempotence=False),
        confluent(eventlog_kafka, "careful", enable_idempotence=True),
    )
    eventlog_kafka.faults.lose_reply("Produce", count=2)
    plain.produce("orders", b"order-1")
    plain.flush(30)
    idempotent.produce("orders", b"order-2")
    idempotent.flush(30)
    verdict = eventlog_kafka.judge()
    by_name = {each.producers: each.verdict for each in verdict.kinds}
    assert by_name[("plain",)].counts.duplicated >= 1
    assert by_name[("careful",)].counts.duplicated == 0
    assert {found.status for found in verdict.findings} == {"not promised"}


def test_a_send_without_a_report_may_or_may_not_be_written(eventlog_kafka: EventlogKafka) -> None:
    held = eventlog_kafka.faults.hold("Produce")
    producer = confluent(eventlog_kafka)
    producer.produce("orders", b"order-1")
    held.wait(1)
    verdict = eventlog_kafka.judge()
    held.release()
    assert verdict.held, verdict
    assert (verdict.count("sent"), verdict.count("acknowledged"), verdict.count("failed")) == (1, 0, 1)
    assert any("flush or stop producers before" in note for note in verdict.notes)


def test_what_a_client_never_took_is_certainly_not_written(eventlog_kafka: EventlogKafka) -> None:
    producer = confluent(eventlog_kafka)
    with pytest.raises(Exception, match="MSG_SIZE_TOO_LARGE"):
        producer.produce("orders", b"x" * 2_000_000)
    verdict = eventlog_kafka.judge()
    assert verdict.held, verdict
    assert verdict.count("failed") == 1


def test_what_a_client_had_refused_and_is_in_the_log_is_a_broken_promise(eventlog_kafka: EventlogKafka) -> None:
    producer = confluent(eventlog_kafka)
    with pytest.raises(Exception, match="MSG_SIZE_TOO_LARGE"):
        producer.produce("orders", b"x" * 2_000_000)
    journal = eventlog_kafka.journal
    journal.handed[0] = journal.handed[0]._replace(content=(None, b"order-1", ()))
    by_confluent(eventlog_kafka, [b"order-1"], lambda client: client, True)
    verdict = eventlog_kafka.judge()
    assert [found.promise for found in verdict.findings] == ["G1a"]


def test_two_answers_to_one_batch_must_name_one_place(eventlog_kafka: EventlogKafka) -> None:
    by_confluent(eventlog_kafka, VALUES, lambda client: client, True)
    sightings = eventlog_kafka.door.sightings
    assert sightings is not None
    sightings.produced.append(copy(sightings.produced[0]))
    assert eventlog_kafka.judge().exactly_once
    sightings.produced[-1].base_offset += 1
    assert "H1" in [found.promise for found in eventlog_kafka.judge().findings]


def test_an_idempotent_producer_sends_in_the_order_of_its_sequences_whatever_came_first() -> None:
    sends = [Send(position, 0, "rdkafka (producer id 1)", "orders", 0, None) for position in (7, 5, 9)]
    for send, sequence in zip(sends, (0, 1, 2), strict=True):
        send.kind, send.order = Kind(True, -1, ""), (0, sequence)
    _put_in_order(sends)
    assert [send.position for send in sends] == [5, 5, 9]


def test_a_failover_under_load_is_survived_by_an_idempotent_producer(eventlog_kafka: EventlogKafka) -> None:
    eventlog_kafka.cluster.create_topic("orders", 2)
    producer = confluent(eventlog_kafka, linger_ms=1, enable_idempotence=True)
    for number in range(600):
        producer.produce("orders", b"order-%d" % number, partition=number % 2)
        producer.poll(0)
        if number == 300:
            producer.flush(30)
            eventlog_kafka.faults.crash_after("Produce", topic="orders", partition=0)
    assert producer.flush(30) == 0
    verdict = eventlog_kafka.judge()
    assert verdict.exactly_once, verdict
    assert verdict.count("acknowledged") == 600
    faults = [row.fault for row in eventlog_kafka.cluster.history().of(rows.Fault)]
    assert "crash" in faults


def test_what_went_wrong_at_the_door_stands_in_the_history(eventlog_kafka: EventlogKafka) -> None:
    faults = eventlog_kafka.faults
    eventlog_kafka.cluster.create_topic("orders")
    faults.lose_reply("Produce")
    faults.lose_request("Produce")
    faults.disconnect("after", "Produce")
    faults.error("REQUEST_TIMED_OUT", "Produce", apply=True)
    published(eventlog_kafka, [b"order-1"])
    struck = eventlog_kafka.cluster.history().of(rows.Fault)
    assert [row.fault for row in struck] == ["reply_lost", "request_lost", "disconnect", "error_after_append"]
    assert {row.event for row in struck} == {"at the door: Produce orders-0"}


def test_clients_of_another_process_are_judged_on_demand(capsys: pytest.CaptureFixture[str]) -> None:
    with ExitStack() as stack:
        arguments = ["--port", "0", "--brokers", "3", "--control", "0", "--judge"]
        serving = "from eventlog.cli import main; raise SystemExit(main())"
        command = [sys.executable, "-W", "error", "-c", serving, "serve", *arguments]
        process = stack.enter_context(subprocess.Popen(command, stdout=PIPE, text=True))
        stack.callback(process.kill)
        assert process.stdout is not None
        bootstrap = process.stdout.readline().removeprefix("listening at ").strip()
        control = process.stdout.readline().removeprefix("faults at ").strip()

        def ask(path: str, body: bytes | None = None) -> Any:
            with urlopen(f"{control}{path}", body, timeout=10) as answer:
                return json.load(answer)

        ask("/lose_reply", b"{}")
        Confluent.write(bootstrap, "orders", [b"order-1"], False)
        said = ask("/verdict?heal=1")
        assert (said["held"], said["exactly_once"]) == (True, False)
        assert said["kinds"][0] | {"duplicated": 1, "sent": 1} == said["kinds"][0]
        assert "Record 0 (b'order-1') of producer 'rdkafka' is in the log twice" in said["findings"][0]["sentence"]
    assert main(["serve", "--judge"]) == 2
    assert "--judge is for who asks for the verdict" in capsys.readouterr().err


# --- readers --------------------------------------------------------------------------------------------------------


def test_a_reader_that_goes_on_where_it_had_committed_passes(eventlog_kafka: EventlogKafka) -> None:
    from confluent_kafka import TopicPartition

    published(eventlog_kafka)
    for _ in range(3):
        reader = consumer(eventlog_kafka, "billing")
        reader.assign([TopicPartition("orders", 0)])
        reader.commit(reader.poll(10), asynchronous=False)
        reader.close()
    verdict = eventlog_kafka.judge()
    assert verdict.exactly_once, verdict
    assert {each.promise: each.status for each in verdict.kinds[0].verdict.promises}["R2"] == HELD
    assert verdict.kinds[0].verdict.counts.in_log == 3  # the brokers' own topic of offsets is nobody's business


@pytest.mark.parametrize(
    ("committed", "promise", "said"),
    [(0, "R1", "got offset 0 where 1 was to come"), (2, "R2", "got offset 2 where 1 was to come")],
    ids=["reads again", "passes over"],
)
def test_a_reader_that_commits_the_wrong_offset_is_found(
    eventlog_kafka: EventlogKafka, committed: int, promise: str, said: str
) -> None:
    from confluent_kafka import TopicPartition

    published(eventlog_kafka)
    for _ in range(2):
        reader = consumer(eventlog_kafka, "billing")
        reader.assign([TopicPartition("orders", 0)])
        assert reader.poll(10).error() is None
        reader.commit(offsets=[TopicPartition("orders", 0, committed)], asynchronous=False)
        reader.close()
    verdict = eventlog_kafka.judge()
    assert not verdict.held
    assert [found.promise for found in verdict.findings] == [promise]
    assert verdict.findings[0].sentence == f"Reader 'billing' of orders-0 {said}."


def test_who_seeks_may_read_again(eventlog_kafka: EventlogKafka) -> None:
    from confluent_kafka import OFFSET_BEGINNING, TopicPartition

    published(eventlog_kafka)
    reader = consumer(eventlog_kafka)
    reader.assign([TopicPartition("orders", 0, OFFSET_BEGINNING)])
    assert len(reader.consume(3, 10)) == 3
    reader.seek(TopicPartition("orders", 0, 1))
    assert reader.poll(10).value() == b"order-2"
    reader.close()
    assert eventlog_kafka.judge().held
    assert len(eventlog_kafka.journal.reading) == 6


def test_a_record_that_is_not_in_the_log_is_a_dirty_read(eventlog_kafka: EventlogKafka) -> None:
    published(eventlog_kafka)
    eventlog_kafka.journal.poll("billing", ("orders", 0, 1, -1), (None, b"order-9", ()))
    verdict = eventlog_kafka.judge()
    assert [found.promise for found in verdict.findings] == ["H6"]
    assert "got something that is not in the log there" in verdict.findings[0].sentence


def test_readers_without_a_recorder_are_judged_by_what_they_were_given(eventlog_kafka: EventlogKafka) -> None:
    from confluent_kafka import OFFSET_BEGINNING, Consumer, TopicPartition

    published(eventlog_kafka)
    reader = Consumer({"bootstrap.servers": eventlog_kafka.bootstrap, "group.id": "billing", "log_level": 0})
    reader.assign([TopicPartition("orders", 0, OFFSET_BEGINNING)])
    assert len(reader.consume(3, 10)) == 3
    reader.close()
    verdict = eventlog_kafka.judge()
    assert verdict.exactly_once, verdict
    statuses = {each.promise: each.status for each in verdict.kinds[0].verdict.promises}
    assert (statuses["H6"], statuses["R2"]) == (HELD, HELD)


def test_consumers_of_aiokafka_are_recorded_however_they_read(eventlog_kafka: EventlogKafka) -> None:
    from aiokafka import AIOKafkaConsumer, TopicPartition

    published(eventlog_kafka)

    async def read() -> list[bytes]:
        async with eventlog_kafka.record(AIOKafkaConsumer(bootstrap_servers=eventlog_kafka.bootstrap)) as reader:
            reader.assign([TopicPartition("orders", 0)])
            await reader.seek_to_beginning()
            values = [(await reader.getone()).value]
            async for message in reader:
                values.append(message.value)
                break
            reader.seek(TopicPartition("orders", 0), 2)
            found = await reader.getmany(timeout_ms=10_000)
            return [*values, *[message.value for messages in found.values() for message in messages]]

    assert asyncio.run(read()) == VALUES
    assert [entry.offset for entry in eventlog_kafka.journal.reading] == [-1, -1, 0, 1, 2, 2]
    assert eventlog_kafka.judge().exactly_once


def test_consumers_of_kafka_python_are_recorded_and_what_they_deserialize_is_no_lie(
    eventlog_kafka: EventlogKafka,
) -> None:
    from kafka import KafkaConsumer, TopicPartition

    published(eventlog_kafka)
    settings = {"bootstrap_servers": eventlog_kafka.bootstrap.split(","), "value_deserializer": bytes.upper}
    reader = eventlog_kafka.record(KafkaConsumer(**settings))
    reader.assign([TopicPartition("orders", 0)])
    reader.seek_to_beginning()
    assert next(reader).value == b"ORDER-1"
    found = reader.poll(10_000)
    reader.close()
    assert [message.value for messages in found.values() for message in messages] == [b"ORDER-2", b"ORDER-3"]
    assert eventlog_kafka.judge().exactly_once


# --- recorders ------------------------------------------------------------------------------------------------------


def test_a_recorder_passes_everything_on(eventlog_kafka: EventlogKafka) -> None:
    reports = []
    producer = confluent(eventlog_kafka)
    assert len(producer) == 0
    producer.produce("orders", "text", None, -1, None, lambda error, message: reports.append((error, message.value())))
    producer.produce(
        topic="orders", value=b"second", callback=lambda error, message: reports.append((error, message.value()))
    )
    assert len(producer) == 2
    assert producer.flush(30) == 0
    assert reports == [(None, b"text"), (None, b"second")]
    assert producer.list_topics().topics["orders"].partitions.keys() == {0}
    assert eventlog_kafka.judge().exactly_once


def test_a_serialized_value_is_known_by_its_report(eventlog_kafka: EventlogKafka) -> None:
    from confluent_kafka import SerializingProducer

    settings = {"bootstrap.servers": eventlog_kafka.bootstrap, "value.serializer": lambda value, where: b"%d" % value}
    producer = eventlog_kafka.record(SerializingProducer(settings))
    producer.produce("orders", value=7)
    producer.flush(30)
    verdict = eventlog_kafka.judge()
    assert verdict.exactly_once, verdict
    assert eventlog_kafka.values("orders") == [b"7"]


def test_what_is_no_client_is_refused_in_words(eventlog_kafka: EventlogKafka) -> None:
    with pytest.raises(RequestError, match=r"builtins\.dict can't be recorded; these can: .*AIOKafkaProducer"):
        eventlog_kafka.record({})
    recorded = confluent(eventlog_kafka)
    assert isinstance(recorded, Recorder)
    with pytest.raises(RequestError, match="recorded already"):
        eventlog_kafka.record(recorded)


def test_without_a_recording_nothing_is_judged() -> None:
    with Cluster(brokers=1) as cluster, listen(cluster, record=False) as door:
        kafka = EventlogKafka(door)
        with pytest.raises(RequestError, match="record=False"):
            kafka.judge()
        with pytest.raises(RequestError, match="record=False"):
            confluent(kafka)


def test_a_cluster_that_listens_no_more_is_judged_all_the_same() -> None:
    with Cluster(brokers=1, min_insync_replicas=1) as cluster:
        with listen(cluster) as door:
            kafka = published(EventlogKafka(door))
        assert kafka.judge().exactly_once
