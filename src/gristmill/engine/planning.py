"""A recipe resolved: every name looked up, every option checked, nothing opened that costs or writes.

`plan` is what `check` prints and what `run` starts from. A mistake in a plug-in's options has its line and column like any
other. The *context* is everything that a finished sample depends on besides its prompt: with an equal context it stands.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from gristmill import exporting, grading, tasks
from gristmill.engine.judges import CalibrationFile, read_calibration
from gristmill.engine.own import is_own, own_digests, own_rows, put_own
from gristmill.errors import InputError, RecipeError, SourceError
from gristmill.exporting.registry import EXPORTERS
from gristmill.files.reading import data_files
from gristmill.grading.answers.extraction import check_format
from gristmill.grading.combine import Group, Leaf
from gristmill.grading.registry import GRADERS
from gristmill.ids import content_id
from gristmill.recipe.grades import graders_in
from gristmill.recipe.load import check_options
from gristmill.recipe.model import Choice
from gristmill.recipe.templates import ANSWER_FORMATS, ASKING, PLAIN, Template, shipped_template, task_template, unversioned
from gristmill.records import Sampling
from gristmill.sending.spending import check_budget
from gristmill.sources.documents import DocumentSource
from gristmill.sources.problems import WordProblemSource
from gristmill.sources.rows import RowSource
from gristmill.sources.spreading import SpreadSource
from gristmill.tasks.registry import TASKS
from gristmill.teachers.addresses import Endpoint, endpoint
from gristmill.teachers.formats.parameters import refused

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from gristmill.engine.own import Trust
    from gristmill.grading.combine import Outcome, Rule
    from gristmill.messages import Frozen
    from gristmill.ports import PromptSource
    from gristmill.recipe.document import Path as Place
    from gristmill.recipe.grades import GraderChoice
    from gristmill.recipe.load import Loaded
    from gristmill.recipe.model import Recipe, SourceSpec, TeacherSpec
    from gristmill.registry import Plugin, Shelf

_ROOMS = (exporting, grading, tasks)
"""Importing a room registers its plug-ins."""


class Chosen(NamedTuple):
    """A plug-in and its checked options."""

    plugin: Plugin[Any]
    options: Frozen
    by: str | None = None
    """The teacher that a grader asks."""
    calibration: CalibrationFile | None = None
    """What is known of a judge from people's labels."""


ALL_PROMPTS = 1 << 62
"""A window that holds no prompt back: those that wait for a batch cost no memory."""


class Plan(NamedTuple):
    """Everything that a run needs to know, resolved."""

    recipe: Recipe
    base: Path
    """The folder that relative paths are relative to."""
    sources: tuple[PromptSource, ...]
    task: Chosen
    graders: tuple[Chosen, ...]
    """Every grader once for each place in the recipe."""
    grading: Group
    """How their verdicts combine."""
    exporters: tuple[Chosen, ...]
    template: Template
    templates: Mapping[str, Template]
    """What the task fills, by name without the version."""
    endpoints: dict[str, Endpoint]
    own: Mapping[str, str]
    """The hash of the file behind each kind, grader and source of the user's, by its name in the recipe."""

    @property
    def identity(self) -> dict[str, Any]:
        """Return what finished samples depend on, teachers aside."""
        recipe = self.recipe
        return {
            "task": self.task.plugin.identity,
            "options": self.task.options.model_dump(mode="json"),
            "template": self.template.digest,
            **({"templates": {name: own.digest for name, own in self.templates.items()}} if self.templates else {}),
            "system": recipe.prompt.system,
            "sampling": recipe.sampling.model_dump(include=set(Sampling.model_fields)),
            "seed": recipe.seed,
        }

    @property
    def many_calls(self) -> bool:
        """Whether a sample may be more than one call of the task."""
        return bool(self.templates) or is_own(self.recipe.task.name)

    def keeps(self, outcome: Outcome) -> bool:
        """Whether a sample goes on to selection: it passed its graders, or they looked at it and the task keeps all."""
        return outcome.passed is True or (outcome.grader is not None and self.task.plugin.traits["keeps_all"])

    @property
    def recipe_id(self) -> str:
        """Return the hash of the resolved recipe."""
        return content_id("recipe", self.recipe.model_dump(mode="json"))

    @property
    def window(self) -> int:
        """Return how many prompts may run ahead of the first unsettled one."""
        spec = _main(self.recipe)
        return self.recipe.window or (ALL_PROMPTS if spec.batch else 4 * spec.in_flight)


