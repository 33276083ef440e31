"""Faults at a user's command: what `Cluster` lets go wrong on purpose, and puts right again.

Each is the fault of the same name in `eventlog.values.FAULTS`, struck now. It lasts until it is undone.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from eventlog.errors import ErrorCode, RequestError
from eventlog.messages import CONTROLLER, broker_name
from eventlog.messages.controller_api import ElectLeadersRequest
from eventlog.sim.choices import ByHand
from eventlog.sim.faults import Deviation
from eventlog.sim.recorder import Recorder
from eventlog.sim.world import World
from eventlog.values import TopicPartition

if TYPE_CHECKING:
    from eventlog.clients import Producer

BY_HAND: Final = "by hand"


class Commands:
    """The half of `Cluster` that breaks things. It stands on what a cluster has anyway."""

    _world: World
    _recorder: Recorder | None
    _open_world: Callable[[], World]
    _check_broker: Callable[[int], None]
    _check_partition: Callable[[str, int], None]
    _ask: Callable[[str, Any], Any]
    wait_for: Callable[..., None]

    def crash(self, broker_id: int, losing_tail: bool = False, losing_disk: bool = False) -> None:
        """The broker's process dies. Its disk is kept; with `losing_tail`, without what was not flushed; with
        `losing_disk` nothing is left of it."""
        self._check_broker(broker_id)
        fault = "crash_wiped" if losing_disk else "crash_losing_tail" if losing_tail else "crash"
        self._strike(fault, broker_name(broker_id))

    def stop(self, broker_id: int) -> None:
        """The broker ends in order: it hands over what it leads, writes its snapshots, and is down when this returns."""
        self._check_broker(broker_id)
        world = self._open_world()
        world.shut_down(broker_id)
        self.wait_for(lambda: world.find_broker(broker_id) is None, f"broker {broker_id} to stop")

    def restart(self, broker_id: int) -> None:
        """Start the broker again over its disk."""
        self._check_broker(broker_id)
        self._open_world().restart(broker_id)
        self._note_end("restart", broker_name(broker_id))

    def pause(self, broker_id: int) -> None:
        """The broker stands still; `resume` wakes it up unaware."""
        self._check_broker(broker_id)
        self._strike("pause", broker_name(broker_id))

    def resume(self, broker_id: int) -> None:
        self._check_broker(broker_id)
        self._open_world().resume(broker_name(broker_id))
        self._note_end("resume", broker_name(broker_id))

    def isolate(self, broker_id: int) -> None:
        """Clients reach the broker; the controller and the other brokers don't."""
        self._check_broker(broker_id)
        self._strike("isolate", broker_name(broker_id))

    def rejoin(self, broker_id: int) -> None:
        """Undo `isolate`."""
        self._check_broker(broker_id)
        self._open_world().rejoin(broker_name(broker_id))
        self._note_end("rejoin", broker_name(broker_id))

    def cut(self, first: int | str, second: int | str) -> None:
        """Nothing passes between two machines (a broker's id, or a name: "controller", a client's) until `heal`."""
        self._strike("cut", f"{self._name(first)}<>{self._name(second)}")

    def cut_one_way(self, source: int | str, destination: int | str) -> None:
        """Nothing passes from `source` to `destination`; the way back is open."""
        self._strike("cut_one_way", f"{self._name(source)}>{self._name(destination)}")

    def heal(self, first: int | str | None = None, second: int | str | None = None) -> None:
        """Undo one cut of the two; without names, undo every fault there is."""
        world = self._open_world()
        if first is None or second is None:
            world.heal_all()
            self._note_end("heal", "everything")
            return
        one, other = self._name(first), self._name(second)
        world.heal(one, other)
        self._note_end("heal", f"{one}-{other}")

    def slow_follower(self, broker_id: int) -> None:
        """The broker's fetches are late until `heal()`."""
        self._check_broker(broker_id)
        self._strike("slow_follower", broker_name(broker_id))

    def elect_unclean(self, topic: str, partition: int = 0) -> None:
        """Make any live replica lead where nobody does. What only others had is lost.

        Raises RequestError when there is a leader, or nobody alive who could be one.
        """
        self._check_partition(topic, partition)
        wanted = TopicPartition(topic, partition)
        if self._recorder is not None:
            world = self._open_world()
            asked = Deviation(BY_HAND, len(world.deviations) + 1, "unclean_election", str(wanted), -1)
            self._recorder.fault(world.event_number, world.now_ms, asked)
        reply = self._ask(CONTROLLER, ElectLeadersRequest(wanted, True))
        if reply.error is not ErrorCode.NONE:
            raise RequestError(f"{wanted}: no unclean election ({reply.error.name})", reply.error)

    def elect(self, topic: str, partition: int, broker_id: int) -> None:
        """Make another in-sync replica lead, though nothing failed. Waits until that broker acts as leader."""
        self._check_partition(topic, partition)
        self._check_broker(broker_id)
        wanted = TopicPartition(topic, partition)
        known = self._world.controller.image.partitions[wanted]
        if broker_id not in known.in_sync_replicas:
            raise RequestError(f"broker {broker_id} is not in sync with {wanted}: {list(known.in_sync_replicas)} are")
        self._strike("election", f"{wanted}>{broker_name(broker_id)}")
        world = self._open_world()
        self.wait_for(lambda: world.find_leadership(wanted) is not None, f"broker {broker_id} to lead {wanted}")

    def lose_next_ack(self, producer: Producer | None = None) -> None:
        """The next produce is written and replicated; its answer never arrives, nor any later one on that connection.

        The producer notices by its request timeout, and retries.
        """
        self._lose_next("reply_lost", producer)

    def lose_next_request(self, producer: Producer | None = None) -> None:
        """The next produce never arrives, nor what follows it on that connection."""
        self._lose_next("request_lost", producer)

    def _lose_next(self, fault: str, producer: Producer | None) -> None:
        world = self._open_world()
        if not isinstance(world.answerer, ByHand):
            world.answerer = ByHand(world.answerer)
        world.answerer.wanted.append((fault, "" if producer is None else producer.name))

    def _strike(self, fault: str, target: str) -> None:
        world = self._open_world()
        world.strike_now(Deviation(BY_HAND, len(world.deviations) + 1, fault, target, -1))

    def _note_end(self, what: str, target: str) -> None:
        if self._recorder is not None:
            self._recorder.fault_ended(self._world.event_number, self._world.now_ms, what, (target,))

    def _name(self, machine: int | str) -> str:
        if isinstance(machine, str):
            self._world._check_name(machine)
            return machine
        self._check_broker(machine)
        return broker_name(machine)
