"""What a run looks like: one page and the same numbers as JSON, from the stored tables."""

from gristmill.report.making import make_report, write_report

__all__ = ["make_report", "write_report"]
