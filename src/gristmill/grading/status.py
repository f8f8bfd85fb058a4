"""The grade of a sample that no grader looks at: its status.

A truncated, refused or empty answer is a failure of the sample; a sample that ended in an error or diverged could not be graded.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gristmill.records import Verdict

if TYPE_CHECKING:
    from gristmill.records import Sample

GRADER = "status@1"


def status_verdict(sample: Sample) -> Verdict:
    """Return the verdict on a sample whose status is not `complete`."""
    passed = None if sample.status in ("error", "diverged") else False
    reason = sample.status if sample.status != "error" else f"error: {sample.reason}"
    return Verdict(passed=passed, reason=reason[:200], evidence={"detail": sample.reason or ""})