def make_plan(loaded: Loaded, base: Path, trust: Trust = "no") -> Plan:
    """Resolve a recipe; `base` is the folder that its paths are relative to, `trust` whether Python files that it names are run.

    Raises:
        RecipeError: with the place of the first mistake.
        SourceError: where a data file is not there.
    """
    recipe = loaded.recipe
    _put_own(loaded, base, trust)
    task = _choose(TASKS, recipe.task, loaded, ("task",), {"thinking": _main(recipe).thinking})
    recipe = _located(loaded, ("sampling",), lambda: _as_task_wants(recipe, task))
    template, answer_format = _located(loaded, ("prompt",), lambda: _template(recipe, base, task.plugin))
    graders = _Graders(loaded, base, {"answer_format": answer_format})
    grading = graders.group("all", recipe.grade, ("grade",))
    endpoints: dict[str, Endpoint] = {}
    for name, spec in recipe.all_teachers().items():
        place: Place = ("teacher",) if recipe.teacher is not None and name == "teacher" else ("teachers", name)
        endpoints[name] = _located(loaded, place, lambda spec=spec: endpoint(spec))
        if endpoints[name].kind == "recorded":
            _located(loaded, place, lambda name=name: data_files(base / endpoints[name].target))
        _located(loaded, ("sampling",), lambda name=name, spec=spec: _check_parameters(recipe, endpoints[name], spec))
    _located(loaded, ("budget",), lambda: check_budget(recipe, endpoints))
    return Plan(
        recipe=recipe,
        base=base,
        sources=tuple(
            _spread(_located(loaded, ("prompts", number), lambda spec=spec: _source(spec, base, trust)), task, recipe.seed)
            for number, spec in enumerate(recipe.prompts)
        ),
        task=task,
        graders=tuple(graders.chosen),
        grading=grading,
        exporters=_exporters(loaded, task),
        template=template,
        templates=_located(loaded, ("prompt", "templates"), lambda: _task_templates(recipe, base, task.plugin)),
        endpoints=endpoints,
        own=own_digests(recipe, base, trust),
    )


def _put_own(loaded: Loaded, base: Path, trust: Trust) -> None:
    """Put the user's own kinds and graders on their shelves."""
    recipe = loaded.recipe
    _located(loaded, ("task",), lambda: put_own(TASKS, recipe.task.name, base, trust))
    for choice in graders_in(recipe.grade):
        _located(loaded, ("grade",), lambda name=choice.name: put_own(GRADERS, name, base, trust))


def _main(recipe: Recipe) -> TeacherSpec:
    """Return the teacher that the task asks unless it says otherwise."""
    return recipe.all_teachers()[recipe.teacher_for("teacher")]


def _check_parameters(recipe: Recipe, place: Endpoint, spec: TeacherSpec) -> None:
    """Find parameters that a teacher's route would refuse, before a call is paid for.

    Raises:
        InputError: for the first of them, with what to write instead.
    """
    if spec != _main(recipe):
        return  # a task's other roles may have parameters of their own
    sampling = recipe.sampling.model_dump(include=set(Sampling.model_fields))
    for rule in refused(place.kind, place.api, place.model, sampling, spec.extra_body):
        fix = f"{rule.fix[0].upper()}{rule.fix[1:]}."
        raise InputError(f"`{rule.name}` cannot be sent to `{spec.address}`: {rule.reason}", fix=fix)


def _located(loaded: Loaded, place: Place, make: Callable[[], Any]) -> Any:
    """Run `make`; a user's mistake in it gets the place in the recipe."""
    try:
        return make()
    except RecipeError:
        raise
    except InputError as error:
        raise type(error)(f"{loaded.document.where(place)}: {error}", fix=error.fix) from None


