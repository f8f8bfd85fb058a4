"""The report's numbers, summed up from the stored tables.

Every section is one or two questions to the tables, so whoever doubts a number can ask the same question. Acceptance by
difficulty and by index is counted where samples are independent: adaptive sampling asks hard prompts more often, so all samples
together would make every group look harder than it is.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from gristmill.report.model import (
    Bin,
    Composition,
    CostParts,
    Difficulty,
    FunnelStage,
    Headline,
    Lengths,
    Origin,
    Share,
    Spend,
    Unit,
)
from gristmill.selection.rules import graded_sql, passed_sql
from gristmill.stats.intervals import wilson

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from gristmill.files.querying import Ask

DIFFICULTY_FIELDS = ("steps", "difficulty", "level")
"""Fields of a prompt's `meta` that say how hard it is, first one first."""
MOST_GROUPS = 12
MOST_INDEXES = 16
MOST_BINS = 16
_UNITS: Mapping[str, Unit] = {"source": "prompts", "ask": "prompts", "export": "rows"}

# a sample is accepted, rejected, or neither: it could not be graded, or the sampling rule did not ask for it
_GRADED = f"""
CREATE OR REPLACE TEMP VIEW graded AS SELECT s.*, p.position, p.meta, p.characters AS prompt_characters,
CASE WHEN {graded_sql("s.rule")} THEN {passed_sql("s.rule")} END AS accepted
FROM samples s JOIN prompts p USING (prompt_id)
"""  # noqa: S608 - our own words


def prepare(ask: Ask) -> None:
    """Define what the questions below share."""
    ask(_GRADED)


def share(label: str, passed: int, n: int) -> Share:
    """Return a share with its interval."""
    interval = wilson(passed, n)
    low, high = interval or (None, None)
    return Share(label=label, passed=passed, n=n, share=passed / n if n else None, low=low, high=high)


def _shares(rows: Iterable[tuple[Any, ...]]) -> tuple[Share, ...]:
    return tuple(share(str(label), int(passed or 0), n) for label, passed, n in rows)


def headline(ask: Ask, rows_exported: int, rows_target: int | None, spend: Sequence[Spend]) -> Headline:
    """Return the numbers that are looked at first."""
    ((samples, passed, n, asked, solved, first_passed, first_n),) = ask(
        "SELECT count(*), count(*) FILTER (accepted), count(accepted), count(DISTINCT prompt_id), "
        "count(DISTINCT prompt_id) FILTER (accepted), count(*) FILTER (accepted AND sample_index = 0), "
        "count(accepted) FILTER (sample_index = 0) FROM graded"
    )
    cost, tokens_out = total(part.cost_usd for part in spend), total(part.output_tokens for part in spend)
    return Headline(
        rows_exported=rows_exported,
        rows_target=rows_target,
        acceptance=share("all samples", passed, n),
        first_sample=share("first samples", first_passed, first_n),
        prompts_asked=asked,
        prompts_solved=solved,
        samples=samples,
        calls=sum(part.calls for part in spend),
        input_tokens=total(part.input_tokens for part in spend),
        output_tokens=tokens_out,
        output_tokens_per_row=tokens_out / rows_exported if tokens_out is not None and rows_exported else None,
        cost_usd=cost,
        usd_per_accepted=cost / passed if cost is not None and passed else None,
        usd_per_row=cost / rows_exported if cost is not None and rows_exported else None,
    )


def total(parts: Iterable[Any]) -> Any:
    """Return a sum, or None where a part is not known."""
    so_far: Any = 0
    for part in parts:
        if part is None:
            return None
        so_far += part
    return so_far


def funnel(ask: Ask) -> tuple[FunnelStage, ...]:
    """Return the stages in their order."""
    stages: dict[str, FunnelStage] = {}
    for stage, fate, reason, count in ask("SELECT stage, fate, reason, count FROM funnel"):
        so_far = stages.get(stage) or FunnelStage(
            stage=stage, unit=_UNITS.get(stage, "samples"), entered=0, kept=0, dropped={}
        )  # fmt: skip
        change: dict[str, Any] = {"in": {"entered": count}, "kept": {"kept": count}}.get(
            fate, {"dropped": {**so_far.dropped, str(reason): count}}
        )
        stages[stage] = so_far.model_copy(update=change)
    return tuple(stages.values())


