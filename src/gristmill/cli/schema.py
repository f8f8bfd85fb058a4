"""`gristmill schema`."""

from __future__ import annotations

import sys

import orjson

from gristmill import api


def schema_command() -> None:
    """Print the recipe's JSON Schema."""
    sys.stdout.write(orjson.dumps(api.recipe_schema(), option=orjson.OPT_INDENT_2).decode() + "\n")