def _choose(shelf: Shelf[Any], choice: Choice, loaded: Loaded, place: Place, inherited: dict[str, Any]) -> Chosen:
    """Return the plug-in that a recipe names, with its options; `inherited` ones fill those that it has and were not given."""
    plugin = _located(loaded, place, lambda: shelf.get(choice.name))
    options = {key: value for key, value in inherited.items() if value is not None and key in plugin.options.model_fields}
    given = {**options, **choice.options}
    return Chosen(plugin, check_options(plugin.options, given, loaded, (*place, choice.name)))


def _exporters(loaded: Loaded, task: Chosen) -> tuple[Chosen, ...]:
    """Return the exporters; each has a folder of its name to itself."""
    found: list[Chosen] = []
    for number, choice in enumerate(loaded.recipe.export):
        chosen = _exporter(choice, loaded, ("export", number), task)
        if any(chosen.plugin.name == other.plugin.name for other in found):
            raise loaded.error(
                ("export", number),
                f"the export format `{choice.name}` is written twice",
                fix="Keep one of them: a format is one folder, with one set of options.",
            )
        found.append(chosen)
    return tuple(found)


def _exporter(choice: Choice, loaded: Loaded, place: Place, task: Chosen) -> Chosen:
    """Return an exporter; one that writes prompts has none to write where the task makes them."""
    chosen = _choose(EXPORTERS, choice, loaded, place, {})
    if chosen.plugin.traits["unit"] == "prompt" and task.plugin.traits["templates"]:
        where = loaded.document.where(place)
        raise InputError(
            f"{where}: `{choice.name}` writes prompts with their references, and `{task.plugin.name}` has none to write",
            fix="Export `messages` or `parquet`.",
        )
    return chosen


class _Graders:
    """Reads the graders of a recipe: each into a plug-in with options, all into a tree of rules."""

    def __init__(self, loaded: Loaded, base: Path, inherited: dict[str, Any]) -> None:
        self.chosen: list[Chosen] = []
        self._loaded = loaded
        self._base = base
        self._inherited = inherited

    def group(self, rule: Rule, items: Sequence[GraderChoice], place: Place) -> Group:
        """Return the tree of a list of graders; one that waits for those before it makes a group with them."""
        nodes: list[Leaf | Group] = []
        for number, item in enumerate(items):
            here: Place = (*place, number)
            node = self.group(item.rule, item.of, (*here, item.name)) if item.rule else self._leaf(item, here)
            if item.when == "always":
                nodes.append(node)
            else:
                before = Group(rule, tuple(nodes))
                nodes = [Group("cascade" if item.when == "unverifiable" else "rescue", (before, node))]
        return Group(rule, tuple(nodes))

    def _leaf(self, item: GraderChoice, place: Place) -> Leaf:
        plugin = _located(self._loaded, place, lambda: GRADERS.get(item.name))
        options = _located(self._loaded, place, lambda: _spelled_out(item, plugin))
        judge = plugin.traits["type"] == "judge"
        _located(self._loaded, place, lambda: _check_judge(item, self._loaded.recipe, judge=judge))
        chosen = _choose(GRADERS, Choice(name=item.name, options=options), self._loaded, place, self._inherited)
        known = _located(self._loaded, (*place, "calibration"), lambda: read_calibration(self._base, item.calibration))
        self.chosen.append(chosen._replace(by=(item.by or "judge") if judge else None, calibration=known))
        return Leaf(len(self.chosen) - 1, paid=judge)


def _spelled_out(item: GraderChoice, plugin: Plugin[Any]) -> dict[str, Any]:
    """Return a grader's options, the short form under the name that it stands for."""
    if item.short is None:
        return dict(item.options)
    if plugin.traits["short"] is None:
        raise InputError(
            f"the options of `{item.name}` must be `key: value` pairs, got {item.short!r}",
            fix=f"`gristmill describe {item.name}` lists them.",
        )
    return {plugin.traits["short"]: item.short}