def models(ask: Ask) -> tuple[Share, ...]:
    """Return the acceptance of every model that answered."""
    return _shares(
        ask(
            "SELECT model, count(*) FILTER (accepted), count(accepted) FROM (SELECT DISTINCT g.sample_id, g.accepted, "
            "coalesce(c.response_model, c.model) AS model FROM graded g JOIN edges e ON e.child = g.sample_id "
            "AND e.role = 'request' JOIN calls c ON c.request_id = e.parent) GROUP BY model ORDER BY model"
        )
    )


def difficulty(ask: Ask) -> Difficulty:
    """Return acceptance by the field that says how hard a prompt is, or else by the length of the prompt."""
    for field in DIFFICULTY_FIELDS:
        path = f"$.{field}"
        ((found, values),) = ask(
            "SELECT count(*) FILTER (value IS NOT NULL), count(DISTINCT value) FROM "
            "(SELECT json_extract_string(meta, ?) AS value FROM graded WHERE sample_index = 0)",
            (path,),
        )
        if found and values <= MOST_GROUPS:
            label = "coalesce(json_extract_string(meta, ?), 'not said')"
            return Difficulty(by=field, groups=_groups(ask, label, path, "true"), samples=_groups(ask, label, path))
    cuts = ask("SELECT quantile_disc(prompt_characters, [0.25, 0.5, 0.75, 1.0]) FROM graded WHERE sample_index = 0")
    ends = sorted({int(end) for end in cuts[0][0] or ()})
    label = "(SELECT min(e) FROM (SELECT unnest(?::BIGINT[]) AS e) WHERE e >= prompt_characters)"
    return Difficulty(by="", groups=_groups(ask, label, ends, "true"), samples=_groups(ask, label, ends))


def _groups(ask: Ask, label: str, value: Any, first: str = "false") -> tuple[Share, ...]:
    """Return shares by a label in SQL, numbers in the order of numbers."""
    return _shares(
        ask(
            f"SELECT label, count(*) FILTER (accepted), count(accepted) FROM (SELECT {label} AS label, accepted "  # noqa: S608
            f"FROM graded WHERE sample_index = 0 OR NOT {first}) GROUP BY label ORDER BY try_cast(label AS DOUBLE), label",
            (value,),
        )
    )


def by_index(ask: Ask) -> tuple[Share, ...]:
    """Return the acceptance of the first sample of each prompt, the second, and so on; late ones together."""
    rows = ask(
        "SELECT least(sample_index, ?) AS i, count(*) FILTER (accepted), count(accepted) FROM graded GROUP BY i ORDER BY i",
        (MOST_INDEXES - 1,),
    )
    labels = [str(i) if i < MOST_INDEXES - 1 else f"{i} and later" for i, _, _ in rows]
    return tuple(share(label, passed, n) for label, (_, passed, n) in zip(labels, rows, strict=True))


def lengths(ask: Ask) -> Lengths:
    """Return how long accepted and rejected samples are, over the same bins: in tokens where all are known, else characters."""
    ((unknown_tokens,),) = ask("SELECT count(*) FROM graded WHERE accepted IS NOT NULL AND output_tokens IS NULL")
    column = "answer_characters" if unknown_tokens else "output_tokens"
    ((accepted, rejected, unknown, good, bad, far, longest),) = ask(
        f"SELECT count({column}) FILTER (accepted), count({column}) FILTER (NOT accepted), "  # noqa: S608
        f"count(*) FILTER ({column} IS NULL), median({column}) FILTER (accepted), median({column}) FILTER (NOT accepted), "
        f"quantile_disc({column}, 0.99), max({column}) FROM graded WHERE accepted IS NOT NULL"
    )
    width = _nice_width((far or 0) + 1)
    rows = ask(
        f"SELECT least({column} // ?, ?) AS bin, count(*) FILTER (accepted), count(*) FILTER (NOT accepted) "  # noqa: S608
        f"FROM graded WHERE accepted IS NOT NULL AND {column} IS NOT NULL GROUP BY bin ORDER BY bin",
        (width, MOST_BINS - 1),
    )
    counts = {int(number): (yes, no) for number, yes, no in rows}
    last = max(counts, default=-1)
    return Lengths(
        unit="characters" if unknown_tokens else "output tokens",
        bins=tuple(
            Bin(
                low=number * width,
                high=None if number == last and (longest or 0) >= (last + 1) * width else (number + 1) * width,
                accepted=counts.get(number, (0, 0))[0],
                rejected=counts.get(number, (0, 0))[1],
            )
            for number in range(last + 1)
        ),
        accepted_median=good,
        rejected_median=bad,
        accepted=accepted,
        rejected=rejected,
        unknown=unknown,
    )


