"""Several graders, one outcome: which of them decides, and which must still be asked.

The rules form a tree whose leaves are graders. `decide` looks at what the leaves said so far and returns either the outcome
with the reason of the grader that decided, or the leaves that it needs next; so the same function follows a sample that is graded
now and one whose grades are on record, and a judge is only ever asked where its word can still change the outcome.

`None` (could not be graded) is neither a pass nor a failure: a rule's failure beats it, and so does any pass where one is enough.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

Rule = Literal["all", "any", "cascade", "rescue"]
RESCUED = "rescued: "
"""Before the reason of a judge that overruled a failure, so that such passes are counted apart."""


class Leaf(NamedTuple):
    """One grader, by its place in the recipe; one that is paid for is asked last."""

    place: int
    paid: bool = False


class Group(NamedTuple):
    """Several graders or groups under one rule.

    `all` passes what all pass, `any` what one passes; `cascade` takes the first that can decide; `rescue` asks the second
    where the first failed or could not decide, and lets it overrule.
    """

    rule: Rule
    of: tuple[Leaf | Group, ...]


class Outcome(NamedTuple):
    """What the graders say together, with the reason of the one that decided."""

    passed: bool | None
    reason: str
    grader: int | None = None
    """The deciding leaf's place; None where no grader looked, since the sample's status said enough."""


class Wanted(NamedTuple):
    """Leaves that must be asked before there is an outcome."""

    leaves: tuple[int, ...]
    paid: bool


def decide(node: Leaf | Group, said: Mapping[int, Outcome], *, every: bool = False) -> Outcome | Wanted:
    """Return the outcome of a tree, or the leaves that it needs next; free ones all at once, paid ones one at a time.

    Args:
        node: The tree.
        said: What leaves said so far.
        every: Whether paid ones are asked also where they can no longer change the outcome; `cascade` and `rescue` ask as ever,
            since who writes them says when.
    """
    if isinstance(node, Leaf):
        return said.get(node.place) or Wanted((node.place,), node.paid)
    if node.rule == "cascade":
        return _cascade(node, said, every=every)
    if node.rule == "rescue":
        return _rescue(node, said, every=every)
    return _together(node, said, every=every)


def _together(group: Group, said: Mapping[int, Outcome], *, every: bool) -> Outcome | Wanted:
    deciding = group.rule == "any"
    results = [decide(child, said, every=every) for child in group.of]
    wanted = [result for result in results if isinstance(result, Wanted)]
    outcomes = [result for result in results if isinstance(result, Outcome)]
    free = [leaf for one in wanted if not one.paid for leaf in one.leaves]
    if free:
        return Wanted(tuple(free), paid=False)
    if every and wanted:
        return wanted[0]
    for outcome in outcomes:
        if outcome.passed is deciding:
            return outcome
    if wanted:
        return wanted[0]
    return next((outcome for outcome in outcomes if outcome.passed is None), outcomes[0])


def _cascade(group: Group, said: Mapping[int, Outcome], *, every: bool) -> Outcome | Wanted:
    result: Outcome | Wanted | None = None
    for child in group.of:
        result = decide(child, said, every=every)
        if isinstance(result, Wanted) or result.passed is not None:
            return result
    assert result is not None
    return result


def _rescue(group: Group, said: Mapping[int, Outcome], *, every: bool) -> Outcome | Wanted:
    first, second = (decide(child, said, every=every) for child in group.of)
    if isinstance(first, Wanted) or first.passed:
        return first
    if isinstance(second, Wanted):
        return second
    if second.passed and first.passed is False:
        return second._replace(reason=f"{RESCUED}{second.reason}")
    return first if second.passed is None else second
