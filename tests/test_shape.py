"""The shape of the source: small modules and functions, docstrings, no ladders, no broad excepts without a row."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import gristmill

SOURCE = Path(gristmill.__file__).parent
MODULES = sorted(SOURCE.rglob("*.py"))
MOST_LINES, MOST_IN_FUNCTION = 500, 60
NAMELESS = {"utils", "helpers", "common", "manager", "base", "misc"}


def nodes(*kinds: type[ast.AST]) -> Iterator[tuple[Path, ast.AST]]:
    """Yield every node of a kind with its module."""
    for path in MODULES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, kinds):
                yield path, node


def test_modules_are_small_and_say_what_they_are() -> None:
    """At most 500 lines, a docstring, and a name that says something."""
    for path in MODULES:
        text = path.read_text(encoding="utf-8")
        assert len(text.splitlines()) <= MOST_LINES, path
        assert ast.get_docstring(ast.parse(text)), path
        assert path.stem not in NAMELESS, path


def test_functions_are_short() -> None:
    """At most 60 lines."""
    long = [
        f"{path.name}:{node.lineno} {node.name}"
        for path, node in nodes(ast.FunctionDef, ast.AsyncFunctionDef)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and (node.end_lineno or 0) - node.lineno >= MOST_IN_FUNCTION
    ]
    assert not long


def test_no_class_has_several_bases() -> None:
    """One base at most, generics and protocols aside."""
    many = [
        f"{path.name}:{node.lineno} {node.name}"
        for path, node in nodes(ast.ClassDef)
        if isinstance(node, ast.ClassDef)
        and len([base for base in node.bases if not isinstance(base, ast.Subscript) and ast.unparse(base) != "NamedTuple"]) > 1
    ]
    assert not many


def test_broad_handlers_are_few_and_reasoned() -> None:
    """`except Exception` stands only where somebody's code becomes a row with a reason, and says so."""
    found: list[str] = []
    for path in MODULES:
        lines = path.read_text(encoding="utf-8").splitlines()
        found += [f"{path.name}: {line.strip()}" for line in lines if "except Exception" in line]
    assert len(found) == 5, found
    assert all("row with its reason" in line for line in found), found


def test_import_is_light() -> None:
    """Importing the package loads none of the heavy libraries."""
    heavy = ("duckdb", "torch", "starlette", "aiohttp", "pydantic", "jinja2")
    program = f"import gristmill, sys; print([name for name in {heavy} if name in sys.modules])"
    assert subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.strip() == "[]"


def test_status_is_light() -> None:
    """A person or a program may ask for it every second."""
    heavy = ("duckdb", "aiohttp", "jinja2", "gristmill.api", "gristmill.recipe", "gristmill.grading", "importlib.metadata")
    program = f"import gristmill.cli.main, gristmill.cli.status, sys; print([name for name in {heavy} if name in sys.modules])"
    assert subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.strip() == "[]"


def test_help_is_light() -> None:
    """`gristmill --help` loads the engine's libraries no more than it needs to."""
    heavy = ("duckdb", "torch", "aiohttp", "ruamel", "gristmill.engine")
    program = f"""
import sys
sys.argv = ["gristmill", "--help"]
from gristmill.cli.main import main
try:
    main()
except SystemExit as end:
    assert not end.code
print([name for name in {heavy} if name in sys.modules], file=sys.stderr)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stderr.strip() == "[]"
    for command in ("init", "check", "preview", "run", "status", "demo", "schema"):
        assert command in done.stdout
