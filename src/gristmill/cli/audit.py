"""`gristmill audit`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from gristmill.cli.grade import Asked, JudgeFlags, chosen_grader, chosen_judge, judging, own_grader
from gristmill.cli.person import accepted
from gristmill.cli.terminal import Reporter, safe
from gristmill.errors import GateFailed, InputError
from gristmill.studies.audit import audit_file, audit_shipped
from gristmill.studies.calibration import calibrate_judge
from gristmill.visible import dollars

if TYPE_CHECKING:
    from gristmill.studies.audit import Audit, Share
    from gristmill.studies.calibration import JudgeCalibration
    from gristmill.studies.grading import Fields

MOST_SHOWN = 12


class AuditFlags(NamedTuple):
    """What the person gave besides the file and its fields."""

    grader: str | None
    options: list[str]
    by: str | None
    model: str | None
    output: str | None
    sandbox: str
    allow_keys: list[str]
    trust: bool = False


def audit_command(path: str | None, fields: Fields, flags: AuditFlags, *, as_json: bool) -> None:
    """Compare graders with labels: those that ship, those of a file, or a judge with people."""
    reporter = Reporter(as_json=as_json)
    if flags.by is not None:
        _calibrate(path, flags.by, fields, flags, reporter)
        return
    if path is None:
        audits = audit_shipped(flags.grader, accepted(flags.sandbox), reporter.say)
    else:
        grader = flags.grader or "math"
        own_grader(grader, trust=flags.trust)
        with reporter.only_result():
            audits = [audit_file(Path(path), chosen_grader(grader, flags.options, flags.sandbox), fields)]
    lines = table(audits)
    for audit in audits:
        lines += ["", *_listed(audit)] if audit.listed else []
        lines += ["", _unread(audit)] if audit.unread else []
    reporter.result("\n".join(lines), {"audits": [audit.model_dump(mode="json") for audit in audits]})


def table(audits: list[Audit]) -> list[str]:
    """Return a line for each audit under a heading."""
    heading = f"{'set':<14}{'grader':<15}{'outputs':>8}  {'precision (95 %)':<23}{'recall (95 %)':<23}{'decided':>8}{'ms p99':>9}"
    return [
        heading,
        *(
            f"{safe(audit.set)[:13]:<14}{audit.grader:<15}{audit.outputs:>8,}  {_share(audit.precision):<23}"
            f"{_share(audit.recall):<23}{audit.coverage:>8.1%}{audit.ms_p99:>9.2f}"
            for audit in audits
        ),
    ]


def _share(share: Share) -> str:
    if share.value is None or share.low is None or share.high is None:
        return "nothing to divide by"
    return f"{share.value:.4f} ({share.low:.3f}-{share.high:.3f})"


def _listed(audit: Audit) -> list[str]:
    words = ", ".join(
        f"labelled {label}: {', '.join(f'{word} {count:,}' for word, count in counts.items()) or 'none'}"
        for label, counts in audit.confusion.items()
    )
    lines = [f"{safe(audit.set)}: {audit.disagreements:,} disagreements ({words})"]
    lines += [
        f"  row {one.row} output {one.output}: labelled {str(one.label).lower()}, {one.verdict} ({safe(one.reason)})"
        f"  reference {safe(one.reference)[:40]!r}  found {safe(one.found)[:60]!r}"
        for one in audit.listed[:MOST_SHOWN]
    ]
    more = audit.disagreements - MOST_SHOWN
    return [*lines, f"  and {more:,} more; `--json` lists them"] if more > 0 else lines


def _unread(audit: Audit) -> str:
    first = safe(audit.first_unread or "")[:60]
    return f"{safe(audit.set)}: left out for a label that is neither true nor false: {audit.unread:,}, the first is {first!r}"


def _calibrate(path: str | None, by: str, fields: Fields, flags: AuditFlags, reporter: Reporter) -> None:
    if path is None or fields.label is None:
        raise InputError(
            "a judge is calibrated on labels of people", fix="Write `gristmill audit FILE --label FIELD --by ADDRESS`."
        )
    folder = Path(flags.output or f"{path}.calibration")
    judge = chosen_judge(Asked("judge", flags.options), JudgeFlags(by, flags.model, flags.allow_keys))
    found = calibrate_judge(Path(path), judge, fields, folder, judging(flags.allow_keys, reporter))
    reporter.result("\n".join(_judge_lines(found, folder)), found.model_dump(mode="json"))
    if found.refused:
        raise SystemExit(GateFailed.exit_code)


def _judge_lines(found: JudgeCalibration, folder: Path) -> list[str]:
    verdict = [f"  may not decide: {safe(reason)}" for reason in found.refused] or ["  may decide"]
    return [
        f"{found.grader} by {safe(found.by)} on {found.labels:,} labels, {found.decided:,} decided, {dollars(found.cost_usd)}",
        f"  {found.words}",
        f"  {found.probes_passed} of {found.probes} answers that only ask for a pass were passed",
        *verdict,
        "",
        f"  {safe(str(folder / 'calibration.json'))}: name it beside the judge, `calibration: FILE`",
    ]
