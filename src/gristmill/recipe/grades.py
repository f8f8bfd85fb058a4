"""How a recipe says which graders look at a sample, and how their verdicts combine.

A list is graders that must all pass. `{any: [...]}` wants one, `{cascade: [...]}` takes the first that can decide. A grader may
say `by: NAME` (the teacher that it asks), `calibration: FILE` (what is known of that judge) and `when: unverifiable` (ask it only
where those before it could not decide) or `when: failed` (also where they failed, and let it overrule). Every short form becomes
one long form, so the resolved recipe shows what will happen.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, JsonValue, model_validator

from gristmill.messages import Frozen
from gristmill.plain import as_items, as_list, as_object

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Self

GroupRule = Literal["all", "any", "cascade"]
RULES: tuple[GroupRule, ...] = ("all", "any", "cascade")
When = Literal["always", "unverifiable", "failed"]


class GraderChoice(Frozen):
    """A grader with its options, whom it asks and when it is asked itself; or a rule with the graders under it."""

    name: str
    """A grader, or `all`, `any` or `cascade`."""
    options: dict[str, JsonValue] = Field(default_factory=dict)
    short: JsonValue = None
    """The value of the grader's main option, where only that was given: `{regex: "^A"}`."""
    by: str | None = None
    """The teacher that a judge asks."""
    calibration: str | None = None
    """A file that `gristmill audit` wrote for this very judge, relative to the recipe; without one it is `uncalibrated`."""
    when: When = "always"
    of: GraderChoices = ()
    """The graders under a rule."""

    @property
    def rule(self) -> GroupRule | None:
        """Return the rule that this is, or None for a grader."""
        return next((rule for rule in RULES if rule == self.name), None)

    @model_validator(mode="after")
    def _rule_has_graders(self) -> Self:
        if self.name in RULES:
            if not self.of:
                raise ValueError(f"`{self.name}` takes a list of graders: `{{{self.name}: [math, exact]}}`")
        elif self.of:
            raise ValueError(f"only {', '.join(f'`{rule}`' for rule in RULES)} have graders under them, `{self.name}` has none")
        return self


def _item(value: Any) -> Any:
    """Turn every short form into the long one."""
    if isinstance(value, str):
        return {"name": value}
    given = as_object(value)
    if given is None:
        if isinstance(value, GraderChoice):
            return value
        raise ValueError("write a grader's name, or one name with its options: `{name: {key: value}}`")
    if "name" in given:
        return given
    beside = {key: given[key] for key in ("by", "when", "calibration") if key in given}
    names = [key for key in given if key not in beside]
    if len(names) != 1:
        found = ", ".join(f"`{name}`" for name in names) or "none"
        raise ValueError(f"write one grader with its options, beside `by`, `when` and `calibration`; found {found}")
    (name,) = names
    options = given[name]
    if name in RULES:
        if beside or as_list(options) is None:
            raise ValueError(f"`{name}` takes a list of graders: `{{{name}: [math, exact]}}`")
        return {"name": name, "of": options}
    if options is None or as_object(options) is not None:
        return {"name": name, "options": options or {}, **beside}
    return {"name": name, "short": options, **beside}


def _begun(items: tuple[GraderChoice, ...]) -> tuple[GraderChoice, ...]:
    """Refuse a list whose first grader waits for those before it."""
    if items and items[0].when != "always":
        name, when = items[0].name, items[0].when
        raise ValueError(f"`{name}` comes first, so with `when: {when}` it waits for nothing: put it after a grader")
    return items


GraderChoices = Annotated[
    tuple[Annotated[GraderChoice, BeforeValidator(_item)], ...], BeforeValidator(as_items), AfterValidator(_begun)
]
GraderChoice.model_rebuild()


def graders_in(items: Sequence[GraderChoice]) -> list[GraderChoice]:
    """Return every grader of a tree, without the rules, in the order of the text."""
    return [found for item in items for found in (graders_in(item.of) if item.of else [item])]
