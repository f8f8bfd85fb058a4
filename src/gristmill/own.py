"""What a file of one's own imports: the decorators, the nouns, and what shipped kinds are made with. See `docs/own-kinds.md`."""

from gristmill.grading.registry import Needs, grader
from gristmill.messages import Frozen, Message, system, user
from gristmill.ports import Session, SourceRow
from gristmill.records import Prompt, Reply, Sample, Sampling, Verdict
from gristmill.tasks.asking import ask, labelled, model_in, object_in, schema_in
from gristmill.tasks.building import made, sample_from, unreadable
from gristmill.tasks.registry import task

__all__ = [
    "Frozen",
    "Message",
    "Needs",
    "Prompt",
    "Reply",
    "Sample",
    "Sampling",
    "Session",
    "SourceRow",
    "Verdict",
    "ask",
    "grader",
    "labelled",
    "made",
    "model_in",
    "object_in",
    "sample_from",
    "schema_in",
    "system",
    "task",
    "unreadable",
    "user",
]
