"""`gristmill report`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gristmill import api
from gristmill.cli.terminal import Reporter

if TYPE_CHECKING:
    from gristmill.engine.summary import Summary
    from gristmill.store.rundir import RunFolder


def report_command(path: str, *, as_json: bool) -> None:
    """Make the report of a run anew and say where it is."""
    from gristmill.report import write_report  # brings the page's template engine

    folder = api.run_folder(path, path)
    folder.read_status()
    report = write_report(folder)
    text = f"{folder.report}\nthe same numbers: {folder.report.with_suffix('.json')}"
    Reporter(as_json=as_json).result(text, report.model_dump(mode="json"))


def keep_report(summary: Summary, folder: RunFolder) -> None:
    """Write the report of a run that has just ended, and put its place into the summary."""
    if not (folder.tables / "funnel.parquet").exists():
        return
    if not (summary.unchanged and folder.report.exists()):
        from gristmill.report import write_report

        write_report(folder)
    summary.content["report"] = str(folder.report)
