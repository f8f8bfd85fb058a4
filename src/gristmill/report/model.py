"""The report as one value: `report.json` is this, and `report.html` is drawn from this and nothing else.

So a number on the page is a number in the file. No time, path or address is in it: two runs of one recipe that made the same
samples have the same report, byte for byte.
"""

from __future__ import annotations

from typing import Literal

from gristmill.messages import Frozen

Unit = Literal["prompts", "samples", "rows"]


class Share(Frozen):
    """A share with its 95 % Wilson interval; `None` where nothing could be counted."""

    label: str
    passed: int
    n: int
    share: float | None
    low: float | None
    high: float | None


class Settings(Frozen):
    """What was asked for, without addresses and headers."""

    task: str
    template: str
    answer_format: str | None
    graders: tuple[str, ...]
    sandbox: str | None
    """In what walls code of models ran, and how much of it; None where none did."""
    sampling: str
    selection: str
    seed: int
    exports: tuple[str, ...]
    teachers: tuple[str, ...]
    """`role: provider/model@revision`."""


class Headline(Frozen):
    """The numbers that are looked at first."""

    rows_exported: int
    rows_target: int | None
    acceptance: Share
    """Over all samples that could be graded."""
    first_sample: Share
    """Over the first sample of each prompt: pass@1, which adaptive sampling does not skew."""
    prompts_asked: int
    prompts_solved: int
    """Prompts with at least one accepted sample."""
    samples: int
    calls: int
    input_tokens: int | None
    output_tokens: int | None
    output_tokens_per_row: float | None
    cost_usd: float | None
    """`None` where any call's price is unknown."""
    usd_per_accepted: float | None
    usd_per_row: float | None


class FunnelStage(Frozen):
    """One stage: what went in, what was kept, and every reason of the rest."""

    stage: str
    unit: Unit
    entered: int
    kept: int
    dropped: dict[str, int]


class Difficulty(Frozen):
    """Acceptance of first samples by how hard the prompt is said to be."""

    by: str
    """The field that says it; empty where no field does."""
    groups: tuple[Share, ...]
    samples: tuple[Share, ...]
    """The same groups over all samples, which ask hard prompts more often."""


class Bin(Frozen):
    """A range of lengths: `low` up to, not including, `high`; the last one has no upper end."""

    low: int
    high: int | None
    accepted: int
    rejected: int


class Lengths(Frozen):
    """How long accepted and rejected samples are."""

    unit: Literal["output tokens", "characters"]
    bins: tuple[Bin, ...]
    accepted_median: float | None
    rejected_median: float | None
    accepted: int
    rejected: int
    unknown: int
    """Samples whose length is not known."""


class Origin(Frozen):
    """A kind of prompt: where it is from, who wrote it, under which license."""

    source: str
    origin: str
    license: str | None
    prompts: int
    """Planned prompts."""
    asked: int
    rows: int
    """Exported rows."""
    characters: int
    """Characters of prompt text in the exported rows."""


class Composition(Frozen):
    """Who wrote what is exported."""

    origins: tuple[Origin, ...]
    answer_characters: int
    """Characters of answers in the exported rows."""
    human_prompt_share: float | None
    """Share of the exported rows whose prompt people wrote."""
    human_trained_share: float | None
    """Share of the text that loss applies to that people wrote: 0 where every answer is a model's."""


class CostParts(Frozen):
    """What dollars were for. All parts together are the cost of the calls whose cost is known."""

    input: float
    cached: float
    """Input read from a provider's cache, and put there."""
    output: float
    """Output but its reasoning."""
    reasoning: float
    whole: float
    """Of calls whose cost does not follow from tokens: a machine's time, or a provider's own word."""


class Spend(Frozen):
    """What became of calls, tokens and dollars; all fates and roles together are the table of calls."""

    role: str
    """Who was asked: `teacher`, or a judge's or simulator's role."""
    fate: str
    """The rule that decided about its sample, `kept` among them; `no_sample` where no sample stands on the call."""
    calls: int
    """Those that were sent: neither those that a stop came before, nor the replies of another run that were taken over."""
    input_tokens: int | None
    output_tokens: int | None
    cost_usd: float | None
    parts: CostParts
    estimated: int
    """Calls whose tokens are an estimate, because the provider counted none."""
    retries: int
    """Attempts beyond the first of each call."""
    possibly_billed: int
    """Attempts that brought nothing and may have been billed."""
    reserved_usd: float | None
    """The most that those may have cost; it is in no other sum. `None` where no budget set anything aside."""


class ShownGrade(Frozen):
    """What one grader said."""

    grader: str
    passed: bool | None
    reason: str
    extracted: str | None


class ShownSample(Frozen):
    """One sample, as the page shows it."""

    index: int
    status: str
    accepted: bool | None
    rule: str | None
    text: str
    characters: int
    """Length of the whole text; what is shown may be cut."""
    output_tokens: int | None
    grades: tuple[ShownGrade, ...]


class Shown(Frozen):
    """One prompt with its samples side by side."""

    kind: Literal["some_accepted", "none_accepted", "all_accepted"]
    prompt_id: str
    source_id: str
    prompt: str
    reference: str | None
    samples: tuple[ShownSample, ...]
    more: int
    """Samples that are not shown."""


class Estimate(Frozen):
    """What the pilot said, beside what became of it."""

    prompts: int
    """Prompts of the pilot."""
    acceptance: Share
    usd: float | None
    usd_low: float | None
    usd_high: float | None
    bill_usd: float | None


class Counted(Frozen):
    """How much was made and kept of what a kind deals out: types, styles, attributes."""

    key: str
    groups: tuple[Share, ...]
    """Acceptance by value."""
    kept: tuple[int, ...]
    """Rows kept of each value, in the same order."""


class CoveredDocument(Frozen):
    """One document and how much of it is in what was kept."""

    document: str
    kept: int
    passages: int
    characters: int
    covered: float
    """Share of its characters in passages that a kept row is about."""
    quoted: float
    """Share of its characters that stand as evidence beside a kept row."""


class Coverage(Frozen):
    """How much of the documents is in what was kept."""

    documents: int
    used: int
    covered: float
    quoted: float
    table: tuple[CoveredDocument, ...]


class Turns(Frozen):
    """So many kept conversations have so many turns of the user."""

    turns: int
    kept: int


class Kind(Frozen):
    """What the kind of data wants to know of itself."""

    counted: tuple[Counted, ...]
    documents: Coverage | None
    turns: tuple[Turns, ...]
    mean_turns: float | None
    distinct: Share | None
    """Accepted samples that were no near duplicates, where those are looked for."""
    repaired: int
    """Samples for which a reply had to be asked for again."""


class Report(Frozen):
    """Everything that the page shows."""

    gristmill: str
    name: str
    recipe_id: str
    status: str
    error: str | None
    settings: Settings
    headline: Headline
    funnel: tuple[FunnelStage, ...]
    models: tuple[Share, ...]
    difficulty: Difficulty
    by_index: tuple[Share, ...]
    kind: Kind | None
    lengths: Lengths
    composition: Composition
    spend: tuple[Spend, ...]
    prices: str
    """The version of the price file; the recipe's own prices go before it."""
    estimate: Estimate | None
    shown: tuple[Shown, ...]
