"""From graded samples to files: decide, make records, write every format, count everything, in one pass in plan order.

The pass reads the ledger alone, so it can be repeated at no cost: after a crash, with other selection rules, with more formats.
"""

from __future__ import annotations

from contextlib import nullcontext
from functools import lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from gristmill.engine.generate import Settler
from gristmill.exporting.files import ExportFiles
from gristmill.exporting.registry import GradedPrompt
from gristmill.exporting.standing import is_ours
from gristmill.files.writing import replacing_folder
from gristmill.grading.evidence import quoted_spans
from gristmill.lineage.trail import UNKNOWN, Standing, licenses, make_record
from gristmill.records import GradeLine
from gristmill.selection.rules import ANNOTATED, ANNOTATED_UNGRADED, FAILED, KEPT, NOT_WANTED, UNGRADED
from gristmill.stats.funnel import Stage, Tally, check_conservation
from gristmill.stats.kinds import KindTally
from gristmill.store.effects import GRADING_PREFIX
from gristmill.store.outcomes import load_sample, prompt_rows
from gristmill.store.prompts import intake, load_prompt

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator

    from gristmill.engine.marking import Graded, Panel
    from gristmill.engine.planning import Plan
    from gristmill.engine.session import Door
    from gristmill.records import Prompt, Record
    from gristmill.selection.rules import Choice
    from gristmill.store.outcomes import PromptRow
    from gristmill.store.rundir import RunFolder

INSERT_DECISION = "INSERT INTO decisions VALUES(?,?,?,?)"
SAMPLES_HELD = 32
"""Samples that are not read again when they are looked at once more; those of one prompt, or nearly."""
_KEPT_AS = {True: KEPT, False: ANNOTATED, None: ANNOTATED_UNGRADED}
"""By which rule a sample is kept; only a task that keeps all keeps what did not pass."""


class Finish(NamedTuple):
    """What the pass counted."""

    stages: list[Stage]
    accepted: int
    kept: int
    exported: int
    train_rows: int
    rows: dict[str, dict[str, int]]
    """Rows of each format by split."""
    statuses: dict[str, int]
    trained_on: dict[str, int]
    """Characters of the answers in what is kept, by who wrote them."""
    kind: dict[str, Any]
    """What the kind of data wants to know of itself; empty where it wants nothing."""


