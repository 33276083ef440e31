"""The rules of the house, as tests: floors, purity, types, style, and documents that say what is true."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

import eventlog

ROOT = Path(__file__).parents[2]
PURE_ROOMS = ("values", "messages", "codec", "log", "client", "broker", "controller", "check")
IMPURE = ("time", "random", "socket", "asyncio", "threading", "os", "pathlib", "logging", "uuid", "secrets")
PURE_FILES = [ROOT / "eventlog" / "errors.py"] + [
    path for room in PURE_ROOMS for path in sorted((ROOT / "eventlog" / room).rglob("*.py"))
]


def run(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *command], cwd=ROOT, capture_output=True, text=True, timeout=300, check=False
    )


def test_a_room_imports_only_from_the_floors_below_it() -> None:
    done = run("-c", "from importlinter.cli import lint_imports_command as c; c([])")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "2 kept, 0 broken" in done.stdout


def test_types_are_strict_and_right() -> None:
    done = run("-m", "mypy", "--strict", "eventlog")
    assert done.returncode == 0, done.stdout + done.stderr


def test_style_is_kept() -> None:
    done = run("-m", "ruff", "check", ".")
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("path", PURE_FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_the_core_is_pure(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [node.module or ""]
        else:
            names = []
            made_of_set = isinstance(node, ast.Set | ast.SetComp) or (
                isinstance(node, ast.Name) and node.id in ("set", "frozenset", "hash", "open")
            )
            assert not made_of_set, (
                f"{path.name}:{getattr(node, 'lineno', '?')}: sets have no order, hash() no stability"
            )
        for name in names:
            assert name.split(".")[0] not in IMPURE, f"{path.name} imports {name}"


def test_importing_it_loads_nothing_heavy() -> None:
    heavy = "numpy asyncio rich hypothesis pytest"
    code = f"import sys, eventlog; eventlog.Cluster; print([m for m in {heavy.split()!r} if m in sys.modules])"
    done = run("-c", code)
    assert done.stdout.strip() == "[]", done.stdout + done.stderr


def test_all_public_names_exist_and_only_they_are_listed() -> None:
    for name in eventlog.__all__:
        assert getattr(eventlog, name) is not None
    assert sorted(eventlog.__all__) == dir(eventlog)


def test_the_version_is_the_same_everywhere() -> None:
    declared = re.search(r'^version = "(.+)"$', (ROOT / "pyproject.toml").read_text(), re.MULTILINE)
    assert declared is not None
    assert declared[1] == eventlog.__version__
    assert f"## {eventlog.__version__}" in (ROOT / "CHANGELOG.md").read_text()


def test_ci_runs_the_readmes_test_command() -> None:
    readme = (ROOT / "README.md").read_text()
    commands = [line for line in readme.splitlines() if "pytest -n" in line and line.startswith("python3 -m venv")]
    assert len(commands) == 1
    assert commands[0] in (ROOT / ".ci" / "run").read_text().splitlines()


def test_every_python_block_of_the_readme_runs(capsys: pytest.CaptureFixture[str]) -> None:
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    assert blocks
    for block in blocks:
        exec(compile(block, "README.md", "exec"), {})
    assert "DUPLICATE" in capsys.readouterr().out


def test_the_readme_names_every_fault() -> None:
    from eventlog.values import FAULTS

    readme = (ROOT / "README.md").read_text()
    for kind in FAULTS.values():
        assert f"| `{kind.name}` |" in readme


@pytest.mark.parametrize("room", sorted((ROOT / "eventlog").glob("*/__init__.py")), ids=lambda path: path.parent.name)
def test_every_room_has_a_chapter(room: Path) -> None:
    text = ast.get_docstring(ast.parse(room.read_text()))
    assert text is not None
    assert len(text.splitlines()) >= 5
    assert "ot here" in text


def test_no_two_modules_of_the_tests_have_one_name() -> None:
    """pytest imports a file in a folder that is no package by its bare name, so two of one name are one module to it."""
    where: dict[str, list[str]] = {}
    for folder in ("tests", "examples"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            if path.stem not in ("conftest", "__init__"):
                base = path.parent
                while (base / "__init__.py").exists():
                    base = base.parent
                name = ".".join(path.relative_to(base).with_suffix("").parts)
                where.setdefault(name, []).append(str(path.relative_to(ROOT)))
    assert {name: paths for name, paths in where.items() if len(paths) > 1} == {}
