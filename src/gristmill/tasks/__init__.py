"""The kinds of data: one module each, an async function from a prompt to a sample."""

from gristmill.tasks import annotate as _annotate  # registers itself
from gristmill.tasks import conversation as _conversation
from gristmill.tasks import instruct as _instruct
from gristmill.tasks import qa as _qa
from gristmill.tasks import reasoning as _reasoning
from gristmill.tasks import rewrite as _rewrite

__all__: list[str] = []
del _annotate, _conversation, _instruct, _qa, _reasoning, _rewrite
