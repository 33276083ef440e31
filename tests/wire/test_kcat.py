"""kcat, where the machine has it: the same stories as with the Python clients, told by a command."""

from __future__ import annotations

import shutil
import subprocess

from eventlog import Cluster
from eventlog.wire import listen

KCAT = shutil.which("kcat")
TOPIC = "orders"


def kcat(bootstrap: str, *arguments: str, given: str = "") -> list[str]:
    """The lines that it prints."""
    assert KCAT is not None
    command = [KCAT, "-q", "-b", bootstrap, "-t", TOPIC, *arguments]
    done = subprocess.run(command, input=given, capture_output=True, text=True, timeout=60, check=True)
    return done.stdout.splitlines()


def written_twice(given: list[str], *settings: str) -> tuple[list[str], list[str]]:
    """(after a lost acknowledgement, after one that died with its leader): what is read back."""
    found = []
    for kind in ("lose_reply", "crash_after"):
        with Cluster(brokers=3) as cluster, listen(cluster) as door:
            fault = getattr(door.faults, kind)("Produce")
            kcat(door.bootstrap, "-P", *settings, given="\n".join(given))
            assert fault.hits == 1
            found.append(kcat(door.bootstrap, "-C", "-o", "beginning", "-e"))
    return found[0], found[1]


if KCAT is not None:

    def test_kcat_reads_what_it_wrote_idempotently() -> None:
        lines = [str(number) for number in range(10_000)]
        with Cluster(brokers=3) as cluster, listen(cluster) as door:
            kcat(door.bootstrap, "-P", "-X", "enable.idempotence=true", given="\n".join(lines))
            assert kcat(door.bootstrap, "-C", "-o", "beginning", "-e") == lines
            assert len(cluster.records(TOPIC)) == len(lines)

    def test_kcat_writes_twice_when_its_acknowledgement_is_lost() -> None:
        assert written_twice(["a"]) == (["a", "a"], ["a", "a"])

    def test_kcat_writes_once_with_idempotence() -> None:
        assert written_twice(["a"], "-X", "enable.idempotence=true") == (["a"], ["a"])

    def test_kcat_lists_brokers_topics_and_leaders() -> None:
        with Cluster(brokers=3) as cluster:
            cluster.create_topic(TOPIC, 2)
            with listen(cluster) as door:
                told = "\n".join(kcat(door.bootstrap, "-L"))
                leaders = [cluster.leader(TOPIC, partition) for partition in (0, 1)]
        assert all(f"partition {number}, leader {leader}" in told for number, leader in enumerate(leaders))
        assert "3 brokers" in told
