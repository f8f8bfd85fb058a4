"""YAML text to a `Recipe`, every mistake with its line, its column and what to write instead.

Pydantic finds what is wrong; this module says it the way a person needs it: one message for the first mistake by place, the
nearest right name for an unknown key, the value that was found.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, get_args

from pydantic import BaseModel, ValidationError

from gristmill.errors import RecipeError
from gristmill.messages import Frozen
from gristmill.plain import as_object
from gristmill.recipe.document import Document, Path, parse_document
from gristmill.recipe.model import Recipe
from gristmill.registry import nearest

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pydantic_core import ErrorDetails


class Loaded(NamedTuple):
    """A recipe and the text it came from, which knows where each value stood."""

    recipe: Recipe
    document: Document

    def error(self, path: Path, message: str, *, fix: str) -> RecipeError:
        """Return an error about the value at `path` of the recipe."""
        return RecipeError(message, fix=fix, where=self.document.where(path))


def load_recipe(text: str, name: str, changes: Mapping[str, Any] | None = None) -> Loaded:
    """Read a recipe from YAML `text`; `name` is the file's name for error messages, `changes` replace top-level keys.

    Raises:
        RecipeError: with file, line and column, what was found and what to write.
    """
    document = parse_document(text, name)
    content = as_object(document.content)
    if content is None:
        raise RecipeError("a recipe is `key: value` lines", fix="Write one with `gristmill init`.", where=name)
    return Loaded(validate({**content, **(changes or {})}, document), document)


def validate(content: dict[str, Any], document: Document) -> Recipe:
    """Return the recipe in `content`, or raise the first mistake by place in `document`."""
    try:
        return Recipe.model_validate(content)
    except ValidationError as error:
        raise explain(error, Recipe, document, ()) from None


def check_options(model: type[Frozen], options: dict[str, Any], loaded: Loaded, path: Path) -> Frozen:
    """Return a plug-in's options as its own model; `path` is where they stand in the recipe.

    Raises:
        RecipeError: with the place of the first mistake.
    """
    try:
        return model.model_validate(options)
    except ValidationError as error:
        raise explain(error, model, loaded.document, path) from None


def explain(error: ValidationError, model: type[BaseModel], document: Document, base: Path) -> RecipeError:
    """Return the first mistake, by place in the text, as a recipe error; what is missing comes last, since it may be misspelt."""
    details = sorted(error.errors(include_url=False), key=lambda detail: _order(document, base, detail))
    detail = details[0]
    path: Path = (*base, *detail["loc"])
    message, fix = _message(detail, model, document.as_written(path))
    return RecipeError(message, fix=fix, where=document.where(path))


def _order(document: Document, base: Path, detail: ErrorDetails) -> tuple[bool, int, int]:
    mark = document.mark((*base, *detail["loc"]))
    return detail["type"] == "missing", mark.line if mark else 0, mark.column if mark else 0


def _message(detail: ErrorDetails, model: type[BaseModel], written: Path) -> tuple[str, str]:
    path = detail["loc"]
    dotted = ".".join(str(part) for part in written) or "the recipe"
    kind, found = detail["type"], detail.get("input")
    if kind == "extra_forbidden":
        names = field_names(model, path[:-1])
        near = nearest(str(path[-1]), names)
        meant = f"Did you mean `{near}`? " if near else ""
        known = f"Known keys here: {', '.join(sorted(names))}." if names else "It takes no keys."
        return f"there is no key `{dotted}`", f"{meant}{known}"
    if kind == "missing":
        return f"`{dotted}` is missing", f"Add `{path[-1]}: …`; `gristmill schema` lists every key."
    if kind == "value_error":
        return f"`{dotted}`: {str(detail['ctx']['error']) if 'ctx' in detail else detail['msg']}", ""
    message = detail["msg"][0].lower() + detail["msg"][1:]
    return f"`{dotted}`: {message}, got {_short(found)}", "`gristmill schema` lists what each key takes."


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "…"


def field_names(model: type[BaseModel], path: Path) -> list[str]:
    """Return the keys that may stand at `path` of `model`."""
    current: type[BaseModel] | None = model
    for part in path:
        if current is None:
            return []
        field = current.model_fields.get(str(part))
        if field is not None:
            current = _model_in(field.annotation)
    return [] if current is None else [info.alias or name for name, info in current.model_fields.items()]


def _model_in(annotation: Any) -> type[BaseModel] | None:
    """Return the model inside `X | None`, `tuple[X, ...]`, `dict[str, X]` or `Annotated[X, …]`."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for part in get_args(annotation) if (found := _model_in(part))), None)
