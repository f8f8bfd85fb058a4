"""The README is true: its tree is the disk's, its recipes are recipes, its Python runs, its commands exist."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from gristmill.recipe.load import load_recipe

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def fences(language: str) -> list[str]:
    """Return the contents of the README's code fences of a language."""
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


@pytest.mark.source_tree
def test_the_tree_is_the_disks() -> None:
    """Every module and room under src/gristmill is in the tree, and the tree names nothing else."""
    tree = next(text for text in fences("text") if text.startswith("src/gristmill/"))
    inside = [line.split()[0] for line in tree.splitlines() if line.startswith("  ")]
    package = ROOT / "src/gristmill"
    rooms = {f"{path.name}/" for path in package.iterdir() if path.is_dir() and path.name != "__pycache__"}
    modules = {path.name for path in package.glob("*.py") if path.name != "__init__.py"}
    assert set(inside) == rooms | modules
    outside = {line.split()[0] for line in tree.splitlines()[1:] if not line.startswith("  ")}
    made = {"src", "runs", "dist", "__pycache__"}
    tops = {f"{path.name}/" for path in ROOT.iterdir() if path.is_dir() and path.name not in made and path.name[0] != "."}
    assert outside == tops


@pytest.mark.source_tree
def test_the_layers_of_the_architecture_are_those_that_are_checked() -> None:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"]["contracts"]
    page = (ROOT / "docs/ARCHITECTURE.md").read_text(encoding="utf-8")
    shown = re.findall(r"```text\n(cli\n.*?)```", page, re.DOTALL)
    assert shown == ["\n".join(contracts[0]["layers"]) + "\n"]


@pytest.mark.source_tree
def test_the_recipes_are_recipes() -> None:
    """Those of the README and of every page in docs/ load without a mistake."""
    pages = {path: path.read_text(encoding="utf-8") for path in [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]}
    found = [(path, text) for path, page in pages.items() for text in re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)]
    assert {path.name for path, _ in found} >= {"README.md", "paying.md"}
    for path, text in found:
        assert load_recipe(text, path.name).recipe.name


def test_the_python_runs_and_prints_what_it_says(tmp_path: Path) -> None:
    """Lines that begin with `#>` are what is printed."""
    (tmp_path / "recipes").symlink_to(ROOT / "recipes")
    for program in fences("python"):
        said = [line.removeprefix("#> ") for line in program.splitlines() if line.startswith("#> ")]
        done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=True)
        assert said
        assert done.stdout.splitlines() == said


def test_the_demos_output_is_what_the_demo_prints(demo: Path) -> None:
    """Times aside, and digits: another processor may round otherwise and sample another text."""
    shown = next(text for text in fences("text") if text.startswith("complete:"))

    def words(text: str) -> str:
        return re.sub(r"\s+", " ", re.sub(r"[\d.,]+", "#", text)).strip()

    assert words((demo / "out").read_text()).startswith(words(shown))


@pytest.mark.source_tree
def test_the_pictures_are_there() -> None:
    """Every picture that the README shows is a file in the tree."""
    pictures = re.findall(r"!\[[^\]]+\]\(([^)]+)\)", README)
    assert pictures
    assert all((ROOT / picture).read_bytes().startswith(b"\x89PNG") for picture in pictures)


def test_the_commands_exist() -> None:
    """Every `gristmill COMMAND` in the README is one that `--help` lists."""
    program = "import sys; sys.argv = ['gristmill', '--help']; from gristmill.cli.main import main; main()"
    listed = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    commands = {word for text in fences("sh") for word in re.findall(r"^gristmill (\w+)", text, re.MULTILINE)}
    assert commands
    assert all(f"  {command} " in listed for command in commands)
