"""The wire formats by the name that a recipe gives them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gristmill.teachers.anthropic import MESSAGES
from gristmill.teachers.completions import CHAT
from gristmill.teachers.responses import RESPONSES
from gristmill.teachers.scores import SCORE

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gristmill.teachers.wire import Format

FORMATS: Mapping[str, Format] = {"chat": CHAT, "responses": RESPONSES, "messages": MESSAGES, "score": SCORE}
