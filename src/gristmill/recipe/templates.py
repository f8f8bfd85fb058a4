"""Prompt templates: versioned text files, rendered without trust.

A template is a Jinja file by `name@version`, one of those that ship or the user's own path ending in `.jinja`. It sees the
prompt's text as `prompt` and nothing else. Templates are rendered in Jinja's immutable sandbox with undefined names as errors,
and the prompt goes in as a value, so braces in a prompt are only braces. A template's hash is part of the identity of what is
made with it.
"""

from __future__ import annotations

import hashlib
from functools import cached_property
from importlib import resources
from typing import TYPE_CHECKING, Any

import jinja2
from jinja2.sandbox import ImmutableSandboxedEnvironment

from gristmill.errors import InputError
from gristmill.registry import nearest

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pydantic import JsonValue

PLAIN = "plain"
ANSWER_FORMATS: Mapping[str, str] = {"boxed@1": "boxed", "chain@1": "hash", "hash@1": "hash"}
"""Where the answer stands if the recipe does not say: what the shipped template asks for."""
ASKING: Mapping[str | None, str] = {None: "boxed@1", "auto": "boxed@1", "boxed": "boxed@1", "hash": "hash@1"}
"""The template that asks for an answer in a format, if the recipe names the format alone; for another one its prompts have to."""


class Template:
    """One template: its text, its hash and how to fill it."""

    def __init__(self, name: str, text: str | None) -> None:
        """Take a template's text, or None for the prompt as it is.

        Raises:
            InputError: where the text is no template.
        """
        self.name = name
        self.text = text
        try:
            _ = self._compiled
        except jinja2.TemplateError as error:
            raise InputError(f"the template `{name}` is broken: {error}", fix="See jinja.palletsprojects.com.") from None

    @property
    def digest(self) -> str:
        """Return a hash of the text, for identities."""
        return hashlib.sha256((self.text or PLAIN).encode()).hexdigest()[:32]

    @cached_property
    def _compiled(self) -> Any:
        environment = ImmutableSandboxedEnvironment(undefined=jinja2.StrictUndefined, keep_trailing_newline=False)
        return None if self.text is None else environment.from_string(self.text)

    def fill(self, prompt: str, **values: JsonValue) -> str:
        """Return the template with `prompt` in its place; those of judges and kinds see further values.

        Raises:
            InputError: where the template asks for something that it may not have.
        """
        if self._compiled is None:
            return prompt
        try:
            return str(self._compiled.render(prompt=prompt, **values))
        except (jinja2.TemplateError, TypeError, ArithmeticError, LookupError, AttributeError) as error:
            seen = ", ".join(f"`{{{{ {name} }}}}`" for name in ("prompt", *values))
            raise InputError(
                f"the template `{self.name}` cannot be filled: {error}", fix=f"It sees {seen} and nothing else."
            ) from None


def task_template(name: str) -> Template:
    """Return what a kind of data or a judge asks with, by name and version, such as `qa/ask@1` or `judge/equivalence@1`."""
    return Template(name, (resources.files("gristmill.assets") / "templates" / f"{name}.jinja").read_text("utf-8"))


def fence_for(text: str, word: str = "TEXT") -> str:
    """Return the line that stands before and after hostile text: a hash of it, so that the text cannot hold it."""
    return f"=== {word} {hashlib.sha256(text.encode('utf-8', 'surrogatepass')).hexdigest()[:16]} ==="


def unversioned(name: str) -> str:
    """Return a template's name as recipes and tasks write it: `qa/ask` for `qa/ask@1`."""
    return name.partition("@")[0]


def shipped_names() -> list[str]:
    """Return the names of the templates that ship."""
    folder = resources.files("gristmill.assets") / "templates"
    return sorted(file.name.removesuffix(".jinja") for file in folder.iterdir() if file.name.endswith(".jinja"))


def shipped_template(name: str) -> Template:
    """Return a template that ships, or `plain`.

    Raises:
        InputError: where there is none of this name; the message names the nearest.
    """
    if name == PLAIN:
        return Template(PLAIN, None)
    names = shipped_names()
    if name not in names:
        near = nearest(name, [PLAIN, *names])
        meant = f"Did you mean `{near}`? " if near else ""
        raise InputError(
            f"there is no template `{name}`",
            fix=f"{meant}There are: {', '.join([PLAIN, *names])}; your own is a path that ends in .jinja.",
        )
    return Template(name, (resources.files("gristmill.assets") / "templates" / f"{name}.jinja").read_text("utf-8"))