def _nice_width(span: int) -> int:
    """Return the smallest of 1, 2, 5, 10, 20, 50, … that covers `span` in fewer than `MOST_BINS` steps."""
    least = max(1.0, span / (MOST_BINS - 1))
    power = 10 ** math.floor(math.log10(least))
    return next(step * power for step in (1, 2, 5, 10) if step * power >= least)


def composition(ask: Ask, trained_on: Mapping[str, int]) -> Composition:
    """Return who wrote the prompts and the answers of the kept rows; the answers' characters are given by who wrote them."""
    origins = tuple(
        Origin(source=source, origin=origin, license=terms, prompts=prompts, asked=asked, rows=rows, characters=characters)
        for source, origin, terms, prompts, asked, rows, characters in ask(
            "SELECT source, origin, license, count(*), count(k.samples), coalesce(sum(k.kept), 0)::BIGINT, "
            "coalesce(sum(k.kept * p.characters), 0)::BIGINT FROM prompts p LEFT JOIN (SELECT prompt_id, count(*) AS samples, "
            "count(*) FILTER (kept) AS kept FROM samples GROUP BY prompt_id) k USING (prompt_id) "
            "GROUP BY source, origin, license ORDER BY 6 DESC, source, origin, license"
        )
    )
    rows = sum(part.rows for part in origins)
    ((answers,),) = ask("SELECT coalesce(sum(answer_characters), 0)::BIGINT FROM samples WHERE kept")
    human = sum(part.rows for part in origins if part.origin == "human")
    return Composition(
        origins=origins,
        answer_characters=answers,
        human_prompt_share=human / rows if rows else None,
        human_trained_share=trained_on.get("human", 0) / max(sum(trained_on.values()), 1) if rows else None,
    )


def spend(ask: Ask) -> tuple[Spend, ...]:
    """Return what became of every call, by who was asked and by the rule that decided about the sample."""
    return tuple(_spend(dict(zip(_SPEND_COLUMNS, row, strict=True))) for row in ask(_SPEND))


_SPEND_COLUMNS = (
    "role", "fate", "calls", "input_tokens", "output_tokens", "cost_usd", "retries", "possibly_billed", "reserved_usd",
    "estimated", "input", "cached", "output", "reasoning", "whole",
)  # fmt: skip
_SPEND = """
SELECT c.role, coalesce(s.rule, 'no_sample') AS fate, count(*) FILTER (c.attempts > 0) AS calls,
  CASE WHEN count(*) FILTER (c.finish IS NOT NULL AND c.input_tokens IS NULL) = 0
    THEN coalesce(sum(c.input_tokens), 0)::BIGINT END,
  CASE WHEN count(*) FILTER (c.finish IS NOT NULL AND c.output_tokens IS NULL) = 0
    THEN coalesce(sum(c.output_tokens), 0)::BIGINT END,
  CASE WHEN count(*) FILTER (c.finish IS NOT NULL AND c.cost_usd IS NULL) = 0 THEN coalesce(sum(c.cost_usd), 0.0) END,
  sum(greatest(c.attempts - 1, 0))::BIGINT, coalesce(sum(c.possibly_billed), 0)::BIGINT,
  CASE WHEN count(*) FILTER (c.possibly_billed > 0 AND c.reserved_usd IS NULL) = 0 THEN coalesce(sum(c.reserved_usd), 0.0) END,
  count(*) FILTER (c.estimated), coalesce(sum(c.cost_input_usd), 0.0), coalesce(sum(c.cost_cached_usd), 0.0),
  coalesce(sum(c.cost_output_usd), 0.0), coalesce(sum(c.cost_reasoning_usd), 0.0),
  coalesce(sum(c.cost_usd) FILTER (c.cost_input_usd IS NULL), 0.0)
FROM calls c LEFT JOIN edges e ON e.parent = c.request_id AND e.role IN ('request', 'judge')
LEFT JOIN samples s ON s.sample_id = e.child
WHERE c.attempts > 0 OR c.finish IS NOT NULL
GROUP BY c.role, fate ORDER BY c.role <> 'teacher', c.role, fate <> 'kept', calls DESC, fate
"""


def _spend(row: dict[str, Any]) -> Spend:
    parts = CostParts(**{name: row.pop(name) for name in CostParts.model_fields})
    return Spend(**row, parts=parts)
