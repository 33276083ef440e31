"""ApiVersions: what is served here.

A version above ours is answered in the layout of version 0 with UNSUPPORTED_VERSION and the range of ApiVersions alone;
newer clients begin so and step down.
"""

from __future__ import annotations

from eventlog.errors import ErrorCode
from eventlog.wire.call import Call
from eventlog.wire.primitives import Writer
from eventlog.wire.versions import API_VERSIONS, APIS


class ApiVersions:
    """The reply is the error alone: all else is a constant."""

    def read(self, call: Call) -> tuple[str, str]:
        """(name, version) of the client's software."""
        body = call.body
        if not 3 <= call.version <= call.api.highest:
            return ("", "")
        software = (body.string(), body.string())
        body.skip_tags()
        return software

    async def answer(self, call: Call) -> int:
        return ErrorCode.NONE if call.version <= call.api.highest else ErrorCode.UNSUPPORTED_VERSION

    def refuse(self, call: Call, error: int) -> int:
        return error

    def write(self, call: Call, reply: int, writer: Writer) -> None:
        is_too_new = call.version > call.api.highest
        listed = [APIS[API_VERSIONS]] if is_too_new else list(APIS.values())
        writer.int16(reply)
        writer.length(len(listed))
        for api in listed:
            writer.int16(api.key)
            writer.int16(api.listed)
            writer.int16(api.highest)
            writer.no_tags()
        if call.version >= 1 and not is_too_new:
            writer.int32(0)
        # No features: transactions and the new groups, which they switch on, are not served.
        writer.no_tags()


API_VERSIONS_HANDLER = ApiVersions()
HANDLERS = {API_VERSIONS: API_VERSIONS_HANDLER}
