"""`eventlog serve`: a cluster that listens until it is interrupted."""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys
from contextlib import AsyncExitStack
from typing import Any

from eventlog.errors import RequestError

DEFAULT_PORT = 9092
EPILOG = """examples:
  eventlog serve                            one broker at 127.0.0.1:9092, until Ctrl-C
  eventlog serve --port 19092 --brokers 3   at 19092, 19093 and 19094
  eventlog serve --control 9644             and takes faults:
  curl -d '{"api": "Produce"}' localhost:9644/lose_reply
  eventlog serve --control 9644 --judge     and says what became of what clients sent and read:
  curl localhost:9644/verdict
"""


def add_serve(commands: Any) -> None:
    """`eventlog serve` and its arguments."""
    parser = commands.add_parser(
        "serve",
        help="let Kafka clients of any language talk to a cluster in this process",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(command=_serve_until_stopped)
    parser.add_argument(
        "--port",
        type=_port,
        default=DEFAULT_PORT,
        help="of the first broker (default 9092); the others take the next ones",
    )
    parser.add_argument("--brokers", type=_count, default=1, help="how many brokers there are (default 1)")
    parser.add_argument("--partitions", type=_count, default=1, help="of a topic that a client names first (default 1)")
    parser.add_argument(
        "--control", type=_port, metavar="PORT", help="take faults by HTTP at this port of this machine (0: any)"
    )
    parser.add_argument(
        "--judge", action="store_true", help="keep all that clients say, for GET /verdict at the control; memory grows"
    )
    parser.add_argument(
        "--retention-bytes", type=_count, metavar="BYTES", help="most that is kept of a partition, in bytes"
    )
    parser.add_argument(
        "--listen-anywhere", action="store_true", help="not only on this machine. Nobody is asked who he is!"
    )


def _port(text: str) -> int:
    port = int(text)
    if not 0 <= port <= 65_535:
        raise argparse.ArgumentTypeError(f"a port is from 0 to 65535, not {port}")
    return port


def _count(text: str) -> int:
    count = int(text)
    if count < 1:
        raise argparse.ArgumentTypeError(f"must be 1 or more, not {count}")
    return count


def _serve_until_stopped(arguments: argparse.Namespace) -> int:
    """Serve until SIGINT or SIGTERM. The exit code is 0."""
    if arguments.judge and arguments.control is None:
        raise RequestError("--judge is for who asks for the verdict: it needs --control PORT")
    if arguments.listen_anywhere:
        print("warning: anybody who reaches this machine can read and write everything", file=sys.stderr)
    asyncio.run(_serve(arguments))
    return 0


async def _serve(arguments: argparse.Namespace) -> None:
    from eventlog.cluster import Cluster
    from eventlog.wire.control import KEPT_REQUESTS, controlled
    from eventlog.wire.door import EVERYWHERE, LOOPBACK
    from eventlog.wire.listening import serve

    loop = asyncio.get_running_loop()
    stopped = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopped.set)
    settings: dict[str, Any] = {}
    if arguments.retention_bytes is not None:
        # Whole segments are deleted: eight of them keep the limit within an eighth. A client fills 100 MB in a second, so
        # who limits the bytes has them looked at often; only while something is written.
        segment_bytes = max(65_536, arguments.retention_bytes // 8)
        settings = {
            "log_retention_bytes": arguments.retention_bytes,
            "log_segment_bytes": segment_bytes,
            "log_retention_check_interval_ms": 50,
        }
    cluster = Cluster(brokers=arguments.brokers, record=arguments.judge, checks="off", **settings)
    async with AsyncExitStack() as stack:
        door = await stack.enter_async_context(
            serve(
                cluster,
                port=arguments.port,
                host=EVERYWHERE if arguments.listen_anywhere else LOOPBACK,
                default_partitions=arguments.partitions,
                record=arguments.judge,
                kept_requests=0 if arguments.control is None else KEPT_REQUESTS,
            )
        )
        # A cluster by itself has no test that would be wrong because a fault never struck.
        stack.callback(door.faults.clear)
        print(f"listening at {door.bootstrap}", flush=True)
        if arguments.control is not None:
            port = await stack.enter_async_context(controlled(door, arguments.control))
            print(f"faults at http://{LOOPBACK}:{port}", flush=True)
        await stopped.wait()