class _Pass:
    """The one pass: its counters and where it writes."""

    def __init__(self, plan: Plan, door: Door, panel: Panel) -> None:
        self.plan = plan
        self.door = door
        self.panel = panel
        self.settler = Settler(plan)
        self.asked, self.sampled, self.graded, self.selected = Tally(), Tally(), Tally(), Tally()
        self.entered_grading = self.entered_selection = 0
        self.statuses: dict[str, int] = {}
        self.trained_on: dict[str, int] = {}
        self.kind = KindTally(plan.task.plugin.traits["counted"])
        names = door.ledger.dims("model")
        self._models = {row: content["model"] for row, content in names.items()}
        recipe, traits = plan.recipe, plan.task.plugin.traits
        writers = () if traits["keeps_all"] else ("teacher", *traits["roles"])
        self._terms = [recipe.all_teachers()[recipe.teacher_for(role)].output_license for role in writers]
        self._load = lru_cache(SAMPLES_HELD)(partial(load_sample, door.ledger))
        self._graders = "+".join(chosen.plugin.identity for chosen in plan.graders)

    def prompt(self, row: PromptRow, db: sqlite3.Connection, files: ExportFiles) -> None:
        """Decide about one prompt's samples and write what is kept."""
        used, _ = self.panel.replay(row.samples, row.reference, self.plan.recipe.sampling, final=True)
        if not row.samples:
            self.asked.drop("not_asked")
            return
        self.asked.kept += 1
        accepted = [item for item in used if self.plan.keeps(item.outcome)]
        split = self.settler.split(row.together)
        over = self.settler.selector.over
        choices = self.settler.selector.choose([self.settler.candidate(i.sample, self._load) for i in accepted], split)
        self._count(row, used, choices, db)
        counted = self.plan.task.plugin.traits["counted"]
        gradable = [item for item in used if item.outcome.passed is not None]
        written = not over and (gradable or accepted)
        if not (counted or written):
            return
        prompt = load_prompt(self.door.ledger, row.row)
        if counted:
            self._count_kind(prompt, used, {choice.row for choice in choices if choice.kept})
        if not written:
            return
        passed = sum(item.outcome.passed is True for item in accepted)
        pass_rate = passed / len(gradable) if gradable else None
        for choice in choices:
            if choice.kept:
                record = self._record(prompt, choice.row, split, pass_rate)
                answers = sum(len(message.content) for message in record.messages if message.role == "assistant")
                self.trained_on[record.origin] = self.trained_on.get(record.origin, 0) + answers
                files.write(record)
        if not gradable:
            return
        files.write_prompt(
            GradedPrompt(
                prompt=prompt,
                messages=self.door.frame(prompt),
                split=split,
                grader=self._graders,
                passed=passed,
                graded=len(gradable),
                license=licenses(prompt, self._terms),
            )
        )

    def _count(self, row: PromptRow, used: list[Graded], choices: list[Choice], db: sqlite3.Connection) -> None:
        wanted = {item.sample.row for item in used}
        for sample in row.samples:
            if sample.row not in wanted:
                self.sampled.drop(NOT_WANTED)
                db.execute(INSERT_DECISION, (sample.row, 0, NOT_WANTED, None))
        for item in used:
            status = item.sample.status
            self.statuses[status] = self.statuses.get(status, 0) + 1
            if status != "complete":
                self.sampled.drop(item.outcome.reason)
            else:
                self.sampled.kept += 1
                self.entered_grading += 1
            keeps = self.plan.keeps(item.outcome)
            if status == "complete" and not keeps:
                self.graded.drop(item.outcome.reason)
            if not keeps:
                rule = UNGRADED if item.outcome.passed is None else FAILED
                db.execute(INSERT_DECISION, (item.sample.row, 0, rule, None))
            else:
                self.graded.kept += 1
        passed = {item.sample.row: item.outcome.passed for item in used}
        for choice in choices:
            self.entered_selection += 1
            rule = _KEPT_AS[passed[choice.row]] if choice.kept else choice.rule
            db.execute(INSERT_DECISION, (choice.row, int(choice.kept), rule, choice.twin))
            if choice.kept:
                self.selected.kept += 1
            else:
                self.selected.drop(choice.rule)

    def _count_kind(self, prompt: Prompt, used: list[Graded], kept: set[int]) -> None:
        """Count complete samples as their kind wants, and mark which passages and quotations are in what is kept."""
        text = prompt.messages[-1].content
        document, start, characters = (prompt.meta.get(key) for key in ("document", "start", "characters"))
        begin = start if isinstance(start, int) else 0
        for item in used:
            if item.sample.status != "complete":
                continue
            sample = self._load(item.sample.row)
            chosen = item.sample.row in kept
            verdict = {True: "passed", False: "failed", None: "undecided"}[item.outcome.passed]
            self.kind.add({**prompt.meta, **sample.meta, "verdict": verdict}, accepted=item.outcome.passed is True, kept=chosen)
            evidence = sample.meta.get("evidence")
            if isinstance(evidence, str):
                spans = quoted_spans(evidence, text) if chosen else None
                quoted = None if spans is None else [(begin + span.start, begin + span.end) for span in spans]
                whole = characters if isinstance(characters, int) else begin + len(text)
                self.kind.passage(str(document or prompt.source_id), (begin, begin + len(text)), whole, quoted)

    def _record(self, prompt: Prompt, row: int, split: str, pass_rate: float | None) -> Record:
        ledger = self.door.ledger
        grades = ledger.query(
            "SELECT json_extract(d.content, '$.grader'), g.passed, g.score, g.reason FROM grades g "
            "JOIN dims d ON d.id = g.grader WHERE g.sample = ? ORDER BY 1",
            (row,),
        ).fetchall()
        models = ledger.query(
            "SELECT DISTINCT r.model FROM samples s JOIN requests q ON q.prompt = s.prompt AND q.sample_index = s.sample_index "
            "AND q.context = s.context JOIN replies r ON r.request = q.id WHERE s.id = ? AND q.step NOT GLOB ?",
            (row, f"{GRADING_PREFIX}*"),
        ).fetchall()
        identity = self.door.dispatchers["teacher"].teacher.identity
        sample = self._load(row)
        verdicts = [GradeLine(grader, None if p is None else bool(p), score, reason) for grader, p, score, reason in grades]
        asked = [] if self.plan.task.plugin.traits["keeps_all"] else models
        names = [self._models.get(model, identity.model) for (model,) in asked]
        return make_record(
            prompt,
            sample,
            standing=Standing(verdicts, pass_rate, split),
            generators=[identity.model_copy(update={"model": name}).label for name in names]
            or [UNKNOWN if self.plan.task.plugin.traits["keeps_all"] else identity.label],
            license_set=licenses(prompt, self._terms),
            run=self.plan.recipe.name,
        )


