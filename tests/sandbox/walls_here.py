"""What tests of the sandbox share: programs run within walls, and a word where there are none."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from gristmill.sandbox.runner import Runner
from gristmill.sandbox.walls import bubblewrap
from gristmill.values import decode, encode

needs_bubblewrap = pytest.mark.skipif(
    bubblewrap() is None, reason="bubblewrap is not installed: there are no walls to lean against"
)


def called(code: str, *arguments: Any, name: str = "f", tier: Any = "strong", **limits: Any) -> Any:
    """Return what a function of some code returns within the walls, or its failure as `(verdict, detail)`."""
    return calls(code, [arguments], name=name, tier=tier, **limits)[0]


def calls(code: str, several: list[Any], *, name: str = "f", tier: Any = "strong", **limits: Any) -> list[Any]:
    """Return the same for several calls of one program."""
    job: dict[str, Any] = {"mode": "function", "code": code, "entry_point": name, "limits": limits}
    job["calls"] = [[name, encode(list(arguments)), encode({})] for arguments in several]
    result = asyncio.run(Runner(tier).run(job))
    return [(one["failed"], one["detail"]) if "failed" in one else decode(one["value"]) for one in result["results"]]
