"""The page: self-contained, the same bytes again, no number of its own, and nothing in it that a text could change."""

from __future__ import annotations

import html.parser
import re
from pathlib import Path
from typing import Any

import pytest

from gristmill import api
from gristmill.report import write_report
from gristmill.report.model import Report
from gristmill.report.page import draw_page
from tests.runs import recipe, run

HOSTILE = (
    '"><script>alert(1)</script><img src=//x.test/a onerror=alert(2)>{{7*7}}{% raw %}\u202etxt\u200b\x1b[31m&lt;</style></title>'
)


class Shape(html.parser.HTMLParser):
    """Collects tags with the names of their attributes, and the cells of tables."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, tuple[str, ...]]] = []
        self.cells: list[str] = []
        self._open = False
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, tuple(name for name, _ in attrs)))
        if tag == "td":
            self._open = True
            self.cells.append("")

    def handle_endtag(self, tag: str) -> None:
        if tag == "td":
            self._open = False

    def handle_data(self, data: str) -> None:
        if self._open:
            self.cells[-1] += data


def made(folder: Path) -> Report:
    """Run a recipe with levels, faults and two kinds of outcome."""
    path = recipe(folder, prompts=40, script={"truncated": 0.1, "permanent": 0.1})
    run(path, folder / "out")
    return write_report(api.run_folder("test", folder / "out"))


def test_two_runs_of_a_recipe_have_the_same_page(tmp_path: Path) -> None:
    """Byte for byte: no time, no path, no order that chance decides."""
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        made(tmp_path / name)
    for file in ("report.html", "report.json"):
        assert (tmp_path / "one/out" / file).read_bytes() == (tmp_path / "two/out" / file).read_bytes()


def test_the_page_follows_from_the_json_alone(tmp_path: Path) -> None:
    made(tmp_path)
    report = Report.model_validate_json((tmp_path / "out/report.json").read_bytes())
    assert (tmp_path / "out/report.html").read_text() == draw_page(report)


def test_the_page_has_the_numbers_of_the_json(tmp_path: Path) -> None:
    report = made(tmp_path)
    cells = Shape(draw_page(report)).cells
    expected: list[str] = []
    for stage in report.funnel:
        reasons = ", ".join(f"{reason} {count:,}" for reason, count in stage.dropped.items()) or "–"
        expected += [stage.stage, stage.unit, f"{stage.entered:,}", f"{stage.kept:,}", reasons]
    for share in (*report.difficulty.groups, *report.difficulty.samples, *report.by_index):
        assert share.share is not None
        interval = f"{share.low:.1%} to {share.high:.1%}"
        expected += [share.label, f"{share.passed:,}", f"{share.n:,}", f"{share.share:.1%}", interval]
    for part in report.lengths.bins:
        end = "and more" if part.high is None else f"to {part.high - 1:,}"
        expected += [f"{part.low:,} {end}", f"{part.accepted:,}", f"{part.rejected:,}"]
    assert cells[: len(expected)] == expected
    rest = cells[len(expected) :]
    for part in report.spend:
        assert rest.count(f"{part.calls:,}") >= 1
    assert f"{report.headline.calls:,}" in rest


def test_the_page_needs_nothing_and_runs_nothing(tmp_path: Path) -> None:
    report = made(tmp_path)
    page = draw_page(report)
    tags = Shape(page).tags
    names = {tag for tag, _ in tags}
    assert not names & {"script", "link", "img", "iframe", "object", "embed", "form", "video", "base", "a"}
    attributes = {name for _, found in tags for name in found}
    assert not {name for name in attributes if name.startswith("on")} | (attributes & {"src", "href", "style"})
    assert "default-src 'none'" in page
    assert not re.search(r"url\((?!#)", page)
    assert "@import" not in page
    assert not re.search(r"\b20\d\d-\d\d-\d\d\b", page.replace(report.prices, ""))


def hostile(value: Any, key: str = "") -> Any:
    """Return plain content with every free text replaced by a hostile one."""
    closed = {"kind", "unit", "stage", "status", "origin", "prompt_id", "recipe_id", "gristmill", "rule"}
    if isinstance(value, str) and value and key not in closed:
        return HOSTILE
    if isinstance(value, list):
        return [hostile(item, key) for item in value]  # pyright: ignore[reportUnknownVariableType]
    if isinstance(value, dict):
        if key == "dropped":
            return {f"{name}{HOSTILE}": count for name, count in value.items()}  # pyright: ignore[reportUnknownVariableType]
        return {name: hostile(item, str(name)) for name, item in value.items()}  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
    return value


def test_a_hostile_text_changes_no_tag(tmp_path: Path) -> None:
    """Every text of the report at once: the page keeps its elements and attributes, and hides nothing."""
    report = made(tmp_path)
    report = report.model_copy(update={"error": "a reason"})
    attacked = Report.model_validate(hostile(report.model_dump(mode="json")))
    page = draw_page(attacked)
    assert Shape(page).tags == Shape(draw_page(report)).tags
    assert not re.search("[\u202e\u200b\x1b]", page)
    assert r"\u{202e}txt\u{200b}\u{1b}" in page
    assert "{{7*7}}" in page


@pytest.mark.parametrize("statuses", [{"answers": ["B"]}, {"permanent": 1.0}])
def test_a_run_that_accepted_nothing_has_a_page(tmp_path: Path, statuses: dict[str, Any]) -> None:
    run(recipe(tmp_path, prompts=3, script=statuses, sampling={"want": None, "n": 1}), tmp_path / "out")
    report = write_report(api.run_folder("test", tmp_path / "out"))
    assert report.headline.rows_exported == 0
    page = (tmp_path / "out/report.html").read_text()
    assert "nothing was accepted" in page
    assert not re.search(r"\bnan\b", page.lower())
