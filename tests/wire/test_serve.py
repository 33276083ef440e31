"""`eventlog serve` and the pytest plugin: what is there from outside."""

from __future__ import annotations

import json
import re
import signal
import socket
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path
from subprocess import PIPE
from urllib.request import urlopen

import pytest
from wire_stage import API_VERSIONS, RawClient

from eventlog.cli import main

pytest_plugins = ["pytester"]

SERVE = [sys.executable, "-W", "error", "-c", "from eventlog.cli import main; raise SystemExit(main())", "serve"]


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_a_served_cluster_takes_clients_and_faults_and_ends_quietly(how: signal.Signals) -> None:
    arguments = ["--port", "0", "--brokers", "3", "--partitions", "4", "--control", "0", "--retention-bytes", "1000000"]
    with ExitStack() as stack:
        process = stack.enter_context(subprocess.Popen([*SERVE, *arguments], stdout=PIPE, stderr=PIPE, text=True))
        stack.callback(process.kill)  # a test that fails must not wait for a process that goes on
        assert process.stdout is not None
        bootstrap = process.stdout.readline().removeprefix("listening at ").strip()
        control = process.stdout.readline().removeprefix("faults at ").strip()
        assert re.fullmatch(r"(127\.0\.0\.1:\d+,?){3}", bootstrap)
        with RawClient(bootstrap.split(",")[2]) as client:
            assert client.ask(API_VERSIONS, 0).error_code == 0
            (made,) = client.ask(3, 9, topics=[{"name": "new"}], allow_auto_topic_creation=True).topics
            assert len(made.partitions) == 4
            with urlopen(f"{control}/lose_reply", b"{}", timeout=10) as answer:
                assert json.load(answer)["hits"] == 0
            process.send_signal(how)
            assert process.wait(10) == 0
        assert process.stderr is not None
        assert process.stderr.read() == ""


@pytest.mark.parametrize("option", ["--port", "--control"])
def test_a_port_that_is_taken_is_one_line(capsys: pytest.CaptureFixture[str], option: str) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        assert main(["serve", "--port", "0", option, port]) == 2
    told = capsys.readouterr().err
    assert f"can't listen at port {port}" in told
    assert told.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--brokers", "0"], "1 or more"),
        (["--port", "70000"], "0 to 65535"),
        (["--retention-bytes", "-1"], "1 or more"),
    ],
)
def test_what_cannot_be_served_is_told(capsys: pytest.CaptureFixture[str], arguments: list[str], said: str) -> None:
    with pytest.raises(SystemExit):
        main(["serve", *arguments])
    assert said in capsys.readouterr().err


def test_the_plugin_and_the_command_line_load_no_door() -> None:
    code = "import eventlog.testing.plugin, eventlog.cli, sys; raise SystemExit('eventlog.wire' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_the_session_keeps_its_cluster_and_loses_its_faults(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import pytest
        seen = []

        def test_one(eventlog_kafka_session):
            seen.append((eventlog_kafka_session.bootstrap, eventlog_kafka_session.topic()))
            eventlog_kafka_session.cluster.crash(1)

        def test_two(eventlog_kafka_session):
            seen.append((eventlog_kafka_session.bootstrap, eventlog_kafka_session.topic()))
            eventlog_kafka_session.faults.lose_reply("Produce")

        def test_three(eventlog_kafka_session):
            assert eventlog_kafka_session.faults.all == []
            assert seen[0][0] == seen[1][0] and seen[0][1] != seen[1][1]

        @pytest.mark.eventlog_kafka(brokers=1)
        def test_marked(eventlog_kafka):
            assert "," not in eventlog_kafka.bootstrap
        """
    )
    result = pytester.runpytest_subprocess("-W", "error", "--strict-markers")
    result.assert_outcomes(passed=4, errors=1)
    result.stdout.fnmatch_lines(["*never struck: <LostReply of Produce: 0 hits>*"])


def test_a_rare_request_makes_no_strategies_and_leaves_no_folder(tmp_path: Path) -> None:
    code = "import hypothesis.internal.charmap as made, eventlog.wire.envelopes; print(made._charmap)"
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout == "None\n"
    assert not list(tmp_path.iterdir())
