"""What a broker does for its logs beside the traffic: flush, checkpoints, expiry, retention, and an orderly end.

Each is a timer that is set when there is something to do, so an idle broker has none.
"""

from __future__ import annotations

from typing import Final

from eventlog.broker.process import BrokerProcess
from eventlog.messages import NETWORK, NO_CONNECTION, Envelope, ShutDown, Stopped
from eventlog.messages.controller_api import ControlledShutdownReply, ControlledShutdownRequest

SHUTDOWN_WAIT_MS: Final = 300_000
"""How long a stopping broker waits for the controller to move its leaderships, before it ends without (`KafkaServer`)."""
CLEAN_SHUTDOWN: Final = "clean_shutdown"
"""Checkpoint of the broker epoch that ended in order: proof, at the next registration, that its disk lacks nothing."""
TOPIC_ID: Final = "topic_id"
"""In a log's store: whose log it is (Kafka's `partition.metadata`)."""


class Keeping(BrokerProcess):
    """Read `_end` for what an orderly stop leaves behind."""

    __slots__ = ()

    def _flush(self, now_ms: int) -> None:
        for replica in self.replicas.values():
            replica.log.store.flush()
        if "retention" not in self.timers:
            self._mind_retention(now_ms)

    def _write_checkpoints(self) -> None:
        for replica in self.replicas.values():
            replica.log.write_checkpoints()

    def _expire_producers(self, now_ms: int) -> None:
        for replica in self.replicas.values():
            replica.log.producer_state.expire(now_ms, self.settings.producer_id_expiration_ms)
        if any(len(replica.log.producer_state) for replica in self.replicas.values()):
            self.timers["expire"] = now_ms + self.settings.producer_id_expiration_check_interval_ms

    def _mind_logs(self, now_ms: int) -> None:
        """Something was written: set the timers that follow from it, where they are not set."""
        timers, settings = self.timers, self.settings
        timers.setdefault("flush", now_ms + settings.log_flush_interval_ms)
        timers.setdefault("expire", now_ms + settings.producer_id_expiration_check_interval_ms)
        if "retention" not in timers:
            self._mind_retention(now_ms)

    def _mind_size(self, now_ms: int) -> None:
        """A log with a limit in bytes has grown: look at the next check, however far the one that was set is."""
        soon_ms = now_ms + self.settings.log_retention_check_interval_ms
        self.timers["retention"] = min(soon_ms, self.timers.get("retention", soon_ms))

    def _mind_retention(self, now_ms: int) -> None:
        """Look again at the first check after something may be too old; never, if nothing can be."""
        due = [replica.log.next_retention_ms(now_ms) for replica in self.replicas.values()]
        known = [due_ms for due_ms in due if due_ms is not None]
        if known:
            interval_ms = self.settings.log_retention_check_interval_ms
            self.timers["retention"] = now_ms + max(1, -(-(min(known) - now_ms) // interval_ms)) * interval_ms

    def _delete_old_segments(self, now_ms: int) -> None:
        """Every replica for itself, as in Kafka; a follower also hears of its leader's log start."""
        for replica in self.replicas.values():
            replica.log.delete_old_segments(now_ms)
        self._mind_retention(now_ms)

    # --- an orderly end -------------------------------------------------------------------------------------------

    def _on_shut_down(self, message: ShutDown, envelope: Envelope, now_ms: int) -> list[Envelope]:
        """Ask the controller to move what this broker leads; it goes on serving meanwhile."""
        self.timers["shutdown"] = now_ms + SHUTDOWN_WAIT_MS
        return [self._ask_controller("shutdown", ControlledShutdownRequest(self.broker_id, self.broker_epoch))]

    def _on_controlled_shutdown_reply(
        self, reply: ControlledShutdownReply, envelope: Envelope, now_ms: int
    ) -> list[Envelope]:
        return self._end() if reply.should_shut_down else []

    def _end(self) -> list[Envelope]:
        """Everything is flushed, every log leaves a snapshot, and the disk says that nothing is missing."""
        for replica in self.replicas.values():
            replica.log.close()
        self.stores.write_checkpoint(CLEAN_SHUTDOWN, self.broker_epoch)
        self.timers.clear()
        self.has_ended = True
        return [Envelope(self.name, NETWORK, NO_CONNECTION, 0, Stopped())]
