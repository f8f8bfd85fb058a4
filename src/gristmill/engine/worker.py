"""What a worker process does: read a job, grade, write the verdict, until its input ends.

Limits are set before the first job. One byte says that it is ready, so start-up does not count against a job's time.
"""

from __future__ import annotations

import sys

import orjson

from gristmill import grading
from gristmill.engine.workers import MEMORY_LIMIT_BYTES
from gristmill.grading.registry import GRADERS
from gristmill.records import Prompt, Sample


def main() -> None:
    """Serve jobs from standard input."""
    assert grading
    _limit()
    source, sink = sys.stdin.buffer, sys.stdout.buffer
    sys.stdout = sys.stderr
    sink.write(b"R")
    sink.flush()
    while len(head := source.read(4)) == 4:
        job = orjson.loads(source.read(int.from_bytes(head, "big")))
        plugin = GRADERS.get(job["grader"])
        options = plugin.options.model_validate(job["options"])
        verdict = plugin.function(Prompt.model_validate(job["prompt"]), Sample.model_validate(job["sample"]), options)
        answer = verdict.model_dump_json().encode()
        sink.write(len(answer).to_bytes(4, "big") + answer)
        sink.flush()


def _limit() -> None:
    try:
        import resource
    except ImportError:
        return
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_LIMIT_BYTES, MEMORY_LIMIT_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


if __name__ == "__main__":
    main()