def _check_judge(item: GraderChoice, recipe: Recipe, *, judge: bool) -> None:
    """Refuse a judge that asks nobody, and a rule that asks somebody."""
    if judge and item.by is None and "judge" not in recipe.all_teachers():
        raise InputError(
            f"`{item.name}` does not say who judges",
            fix="Name the model under `teachers` and write `by: NAME` beside the grader; or call that teacher `judge`.",
        )
    if not judge and (item.by or item.calibration):
        raise InputError(f"`{item.name}` asks no model", fix="Leave `by` and `calibration` away.")


def _template(recipe: Recipe, base: Path, task: Plugin[Any]) -> tuple[Template, str | None]:
    spec = recipe.prompt
    own = task.traits["templates"]
    if own and spec.template not in (None, PLAIN):
        raise InputError(
            f"`template` is not used: `{task.name}` asks with templates of its own",
            fix=f"Write `templates: {{{unversioned(own[0])}: {spec.template}}}`.",
        )
    if own and spec.system is not None:
        raise InputError(
            f"`system` is not used: `{task.name}` asks with templates of its own", fix="Write it into a template of yours."
        )
    name = spec.template or (PLAIN if own else ASKING.get(spec.answer_format, PLAIN))
    template = _file_template(name, base) if name.endswith(".jinja") else shipped_template(name)
    answer_format = spec.answer_format or (None if name == PLAIN else ANSWER_FORMATS.get(name))
    if answer_format is not None:
        check_format(answer_format)
    return template, answer_format


def _file_template(name: str, base: Path) -> Template:
    path = base / name
    if not path.is_file():
        raise InputError(f"there is no template file {path}", fix="Check the path; it is relative to the recipe.")
    return Template(name, path.read_text(encoding="utf-8"))


def _task_templates(recipe: Recipe, base: Path, task: Plugin[Any]) -> dict[str, Template]:
    """Return what the task fills: what ships, or the user's own in its place."""
    shipped = {unversioned(name): name for name in task.traits["templates"]}
    for name in recipe.prompt.templates:
        if name not in shipped:
            has = f"It has: {', '.join(shipped)}." if shipped else "It has none; write `template: FILE.jinja` instead."
            raise InputError(f"`{task.name}` has no template `{name}`", fix=has)
    own = {name: _file_template(path, base) for name, path in recipe.prompt.templates.items()}
    return {name: own.get(name) or task_template(full) for name, full in shipped.items()}


def _as_task_wants(recipe: Recipe, task: Chosen) -> Recipe:
    """Return a recipe whose rows carry what the task needs, with one sample a prompt where the task keeps all."""
    fields = tuple(str(getattr(task.options, option)) for option in task.plugin.traits["carries"])
    if fields:
        prompts = tuple(spec.model_copy(update={"meta": (*dict.fromkeys((*spec.meta, *fields)),)}) for spec in recipe.prompts)
        recipe = recipe.model_copy(update={"prompts": prompts})
    if not task.plugin.traits["keeps_all"]:
        return recipe
    if recipe.sampling.want not in (None, 1) or recipe.sampling.n not in (None, 1):
        raise InputError(f"`{task.plugin.name}` makes one sample of each row", fix="Leave `want` and `n` away.")
    return recipe.model_copy(update={"sampling": recipe.sampling.model_copy(update={"want": None, "n": 1})})


def _spread(source: PromptSource, task: Chosen, seed: int) -> PromptSource:
    spread = task.plugin.traits["spread"]
    return source if spread is None else SpreadSource(source, spread, task.options, seed)


def _source(spec: SourceSpec, base: Path, trust: Trust) -> PromptSource:
    if spec.word_problems is not None:
        return WordProblemSource(spec.word_problems)
    if spec.source is not None:
        return RowSource(spec, base, own_rows(spec.source, base, trust))
    path = base / Path(spec.path or spec.documents or "").expanduser()
    if spec.documents is not None:
        if not path.exists():
            raise SourceError(f"there is no file or folder {path}", fix="Check the path; it is relative to the recipe.")
        return DocumentSource(spec, path)
    data_files(path)
    return RowSource(spec, path)
