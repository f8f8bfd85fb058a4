"""What a worker process does: read a job, compute, write the value, until its input ends.

Limits are set before the first job. One byte says that it is ready, so start-up does not count against a job's time.
"""

from __future__ import annotations

import sys
from typing import Any

import orjson

from gristmill import grading
from gristmill.engine.workers import MEMORY_LIMIT_BYTES
from gristmill.grading.registry import COMPUTATIONS


def main() -> None:
    """Serve jobs from standard input."""
    assert grading
    _limit()
    source, sink = sys.stdin.buffer, sys.stdout.buffer
    sys.stdout = sys.stderr
    sink.write(b"R")
    sink.flush()
    while len(head := source.read(4)) == 4:
        answer = orjson.dumps(_computed(source.read(int.from_bytes(head, "big"))))
        sink.write(len(answer).to_bytes(4, "big") + answer)
        sink.flush()


def _computed(job: bytes) -> dict[str, Any]:
    """Return the value of a computation, or why there is none."""
    try:
        wanted = orjson.loads(job)
        return {"value": COMPUTATIONS.get(wanted["computation"]).function(**wanted["arguments"])}
    except MemoryError:
        return {"failed": "memory", "detail": "it needed more memory than a worker may have"}
    except Exception as error:  # noqa: BLE001 - it becomes a row with its reason where the computation was asked for
        return {"failed": "error", "detail": repr(error)[:500]}


def _limit() -> None:
    try:
        import resource
    except ImportError:
        return
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_LIMIT_BYTES, MEMORY_LIMIT_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


if __name__ == "__main__":
    main()
