"""`gristmill describe`."""

from __future__ import annotations

import inspect
import shutil
import textwrap
from typing import TYPE_CHECKING, Any, get_args

from pydantic import TypeAdapter
from typer.models import OptionInfo

from gristmill import api
from gristmill.cli.terminal import Reporter, safe
from gristmill.engine.describing import type_words
from gristmill.errors import InputError
from gristmill.plain import as_list, as_object
from gristmill.registry import nearest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from gristmill.engine.describing import Thing

Kinds = dict[str, list[dict[str, Any]]]
"""The things of each kind, by the kind's name."""
NAME_WIDTH = 26


def describe_command(name: str | None, commands: Sequence[Callable[..., Any]], *, as_json: bool) -> None:
    """Show everything that there is, or one thing with its options.

    Args:
        name: Of a plug-in, an address form, a template, an error, an exit code or a command; None shows all.
        commands: The functions behind the commands.
        as_json: Print the same as one JSON object.

    Raises:
        InputError: where there is no such name; the message has the nearest one.
    """
    kinds: Kinds = {**api.catalogue(), "commands": [_command(command) for command in commands]}
    if name is not None:
        kinds = _named(name, kinds)
    lines = _overview(kinds) if name is None else _wholes(kinds)
    Reporter(as_json=as_json).result("\n".join(lines), kinds)


def _command(function: Callable[..., Any]) -> Thing:
    """Return a command out of its function's signature, which is all that the command line itself is made from."""
    options: list[Thing] = []
    for parameter in inspect.signature(function, eval_str=True).parameters.values():
        kind, info = get_args(parameter.annotation)[:2]
        # inside `Annotated` typer keeps the first flag where a default would stand
        flags = [word for word in (info.default, *(info.param_decls or ())) if isinstance(word, str)]
        bounds = {key: value for key, value in (("minimum", info.min), ("maximum", info.max)) if value is not None}
        flag = max(flags, key=len, default=f"--{parameter.name.replace('_', '-')}")
        required = parameter.default is parameter.empty
        options.append(
            {
                "name": flag if isinstance(info, OptionInfo) else info.metavar or parameter.name.upper(),
                "type": type_words({**TypeAdapter(kind).json_schema(), **bounds}),
                "required": required,
                "default": None if required else parameter.default,
                "help": info.help or "",
            }
        )
    return {"name": function.__name__, "help": (function.__doc__ or "").strip(), "options": options}


def _named(name: str, kinds: Kinds) -> Kinds:
    """Return the things of a name, which may be without a template's version and an address's ending."""
    found = {kind: [t for t in things if name in {t["name"], *_short(t["name"])}] for kind, things in kinds.items()}
    if not any(found.values()):
        names = [word for things in kinds.values() for thing in things for word in (thing["name"], *_short(thing["name"]))]
        near = nearest(name, names)
        meant = f"Did you mean `{near}`? " if near else ""
        raise InputError(f"there is nothing called `{name}`", fix=f"{meant}`gristmill describe` shows everything.")
    return {kind: things for kind, things in found.items() if things}


def _short(name: str) -> tuple[str, str]:
    return name.partition("@")[0], name.partition(":")[0]


def _overview(kinds: Kinds) -> list[str]:
    lines: list[str] = []
    for kind, things in kinds.items():
        lines += [kind.replace("_", " "), *(line for thing in things for line in _row(thing["name"], _brief(thing))), ""]
    return [*lines, "more about one of them: gristmill describe NAME"]


def _brief(thing: Thing) -> str:
    """Return a thing's line of help, with what a table of its kind needs besides."""
    code = f"exit {thing['exit_code']}: " if "exit_code" in thing else ""
    status = f"{', '.join(thing['status'])}: " if thing.get("status") else ""
    return f"{code}{status}{thing['help']}"


def _wholes(kinds: Kinds) -> Iterator[str]:
    for kind, things in kinds.items():
        for thing in things:
            yield from _wrapped(f"{kind.removesuffix('s').replace('_', ' ')} {thing['name']} · ", thing["help"])
            yield from _wrapped("  ", thing.get("about", ""))
            for key, value in thing.items():
                if key not in ("name", "help", "about", "options", "text") and value not in (None, []):
                    yield from _row(key.replace("_", " "), _plain(value))
            if thing.get("text"):
                yield from ("", *(f"    {safe(line)}" for line in thing["text"].splitlines()))
            if thing.get("options"):
                yield "options"
                for option in thing["options"]:
                    yield from _row(option["name"], _option(option))
            yield ""


def _option(option: Thing) -> str:
    if option["default"] is None:
        return f"{option['type'].removesuffix(' or null')}, {'required' if option['required'] else 'optional'}. {option['help']}"
    return f"{option['type']}, default {_plain(option['default'])}. {option['help']}"


def _plain(value: Any) -> str:
    """Return a value as a recipe would have it."""
    fields, items = as_object(value), as_list(value)
    if fields is not None:
        return f"{{{', '.join(f'{key}: {_plain(item)}' for key, item in fields.items())}}}"
    if items is not None:
        return f"[{', '.join(map(_plain, items))}]"
    return str(value).lower() if isinstance(value, bool) else str(value)


def _row(name: str, text: str) -> list[str]:
    """Return a name and its text in two columns, the text on as many lines as it takes."""
    if len(safe(name)) >= NAME_WIDTH:
        return [f"  {safe(name)}", *_wrapped(" " * (NAME_WIDTH + 2), text, NAME_WIDTH + 2)]
    return _wrapped(f"  {safe(name):<{NAME_WIDTH}}", text, NAME_WIDTH + 2)


def _wrapped(start: str, text: str, indent: int = 2) -> list[str]:
    width = max(60, min(120, shutil.get_terminal_size().columns))
    return textwrap.wrap(start + safe(text), width, subsequent_indent=" " * indent, break_on_hyphens=False, drop_whitespace=True)
