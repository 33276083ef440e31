"""Whom a fault would strike at one delivery: a table from its name to a function."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from eventlog.errors import ErrorCode
from eventlog.messages import CONTROLLER, Envelope, broker_name
from eventlog.messages.broker_api import ProduceReply
from eventlog.messages.controller_api import PartitionRecord
from eventlog.sim.striking import find_next_request

if TYPE_CHECKING:
    from eventlog.sim.world import World

NONE = ErrorCode.NONE
Finder = Callable[["Offer", int], str | None]

ERRORS_AFTER_APPEND = (
    ErrorCode.NOT_LEADER_OR_FOLLOWER,
    ErrorCode.REQUEST_TIMED_OUT,
    ErrorCode.NETWORK_EXCEPTION,
    ErrorCode.NOT_ENOUGH_REPLICAS_AFTER_APPEND,
)
"""Retriable codes of which none says that nothing was written."""


class Offer:
    """What may happen at one delivery. Nothing is worked out before somebody asks."""

    __slots__ = ("envelope", "world")

    def __init__(self, world: World, envelope: Envelope) -> None:
        self.world = world
        self.envelope = envelope

    def find_target(self, fault: str, event: str, occurrence: int, luck: int) -> str | None:
        """Whom `fault` would strike here, by `luck` where there are several; None when it can't happen now."""
        return FINDERS[fault](self, luck)

    @property
    def broker(self) -> str:
        """The broker that this delivery concerns: where it goes, else where it comes from."""
        destination = self.envelope.destination
        return destination if destination.startswith("broker-") else self.envelope.source

    @property
    def is_broker_well(self) -> bool:
        """It runs."""
        return self.world.machines.get(self.broker) is not None and self.broker not in self.world.paused

    def led_partitions(self) -> list[PartitionRecord]:
        """Those that one of the two ends leads, by the controller."""
        ends = (self.envelope.source, self.envelope.destination)
        partitions = self.world.controller.image.partitions.values()
        return [partition for partition in partitions if broker_name(partition.leader_id) in ends]


def _link(offer: Offer, luck: int) -> str | None:
    return f"{offer.envelope.source}>{offer.envelope.destination}"


def _open_link(offer: Offer, luck: int) -> str | None:
    source, destination = offer.envelope.source, offer.envelope.destination
    return f"{source}>{destination}" if (source, destination) not in offer.world.links.cuts else None


def _open_pair(offer: Offer, luck: int) -> str | None:
    source, destination = offer.envelope.source, offer.envelope.destination
    return f"{source}<>{destination}" if (source, destination) not in offer.world.links.cuts else None


def _waiting_client(offer: Offer, luck: int) -> str | None:
    connection = offer.envelope.connection
    client = offer.world.machines[connection.client]
    if client is None or f"request {connection.server}" not in client.deadlines():
        return None
    return connection.client if offer.envelope.message.__class__ is ProduceReply else None


def _well_broker(offer: Offer, luck: int) -> str | None:
    return offer.broker if offer.is_broker_well else None


def _heard_broker(offer: Offer, luck: int) -> str | None:
    is_heard = (offer.broker, CONTROLLER) not in offer.world.links.cuts
    return offer.broker if offer.is_broker_well and is_heard else None


def _hearing_broker(offer: Offer, luck: int) -> str | None:
    hears = (CONTROLLER, offer.broker) not in offer.world.links.cuts
    return offer.broker if offer.is_broker_well and hears else None


def _fetcher(offer: Offer, luck: int) -> str | None:
    source = offer.envelope.source
    if not source.startswith("broker-") or source in offer.world.slow or source in offer.world.stuck:
        return None
    return source


def _stopping_broker(offer: Offer, luck: int) -> str | None:
    return _well_broker(offer, luck) if offer.broker not in offer.world.stopping else None


def _replaceable_broker(offer: Offer, luck: int) -> str | None:
    """What it loses, another in-sync replica has, and that one runs."""
    if not offer.is_broker_well:
        return None
    world = offer.world
    broker_id = int(offer.broker.removeprefix("broker-"))
    for partition in world.controller.image.partitions.values():
        others = [member for member in partition.in_sync_replicas if member != broker_id]
        if broker_id in partition.replicas and not any(world.find_broker(member) for member in others):
            return None
    return offer.broker


def _all_brokers(offer: Offer, luck: int) -> str | None:
    return ",".join([broker.name for broker in offer.world.brokers()]) if offer.is_broker_well else None


def _groups(offer: Offer, luck: int) -> str | None:
    """A coin for each broker and for the controller; this broker alone when all fell on one side."""
    world = offer.world
    if not offer.is_broker_well or len(world.stores) < 2 or world.links.cuts:
        return None
    own = int(offer.broker.removeprefix("broker-"))
    one = [broker_id for index, broker_id in enumerate(world.stores) if luck >> index & 1]
    if not one or len(one) == len(world.stores):
        one = [own]
    other = [broker_id for broker_id in world.stores if broker_id not in one]
    sides = [",".join(map(str, one)), ",".join(map(str, other))]
    sides[luck >> 33 & 1] += "+controller"
    return "|".join(sides)


