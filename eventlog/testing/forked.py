"""What happens to a producer when its process forks."""

from __future__ import annotations

from eventlog.client import ProducerEngine
from eventlog.clients import Producer


def forked(producer: Producer, name: str) -> Producer:
    """The copy of `producer` that a child process gets when the process forks: the same producer id, epoch and
    sequences, and both go on counting from there. `name` is the child's. What is under way is finished first."""
    producer.flush()
    cluster = producer._cluster
    world = cluster._open_world()
    (_, *of_the_parent), *state = producer._engine.freeze(world.now_ms)
    engine = ProducerEngine.thaw(((name, *of_the_parent), *state), world.now_ms)
    child = Producer(cluster, engine)
    cluster._add(engine, child)
    return child
