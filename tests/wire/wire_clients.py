"""The three Python clients behind one face: write values, read values. No settings but those that name the test's matter.

`EVENTLOG_CLIENTS=aiokafka,kafka-python` names those that are played with where not all are there.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable, Iterable
from typing import Any

READ_S = 30.0


class Confluent:
    name = "confluent-kafka"
    codecs = ("gzip", "snappy", "lz4", "zstd")

    @staticmethod
    def write(
        bootstrap: str, topic: str, values: Iterable[bytes], idempotent: bool, codec: str | None = None
    ) -> list[int]:
        """The offsets that were acknowledged."""
        from confluent_kafka import Producer

        offsets: list[int] = []

        def delivered(error: Any, message: Any) -> None:
            assert error is None, error
            offsets.append(message.offset())

        settings = {"bootstrap.servers": bootstrap, "enable.idempotence": idempotent, "log_level": 0}
        producer = Producer({**settings, "compression.type": codec or "none"})
        for value in values:
            producer.produce(topic, value, partition=0, on_delivery=delivered)
            producer.poll(0)
        assert producer.flush(30) == 0
        return offsets

    @staticmethod
    def read(bootstrap: str, topic: str, count: int) -> list[bytes]:
        """The first `count` values."""
        from confluent_kafka import OFFSET_BEGINNING, Consumer, TopicPartition

        settings = {"bootstrap.servers": bootstrap, "group.id": "readers", "enable.auto.commit": False, "log_level": 0}
        consumer = Consumer(settings)
        consumer.assign([TopicPartition(topic, 0, OFFSET_BEGINNING)])
        values: list[bytes] = []
        until_s = time.monotonic() + READ_S
        while len(values) < count and time.monotonic() < until_s:
            for message in consumer.consume(count - len(values), 0.5):
                assert message.error() is None, message.error()
                values.append(message.value())
        consumer.close()
        return values

    @staticmethod
    def join(bootstrap: str, topic: str) -> str:
        """How a consumer that subscribes is refused."""
        from confluent_kafka import Consumer

        consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "readers", "log_level": 0})
        consumer.subscribe([topic])
        message = consumer.poll(READ_S)
        consumer.close()
        return "" if message is None else str(message.error())

    @staticmethod
    def transact(bootstrap: str) -> str:
        """How a transactional producer is refused."""
        from confluent_kafka import KafkaException, Producer

        producer = Producer({"bootstrap.servers": bootstrap, "transactional.id": "books", "log_level": 0})
        try:
            producer.init_transactions(READ_S)
        except KafkaException as why:
            return str(why)
        return ""


class KafkaPython:
    name = "kafka-python"
    codecs = ("gzip",)

    @staticmethod
    def write(
        bootstrap: str, topic: str, values: Iterable[bytes], idempotent: bool, codec: str | None = None
    ) -> list[int]:
        from kafka import KafkaProducer

        settings = {"bootstrap_servers": bootstrap.split(","), "enable_idempotence": idempotent}
        producer = KafkaProducer(**settings, compression_type=codec)
        sent = [producer.send(topic, value, partition=0) for value in values]
        producer.flush()
        offsets = [each.get(30).offset for each in sent]
        producer.close()
        return offsets

    @staticmethod
    def read(bootstrap: str, topic: str, count: int) -> list[bytes]:
        from kafka import KafkaConsumer, TopicPartition

        consumer = KafkaConsumer(bootstrap_servers=bootstrap.split(","))
        wanted = TopicPartition(topic, 0)
        consumer.assign([wanted])
        consumer.seek_to_beginning(wanted)
        values: list[bytes] = []
        until_s = time.monotonic() + READ_S
        while len(values) < count and time.monotonic() < until_s:
            for messages in consumer.poll(500, max_records=count - len(values)).values():
                values += [message.value for message in messages]
        consumer.close()
        return values

    @staticmethod
    def join(bootstrap: str, topic: str) -> str:
        from kafka import KafkaConsumer
        from kafka.errors import KafkaError

        consumer = KafkaConsumer(topic, bootstrap_servers=bootstrap.split(","), group_id="readers")
        try:
            consumer.poll(READ_S * 1000)
        except KafkaError as why:
            return repr(why)
        finally:
            consumer.close()
        return ""

    @staticmethod
    def transact(bootstrap: str) -> str:
        from kafka import KafkaProducer
        from kafka.errors import KafkaError

        producer = KafkaProducer(bootstrap_servers=bootstrap.split(","), transactional_id="books")
        try:
            producer.init_transactions()
        except KafkaError as why:
            return repr(why)
        finally:
            producer.close(0)
        return ""


class AioKafka:
    name = "aiokafka"
    codecs = ("gzip",)

    @staticmethod
    def write(
        bootstrap: str, topic: str, values: Iterable[bytes], idempotent: bool, codec: str | None = None
    ) -> list[int]:
        from aiokafka import AIOKafkaProducer

        async def run() -> list[int]:
            settings = {"bootstrap_servers": bootstrap, "enable_idempotence": idempotent}
            producer = AIOKafkaProducer(**settings, compression_type=codec)
            await producer.start()
            try:
                sent = [await producer.send(topic, value, partition=0) for value in values]
                return [each.offset for each in await asyncio.gather(*sent)]
            finally:
                await producer.stop()

        return asyncio.run(run())

    @staticmethod
    def read(bootstrap: str, topic: str, count: int) -> list[bytes]:
        from aiokafka import AIOKafkaConsumer, TopicPartition

        async def run() -> list[bytes]:
            consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap)
            await consumer.start()
            try:
                consumer.assign([TopicPartition(topic, 0)])
                await consumer.seek_to_beginning()
                values: list[bytes] = []
                until_s = time.monotonic() + READ_S
                while len(values) < count and time.monotonic() < until_s:
                    got = await consumer.getmany(timeout_ms=500, max_records=count - len(values))
                    for messages in got.values():
                        values += [message.value for message in messages]
                return values
            finally:
                await consumer.stop()

        return asyncio.run(run())

    @staticmethod
    def join(bootstrap: str, topic: str) -> str:
        from aiokafka import AIOKafkaConsumer

        return asyncio.run(_refusal(lambda: AIOKafkaConsumer(topic, bootstrap_servers=bootstrap, group_id="readers")))

    @staticmethod
    def transact(bootstrap: str) -> str:
        from aiokafka import AIOKafkaProducer

        return asyncio.run(_refusal(lambda: AIOKafkaProducer(bootstrap_servers=bootstrap, transactional_id="books")))


async def _refusal(make: Callable[[], Any]) -> str:
    """What an aiokafka client raises when it starts; "" for nothing."""
    from aiokafka.errors import KafkaError

    client = make()
    try:
        await asyncio.wait_for(client.start(), READ_S)
    except KafkaError as why:
        return repr(why)
    finally:
        await client.stop()
    return ""


ALL = {client.name: client for client in (Confluent, KafkaPython, AioKafka)}
CLIENTS = [ALL[name] for name in os.environ.get("EVENTLOG_CLIENTS", ",".join(ALL)).split(",")]
