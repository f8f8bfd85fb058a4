"""How good is a verifier? Its verdicts beside known labels: precision, recall, coverage, cost, and every disagreement.

A verdict and a label that differ are one of two mistakes, and it is a person who says whose: so the disagreements are listed, not
only counted. Outputs of one problem stand or fall together, so intervals take problems as what was drawn by chance, not outputs.
`unverifiable` counts against recall and coverage, never against precision.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from gristmill.errors import InputError, NoSandbox
from gristmill.files.reading import BadRow, read_rows
from gristmill.grading.registry import GRADERS
from gristmill.messages import Frozen
from gristmill.plain import as_list, as_object, as_text
from gristmill.stats.ratio import clustered_share
from gristmill.studies.grading import Fields, choose, graded_rows, outputs_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from gristmill.records import Row
    from gristmill.sandbox.walls import Tier
    from gristmill.studies.grading import Chosen, GradedRow

MOST_LISTED = 200
"""Disagreements that are kept; the count is of all."""
_LABELS = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}
"""Labels as text, in any case."""
SHOWN_CHARACTERS = 120
SHIPPED = "audit"
"""The folder of the labelled sets that ship, one for each grader."""


class Share(Frozen):
    """A share with its two-sided 95 % interval over problems; None where there is nothing to divide by."""

    value: float | None
    low: float | None
    high: float | None


class Disagreement(Frozen):
    """One output on which verdict and label differ."""

    row: int
    output: int
    label: bool
    verdict: str
    reason: str
    reference: str
    found: str
    """What was extracted, or how the output begins."""


class Audit(Frozen):
    """What an audit found."""

    set: str
    grader: str
    problems: int
    outputs: int
    """Those with a label."""
    precision: Share
    recall: Share
    coverage: float
    """Share that was decided."""
    confusion: dict[str, dict[str, int]]
    """Verdicts by label: `{"true": {"pass": …}, "false": …}`."""
    ms_median: float
    ms_p99: float
    ms_max: float
    disagreements: int
    listed: tuple[Disagreement, ...]
    unread: int = 0
    """Outputs whose label is neither true nor false, nor missing; they are left out."""
    first_unread: str | None = None


class _Tally(NamedTuple):
    """Counts by problem."""

    right: list[float]
    """Outputs that passed and are labelled true."""
    passed: list[float]
    true: list[float]
    words: dict[str, Counter[str]]
    ms: list[float]
    listed: list[Disagreement]
    unread: list[str]


def audit_file(path: Path, chosen: Chosen, fields: Fields) -> Audit:
    """Compare a verifier with the labels of a data file.

    Raises:
        InputError: where the file has no labels under the field, or cannot be read as declared.
    """
    if fields.label is None:
        raise InputError("an audit compares with labels", fix="Name their field with `--label`.")
    return asyncio.run(_audit_file(path, chosen, fields))


async def _audit_file(path: Path, chosen: Chosen, fields: Fields) -> Audit:
    tally = _Tally([], [], [], {"true": Counter(), "false": Counter()}, [], [], [])
    different = 0
    async for graded in graded_rows(path, chosen, fields, timed=True):
        if not isinstance(graded.row, BadRow):
            different += _count(graded.row, graded, fields, tally)
    outputs = len(tally.ms)
    if not outputs:
        seen = f": {tally.unread[0]!r:.60} is none" if tally.unread else ""
        raise InputError(
            f"no output of {path} has a label under `{fields.label}`{seen}",
            fix="Labels are true or false, or a list of them, one for each output; name the fields with --output and --label.",
        )
    times = sorted(tally.ms)
    undecided = sum(count for words in tally.words.values() for word, count in words.items() if word not in ("pass", "fail"))
    return Audit(
        set=path.name,
        grader=chosen.plugin.identity,
        problems=len(tally.passed),
        outputs=outputs,
        precision=_share(tally.right, tally.passed),
        recall=_share(tally.right, tally.true),
        coverage=1 - undecided / outputs,
        confusion={label: dict(words.most_common()) for label, words in tally.words.items()},
        ms_median=round(times[len(times) // 2], 3),
        ms_p99=round(times[min(len(times) - 1, int(len(times) * 0.99))], 3),
        ms_max=round(times[-1], 3),
        disagreements=different,
        listed=tuple(tally.listed),
        unread=len(tally.unread),
        first_unread=tally.unread[0][:SHOWN_CHARACTERS] if tally.unread else None,
    )


def labels_of(value: Any, outputs: int) -> list[bool | None]:
    """Return a label for each output; None where there is none or it is neither true nor false."""
    return [_label(given) for given in _given(value, outputs)]


def _given(value: Any, outputs: int) -> list[Any]:
    several = as_list(value)
    return ([value] * outputs if several is None else [*several, *[None] * outputs])[:outputs]


def _label(given: Any) -> bool | None:
    """Return a label; in CSV each is a text."""
    if isinstance(given, str):
        return _LABELS.get(given.strip().casefold())
    return bool(given) if given in (0, 1) else None


def _count(row: Row, graded: GradedRow, fields: Fields, tally: _Tally) -> int:
    """Count one problem; return how many of its verdicts differ from their labels."""
    right = passed = true = different = 0
    texts = outputs_of(row, fields.output)
    given = _given(row.get(fields.label or ""), len(graded.verdicts))
    labels = [_label(one) for one in given]
    tally.unread.extend(str(one) for one, label in zip(given, labels, strict=True) if label is None and one not in (None, ""))
    for index, (verdict, label) in enumerate(zip(graded.verdicts, labels, strict=True)):
        if label is None:
            continue
        passes = verdict.passed is True
        right, passed, true = right + (passes and label), passed + passes, true + label
        tally.words["true" if label else "false"][verdict.word] += 1
        tally.ms.append(graded.ms[index])
        if passes is not label:
            different += 1
            if len(tally.listed) < MOST_LISTED:
                tally.listed.append(_disagreement(graded, index, texts[index], label=label))
    tally.right.append(right)
    tally.passed.append(passed)
    tally.true.append(true)
    return different


def _disagreement(graded: GradedRow, index: int, text: Any, *, label: bool) -> Disagreement:
    verdict = graded.verdicts[index]
    return Disagreement(
        row=graded.number,
        output=index,
        label=label,
        verdict=verdict.word,
        reason=verdict.reason,
        reference=as_text(verdict.evidence.get("reference")) or "",
        found=as_text(verdict.evidence.get("extracted")) or str(text)[:SHOWN_CHARACTERS],
    )


def _share(above: Sequence[float], below: Sequence[float]) -> Share:
    found = clustered_share(above, below)
    if found is None:
        return Share(value=None, low=None, high=None)
    value, interval = found
    return Share(value=value, low=interval.low, high=interval.high)


def shipped_sets() -> list[Path]:
    """Return the labelled sets that ship, by name."""
    folder = resources.files("gristmill.assets") / SHIPPED
    return sorted(Path(str(file)) for file in folder.iterdir() if file.name.endswith(".jsonl"))


def audit_shipped(grader: str | None = None, accept: Tier = "medium", say: Callable[[str], None] = lambda _: None) -> list[Audit]:
    """Audit every verifier that has a labelled set of its own, or one of them.

    Args:
        grader: Which one; None for all that can be audited here.
        accept: The weakest walls in which code of models may run.
        say: Told which are left out.

    Raises:
        InputError: where the grader has none, or runs code where no sandbox holds.
    """
    name = None if grader is None else GRADERS.get(grader).name
    sets = [path for path in shipped_sets() if name is None or path.stem.split("-")[0] == name]
    if not sets:
        raise InputError(f"no labelled set ships for `{name}`", fix="Give your own: `gristmill audit FILE --label FIELD`.")
    audits: list[Audit] = []
    for path in sets:
        try:
            audits.append(_audit_set(path, accept))
        except NoSandbox as error:
            if name is not None:
                raise
            say(f"{path.stem} is left out: {error}")
    return audits


def _audit_set(path: Path, accept: Tier) -> Audit:
    """Audit one shipped set: its first row says with which options."""
    first = next(iter(read_rows(path))).row
    options = {} if isinstance(first, BadRow) else as_object(first.get("options")) or {}
    fields = Fields("outputs", reference="reference", question="question", label="labels")
    chosen = choose(path.stem.split("-")[0], options)._replace(accept=accept)
    return audit_file(path, chosen, fields).model_copy(update={"set": path.stem})