def _controller(offer: Offer, luck: int) -> str | None:
    return CONTROLLER if CONTROLLER not in offer.world.paused else None


def _reached_controller(offer: Offer, luck: int) -> str | None:
    return CONTROLLER if not any(CONTROLLER in link for link in offer.world.links.cuts) else None


def _election(offer: Offer, luck: int) -> str | None:
    """Another in-sync replica for a partition that one of the ends leads; else this broker itself, where it may lead."""
    if not offer.is_broker_well:
        return None
    image = offer.world.controller.image
    own = int(offer.broker.removeprefix("broker-"))
    for partition in offer.led_partitions():
        others = [
            member for member in partition.in_sync_replicas if member != partition.leader_id and image.is_alive(member)
        ]
        if others:
            return f"{partition.topic_partition}>{broker_name(others[luck % len(others)])}"
    for partition in image.partitions.values():
        if own in partition.in_sync_replicas and own != partition.leader_id and image.is_alive(own):
            return f"{partition.topic_partition}>{offer.broker}"
    return None


def _shrinkable(offer: Offer, luck: int) -> str | None:
    """A follower that is in sync, of a leader that has no other wish."""
    for partition in offer.led_partitions():
        leadership = offer.world.find_leadership(partition.topic_partition)
        if leadership is None or leadership.wished_in_sync_replicas is not None:
            continue
        others = [member for member in leadership.in_sync_replicas if member != partition.leader_id]
        if others:
            return f"{partition.topic_partition}>{broker_name(others[luck % len(others)])}"
    return None


def _expandable(offer: Offer, luck: int) -> str | None:
    """A follower that is not in sync, but far enough to become so."""
    for partition in offer.led_partitions():
        leadership = offer.world.find_leadership(partition.topic_partition)
        if leadership is None:
            continue
        for member in leadership.remotes:
            if leadership.find_expansion(member, offer.world.controller.image) is not None:
                return f"{partition.topic_partition}>{broker_name(member)}"
    return None


def _unclean(offer: Offer, luck: int) -> str | None:
    """A replica that lives and is not in sync."""
    if not offer.is_broker_well:
        return None
    image = offer.world.controller.image
    for partition in offer.led_partitions():
        for member in partition.replicas:
            if member not in partition.in_sync_replicas and image.is_alive(member):
                if offer.world.find_broker(member) is not None:
                    return f"{partition.topic_partition}>{broker_name(member)}"
    return None


def _led_partition(offer: Offer, luck: int) -> str | None:
    led = [
        str(partition.topic_partition)
        for partition in offer.led_partitions()
        if offer.world.find_leadership(partition.topic_partition) is not None
    ]
    return led[luck % len(led)] if led else None


def _error_after_append(offer: Offer, luck: int) -> str | None:
    message = offer.envelope.message
    if message.__class__ is not ProduceReply or all(reply.error is not NONE for reply in message.partitions):
        return None
    error = ERRORS_AFTER_APPEND[luck % len(ERRORS_AFTER_APPEND)]
    return f"{offer.envelope.source}>{offer.envelope.destination}:{error.name}"


def _followed_link(offer: Offer, luck: int) -> str | None:
    """The next request is under way on the same connection."""
    return _link(offer, luck) if find_next_request(offer.world, offer.envelope) >= 0 else None


FINDERS: dict[str, Finder] = {
    "request_lost": _link,
    "reply_lost": _link,
    "delay": _link,
    "disconnect": _link,
    "cut": _open_pair,
    "cut_one_way": _open_link,
    "isolate": _heard_broker,
    "crash": _well_broker,
    "crash_losing_tail": _well_broker,
    "pause": _well_broker,
    "client_timeout": _waiting_client,
    "election": _election,
    "slow_follower": _fetcher,
    "clog": _open_link,
    "split": _groups,
    "stuck_fetcher": _fetcher,
    "crash_wiped": _replaceable_broker,
    "clean_restart": _stopping_broker,
    "power_cut": _all_brokers,
    "snapshot_lost": _well_broker,
    "snapshot_old": _well_broker,
    "snapshot_corrupt": _well_broker,
    "append_fails": _link,
    "error_after_append": _error_after_append,
    "controller_isolated": _reached_controller,
    "controller_paused": _controller,
    "metadata_delay": _hearing_broker,
    "isr_shrink": _shrinkable,
    "isr_expand": _expandable,
    "unclean_election": _unclean,
    "log_start_moved": _led_partition,
    "request_duplicated": _link,
    "reply_duplicated": _link,
    "request_reordered": _followed_link,
}