def finish(plan: Plan, door: Door, panel: Panel, folder: RunFolder | None) -> Finish:
    """Decide, write the export, and check that nothing was lost; without a folder, everything but the export.

    Raises:
        BrokenPromise: where the counts of a stage do not add up.
    """
    ledger, work = door.ledger, _Pass(plan, door, panel)
    formats = [(chosen.plugin, chosen.options) for chosen in plan.exporters] if folder else []
    with replacing_folder(folder.export, is_ours) if folder else nullcontext(Path()) as fresh:
        files = ExportFiles(fresh, formats)
        try:
            with ledger.bulk() as db:
                db.execute("DELETE FROM decisions")
                for row in prompt_rows(ledger, door.context):
                    work.prompt(row, db, files)
            rows = files.commit()
        except BaseException:
            files.discard()
            raise
    stages = list(_stages(work, door, rows))
    check_conservation(stages)
    return Finish(
        stages=stages,
        accepted=work.graded.kept,
        kept=work.selected.kept,
        exported=stages[-1].kept if formats else 0,
        train_rows=work.settler.selector.train_rows,
        rows=rows,
        statuses=dict(sorted(work.statuses.items())),
        trained_on=dict(sorted(work.trained_on.items())),
        kind=work.kind.figures(),
    )


def _stages(work: _Pass, door: Door, rows: dict[str, dict[str, int]]) -> Iterator[Stage]:
    """Yield the funnel; every input is counted by itself."""
    ledger = door.ledger
    counted = intake(ledger)
    yield Stage("source", counted.rows, counted.prompts, counted.rejected)
    yield work.asked.stage("ask", int(ledger.scalar("SELECT count(*) FROM plan")))
    made = int(ledger.scalar("SELECT count(*) FROM samples WHERE context=?", (door.context,)))
    unplanned = int(
        ledger.scalar("SELECT count(*) FROM samples WHERE context=? AND prompt NOT IN (SELECT prompt FROM plan)", (door.context,))
    )
    if unplanned:
        work.sampled.drop("not_planned", unplanned)
    yield work.sampled.stage("sample", made)
    yield work.graded.stage("grade", work.entered_grading)
    yield work.selected.stage("select", work.entered_selection)
    if rows:
        records = {chosen.plugin.name for chosen in work.plan.exporters if chosen.plugin.traits["unit"] == "record"}
        written = [sum(splits.values()) for name, splits in rows.items() if name in records]
        kept = int(ledger.scalar("SELECT count(*) FROM decisions WHERE kept=1"))
        yield Stage("export", kept, min(written, default=kept), {})
