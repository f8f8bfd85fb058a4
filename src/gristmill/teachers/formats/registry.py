"""The wire formats by the name that a recipe gives them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gristmill.teachers.formats.anthropic import MESSAGES
from gristmill.teachers.formats.completions import CHAT
from gristmill.teachers.formats.responses import RESPONSES
from gristmill.teachers.formats.scores import SCORE

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gristmill.teachers.formats.wire import Format

FORMATS: Mapping[str, Format] = {"chat": CHAT, "responses": RESPONSES, "messages": MESSAGES, "score": SCORE}
