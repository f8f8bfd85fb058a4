"""What the person gives beside the recipe: the environment, and which key may go where, which walls will do."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from gristmill.errors import InputError
from gristmill.teachers.addresses import Environment

if TYPE_CHECKING:
    from gristmill.sandbox.walls import Tier


class SampleFlags(NamedTuple):
    """What the person gives beside the recipe where a few samples are made."""

    output: str | None
    ledger_dir: str | None
    allow_keys: tuple[str, ...]
    sandbox: str
    trust: bool


VARIABLE = "GRISTMILL_ALLOW_KEYS"
"""The same as `--allow-key`, for every run: `NAME=HOST` pairs, separated by commas."""


def environment(allow_keys: Sequence[str]) -> Environment:
    """Return the environment with the person's own word on keys.

    Raises:
        InputError: where a pair is not `NAME=HOST`.
    """
    pairs = [*allow_keys, *(pair for pair in os.environ.get(VARIABLE, "").split(",") if pair.strip())]
    allowed: set[tuple[str, str]] = set()
    for pair in pairs:
        name, equals, host = pair.strip().partition("=")
        if not equals or not name or not host:
            raise InputError(f"`--allow-key {pair}` is not NAME=HOST", fix="Write `--allow-key VLLM_KEY=gpu1`.")
        allowed.add((name, host))
    return Environment(dict(os.environ), frozenset(allowed))


def accepted(sandbox: str) -> Tier:
    """Return the weakest walls that the person accepts.

    Raises:
        InputError: where there are none of this name.
    """
    if sandbox == "strong" or sandbox == "medium" or sandbox == "weak":
        return sandbox
    raise InputError(f"`--sandbox {sandbox}` is none", fix="Write strong, medium, or weak for no walls at all.")
