"""Faults from another process: HTTP and JSON on this machine, for clients in other languages.

    curl -d '{"api": "Produce", "count": 2}' localhost:9644/lose_reply        {"id": 1, "hits": 0, ...}
    curl 'localhost:9644/faults/1?hits=2&timeout_s=5'                         comes back when it struck twice

A POST names a method of `Faults` and carries its arguments; what it gives is kept under a number. One request a
connection. Only this machine is served, and no page in a browser is (those send an Origin).
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import fields, is_dataclass
from typing import Any, Final
from urllib.parse import parse_qsl, urlsplit

from eventlog.errors import RequestError, UnknownOutcomeError
from eventlog.wire.door import LOOPBACK, Door
from eventlog.wire.faults import WAIT_S, Fault, Hold, Shrunk

VERBS: Final = (
    *("lose_reply", "lose_request", "delay", "hold", "error", "disconnect", "duplicate"),
    *("crash_after", "crash", "notice", "restart", "move_leader", "shrink_in_sync_replicas"),
)
MAX_BODY_BYTES: Final = 65_536
READ_S: Final = 10.0
KEPT_REQUESTS: Final = 256
"""How many requests `GET /requests` can tell of: a request holds its batches."""
_REASONS: Final = {200: "OK", 400: "Bad Request", 403: "Forbidden", 404: "Not Found", 408: "Request Timeout"}

Json = dict[str, Any]


@asynccontextmanager
async def controlled(door: Door, port: int = 0) -> AsyncIterator[int]:
    """Take faults for `door` by HTTP; gives the port. Raises RequestError when it is taken."""
    control = Control(door)
    try:
        server = await asyncio.start_server(control.serve, LOOPBACK, port, limit=MAX_BODY_BYTES)
    except OSError as why:
        raise RequestError(f"the control can't listen at port {port}: {why}") from why
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for task in list(control.tasks):
            task.cancel()
        await asyncio.gather(*control.tasks, return_exceptions=True)


class Control:
    """What answers. `handles` are the faults asked for here, by number."""

    __slots__ = ("door", "handles", "tasks")

    def __init__(self, door: Door) -> None:
        self.door = door
        self.handles: dict[int, Fault | Shrunk] = {}
        self.tasks: dict[asyncio.Task[Any], None] = {}

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One request, one answer."""
        task = asyncio.current_task()
        assert task is not None
        self.tasks[task] = None
        try:
            status, said = await self._answer(reader)
            body = json.dumps(said).encode() + b"\n"
            head = f"HTTP/1.1 {status} {_REASONS[status]}\r\nContent-Type: application/json\r\n"
            writer.write(f"{head}Content-Length: {len(body)}\r\nConnection: close\r\n\r\n".encode() + body)
            await writer.drain()
        except (ConnectionError, asyncio.CancelledError):
            pass
        finally:
            writer.close()
            self.tasks.pop(task, None)

    async def _answer(self, reader: asyncio.StreamReader) -> tuple[int, Any]:
        try:
            method, target, headers, body = await asyncio.wait_for(_read(reader), READ_S)
            if "origin" in headers:
                return 403, {"error": "no page in a browser is served"}
            url = urlsplit(target)
            path = [part for part in url.path.split("/") if part]
            return await self._do(method, path, dict(parse_qsl(url.query)), body)
        except (TimeoutError, UnknownOutcomeError) as why:
            return 408, {"error": str(why) or "it took too long"}
        except (asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            return 400, {"error": f"this is no HTTP request of at most {MAX_BODY_BYTES} bytes"}
        except (RequestError, TypeError, ValueError, KeyError) as why:
            return 400, {"error": str(why)}

    async def _do(self, method: str, path: list[str], query: dict[str, str], body: bytes) -> tuple[int, Any]:
        match method, path:
            case "GET", ["cluster"]:
                door = self.door
                return 200, {"bootstrap": door.bootstrap, "now_ms": door.cluster.now_ms, "refused": door.refused}
            case "GET", ["requests"]:
                return 200, self._requests(query)
            case "GET", ["verdict"]:
                return 200, self._verdict(query)
            case "GET", ["faults"]:
                return 200, [self._told(number) for number in self.handles]
            case _, ["faults", number, *rest] if number.isdecimal() and int(number) in self.handles:
                return await self._handle(method, int(number), rest, query)
            case "POST", [verb] if verb in VERBS:
                return 200, self._begin(verb, _arguments(body))
        way = f"POST /{', /'.join(VERBS)}; GET /cluster, /faults, /requests, /verdict; GET, DELETE /faults/ID"
        return 404, {"error": f"there is no {method} /{'/'.join(path)}; there are {way}; POST /faults/ID/release"}

    def _begin(self, verb: str, arguments: Json) -> Json:
        made = getattr(self.door.faults, verb)(**arguments)
        if made is None:
            return {}
        number = len(self.handles) + 1
        self.handles[number] = made
        return self._told(number)

    async def _handle(self, method: str, number: int, rest: list[str], query: dict[str, str]) -> tuple[int, Any]:
        handle = self.handles[number]
        match method, rest:
            case "GET", []:
                if "hits" in query and isinstance(handle, Fault):
                    await handle.reached(int(query["hits"]), float(query.get("timeout_s", WAIT_S)))
            case "DELETE", []:
                handle.remove()
            case "POST", ["release"] if isinstance(handle, Hold):
                handle.release()
            case _:
                return 400, {"error": f"{method} /{'/'.join(rest)} can't be done with {self._told(number)['fault']}"}
        return 200, self._told(number)

    def _told(self, number: int) -> Json:
        handle = self.handles[number]
        if isinstance(handle, Fault):
            return {"id": number, "fault": repr(handle), "hits": handle.hits, "left": handle.left}
        return {"id": number, "fault": "a follower out of sync"}

    def _verdict(self, query: dict[str, str]) -> Json:
        """What the checker says of all clients so far, as things are; with `heal=1`, when the cluster has recovered."""
        from eventlog.wire.judging import judge_clients

        return judge_clients(self.door, heal=query.get("heal") == "1").as_dict()

    def _requests(self, query: dict[str, str]) -> list[Any]:
        """Those kept, the oldest first; with `api`, of this API."""
        return [plain(each) for each in self.door.requests if query.get("api") in (None, each.api)]


async def _read(reader: asyncio.StreamReader) -> tuple[str, str, dict[str, str], bytes]:
    """Method, target, headers and body."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    first, *lines = head.splitlines()
    method, target, _ = first.split(" ", 2)
    headers = {name.strip().lower(): value.strip() for name, _, value in [line.partition(":") for line in lines]}
    size = int(headers.get("content-length", "0"))
    if not 0 <= size <= MAX_BODY_BYTES:
        raise RequestError(f"a body of {size} bytes was announced; at most {MAX_BODY_BYTES} are taken")
    return method, target, headers, await reader.readexactly(size)


def _arguments(body: bytes) -> Json:
    known = json.loads(body or b"{}")
    if not isinstance(known, dict) or "when" in known:
        raise RequestError("the body must be a JSON object of the verb's arguments (no `when`: it is a function)")
    return known


def plain(value: Any) -> Any:
    """As JSON has it: structures by field, bytes by their number."""
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, bytes | bytearray | memoryview):
        return f"{len(value)} bytes"
    if hasattr(value, "_asdict"):
        return {name: plain(each) for name, each in value._asdict().items()}
    if is_dataclass(value):
        return {field.name: plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, dict):
        return {str(name): plain(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [plain(each) for each in value]
    return str(value)
