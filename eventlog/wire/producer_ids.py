"""InitProducerId: an id for an idempotent producer.

Whoever gives a transactional id is refused for good: there are no transactions here, and an error that may be tried again
would let him wait for ever.
"""

from __future__ import annotations

from eventlog.errors import ErrorCode
from eventlog.messages.broker_api import InitProducerIdReply, InitProducerIdRequest
from eventlog.wire.call import Call
from eventlog.wire.primitives import Writer

MOST_TRIES = 10


class InitProducerId:
    """v0 to v5."""

    def read(self, call: Call) -> InitProducerIdRequest:
        body = call.body
        transactional_id = body.nullable_string()
        transaction_timeout_ms = body.int32()
        producer_id, producer_epoch = (body.int64(), body.int16()) if call.version >= 3 else (-1, -1)
        body.skip_tags()
        return InitProducerIdRequest(transactional_id, transaction_timeout_ms, producer_id, producer_epoch)

    async def answer(self, call: Call) -> InitProducerIdReply:
        request: InitProducerIdRequest = call.asked
        if request.transactional_id:
            return InitProducerIdReply(ErrorCode.TRANSACTIONAL_ID_AUTHORIZATION_FAILED)
        reply = InitProducerIdReply(ErrorCode.COORDINATOR_LOAD_IN_PROGRESS)
        for _ in range(MOST_TRIES):
            # A broker that has no ids left gets a block of them while it says so: nobody has to come back for that.
            reply = await call.ask(request)
            if reply.error is not ErrorCode.COORDINATOR_LOAD_IN_PROGRESS:
                break
        return reply

    def refuse(self, call: Call, error: int) -> InitProducerIdReply:
        return InitProducerIdReply(ErrorCode(error))

    def write(self, call: Call, reply: InitProducerIdReply, writer: Writer) -> None:
        writer.int32(0)
        writer.int16(reply.error)
        writer.int64(reply.producer_id)
        writer.int16(reply.producer_epoch)
        writer.no_tags()


HANDLERS = {22: InitProducerId()}
