"""`gristmill doctor`."""

from __future__ import annotations

from gristmill import api
from gristmill.cli.terminal import Reporter, safe
from gristmill.errors import InputError


def doctor_command(folder: str, *, as_json: bool) -> None:
    """Check this machine and end with 2 where something has to be put right."""
    reporter = Reporter(as_json=as_json)
    checks = api.checkup(folder)
    lines: list[str] = []
    for check in checks:
        lines.append(f"{check.state:<8} {check.name:<13} {safe(check.found)}")
        lines += [f"{'':<22} → {check.remedy}"] if check.remedy else []
    problems = [check.name for check in checks if check.state == "problem"]
    warnings = [check.name for check in checks if check.state == "warning"]
    lines += (
        ["", "gristmill can run here" + (f"; worth a look: {', '.join(warnings)}" if warnings else "")] if not problems else []
    )
    reporter.result("\n".join(lines), {"checks": [check._asdict() for check in checks]})
    if problems:
        reporter.say(f"error: something has to be put right: {', '.join(problems)}", "  Each line has its remedy.")
        raise SystemExit(InputError.exit_code)
