"""An orderly end: what a stopping broker leaves behind, and what can't reach it any more."""

from __future__ import annotations

from broker_stage import TP, A, Stage, batch, produce_request

from eventlog.broker import Broker
from eventlog.messages import NETWORK, NO_CONNECTION, Envelope, ShutDown, Stopped, Timer
from eventlog.messages.controller_api import ControlledShutdownReply, ControlledShutdownRequest


def test_a_broker_that_is_told_to_stop_asks_for_leave_and_ends_when_it_may() -> None:
    stage = Stage()
    stage.produce(1, A, 0, 0)
    broker = stage.world.find_broker(1)
    assert broker is not None
    (asked,) = broker.receive(Envelope(NETWORK, broker.name, NO_CONNECTION, 0, ShutDown()), stage.world.now_ms)
    assert asked.message == ControlledShutdownRequest(1, broker.broker_epoch)
    answer = Envelope(asked.destination, broker.name, asked.connection, 0, ControlledShutdownReply(0, False))
    assert broker.receive(answer, stage.world.now_ms) == []
    assert broker.replicas[TP].leadership is not None, "it goes on serving until it may end"
    (ended,) = broker.receive(
        answer._replace(message=ControlledShutdownReply(0, True)), stage.world.now_ms
    )  # fmt: skip
    assert ended.message == Stopped()
    store = stage.world.stores[1].log_store(TP)
    assert store.snapshot_offsets() == (1,)
    assert store.durable_end_offset == 1
    assert dict(broker.deadlines()) == {}


def test_a_broker_that_nobody_gives_leave_ends_all_the_same_after_a_while() -> None:
    stage = Stage()
    broker = stage.world.find_broker(1)
    assert broker is not None
    broker.receive(Envelope(NETWORK, broker.name, NO_CONNECTION, 0, ShutDown()), stage.world.now_ms)
    assert broker.deadlines()["shutdown"] == stage.world.now_ms + 300_000
    del broker.deadlines()["shutdown"]
    (ended,) = broker.receive(Envelope(broker.name, broker.name, NO_CONNECTION, 0, Timer("shutdown")), 0)
    assert ended.message == Stopped()


def test_what_reaches_a_broker_after_its_end_does_not_touch_the_log_that_it_closed() -> None:
    stage = Stage()
    stage.produce(1, A, 0, 0)
    broker = stage.world.find_broker(1)
    assert broker is not None
    broker.receive(Envelope(broker.name, broker.name, NO_CONNECTION, 0, Timer("shutdown")), stage.world.now_ms)
    store = stage.world.stores[1].log_store(TP)
    before = store.freeze()
    late = Envelope("client", broker.name, NO_CONNECTION, 0, produce_request(batch(A, 0, 1)))
    settings, stores = stage.world.broker_settings, stage.world.stores[1]
    thawed = Broker.thaw(broker.freeze(stage.world.now_ms), stage.world.now_ms, settings, stores)
    for ended in (broker, thawed):
        assert ended.receive(late, stage.world.now_ms) == []
    assert store.freeze() == before
