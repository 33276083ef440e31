"""Consumer groups have no members here, and whoever wants to be one is told so for good.

This is listed although it is always refused: when it isn't, some clients say so at once, and others try for ever. To be
told that it is not authorized ends every client that was tried, with an error of its own, in its first second.
"""

from __future__ import annotations

from eventlog.errors import ErrorCode
from eventlog.wire.admin import ByKio, Values
from eventlog.wire.call import Call


class JoinGroup(ByKio):
    """v0 to v9. A consumer must assign itself its partitions."""

    async def answer(self, call: Call) -> Values:
        return self.refuse(call, ErrorCode.GROUP_AUTHORIZATION_FAILED)


HANDLERS = {11: JoinGroup()}
