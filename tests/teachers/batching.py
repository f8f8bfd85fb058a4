"""Batch interfaces that behave as the providers' public documentation says; what was handed in is kept in memory.

OpenAI's: platform.openai.com/docs/api-reference/files and …/batch; Anthropic's:
docs.anthropic.com/en/api/creating-message-batches. A batch ends after a number of looks, so tests do not wait for a clock.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

from tests.servers import Answer, Arrived, Reaction, completion

Fate = Literal["answer", "bad_request", "server_error", "expired"]


def letter(custom_id: str, body: dict[str, Any]) -> str:
    """Return A or B, by the request alone."""
    return "AB"[hashlib.sha256(json.dumps([custom_id, body["messages"]]).encode()).digest()[0] % 2]


@dataclass
class Batch:
    """A batch that was handed in."""

    lines: list[dict[str, Any]]
    metadata: dict[str, str] = field(default_factory=dict[str, str])
    looks: int = 0


@dataclass
class BatchServer:
    """Both interfaces at once."""

    looks: int = 2
    """Looks before a batch has ended."""
    fate: Callable[[str], Fate] = lambda _: "answer"
    """What becomes of a request, by its id."""
    says: Callable[[str, dict[str, Any]], str] = letter
    files: dict[str, list[dict[str, Any]]] = field(default_factory=dict[str, list[dict[str, Any]]])
    batches: dict[str, Batch] = field(default_factory=dict[str, Batch])
    paths: list[str] = field(default_factory=list[str])
    invalid: bool = False
    """Whether batches fail as a whole."""
    forgets: bool = False
    """Whether the answer to handing in never arrives: the connection ends after the batch was taken."""

    @property
    def handed_in(self) -> list[str]:
        """Return the id of every request of every batch."""
        return [line["custom_id"] for batch in self.batches.values() for line in batch.lines]

    def __call__(self, arrived: Arrived) -> Reaction:
        """Answer a request."""
        self.paths.append(f"{arrived.method} {arrived.path}")
        path = arrived.path.removeprefix("/v1")
        if path.startswith("/messages/batches"):
            return self._anthropic(arrived, path)
        if arrived.method == "POST":
            return self._upload(arrived) if path == "/files" else self._create(arrived)
        if path == "/batches":
            data = [{"id": name, "metadata": batch.metadata} for name, batch in self.batches.items()]
            return Answer(200, {"object": "list", "data": data, "has_more": False})
        if path.startswith("/files/"):
            return Answer(200, self._file(path.split("/")[2]))
        return self._status(path.rpartition("/")[2])

    # -- OpenAI's ----------------------------------------------------------------------------------------------------

    def _upload(self, arrived: Arrived) -> Reaction:
        parts = re.split(rb"--gristmill-batch-[0-9a-f]+(?:--)?\r\n", arrived.raw)
        assert b'name="purpose"\r\n\r\nbatch' in parts[1]
        content = parts[2].partition(b"\r\n\r\n")[2].rstrip(b"\r\n")
        name = f"file-{len(self.files)}"
        self.files[name] = [json.loads(line) for line in content.split(b"\n")]
        assert all(set(line) == {"custom_id", "method", "url", "body"} for line in self.files[name])
        return Answer(200, {"id": name, "object": "file", "purpose": "batch"})

    def _create(self, arrived: Arrived) -> Reaction:
        body = arrived.body
        assert body["completion_window"] == "24h"
        name = f"batch_{len(self.batches)}"
        self.batches[name] = Batch(self.files[body["input_file_id"]], body["metadata"])
        if self.forgets:
            self.forgets = False
            return Answer(500, {"error": {"message": "lost on the way"}})
        return Answer(200, {"id": name, "object": "batch", "status": "validating"})

    def _status(self, name: str) -> Reaction:
        batch = self.batches[name]
        batch.looks += 1
        total = len(batch.lines)
        if self.invalid:
            errors = {"data": [{"code": "invalid_json_line", "message": "line 3 is not valid", "line": 3}]}
            return Answer(200, {"id": name, "status": "failed", "errors": errors})
        if batch.looks < self.looks:
            counts = {"total": total, "completed": total // 2, "failed": 0}
            return Answer(200, {"id": name, "status": "in_progress", "request_counts": counts})
        fates = [self.fate(line["custom_id"]) for line in batch.lines]
        good = fates.count("answer")
        return Answer(
            200,
            {
                "id": name,
                "status": "expired" if "expired" in fates else "completed",
                "request_counts": {"total": total, "completed": good, "failed": total - good},
                "output_file_id": f"{name}-out" if good else None,
                "error_file_id": f"{name}-err" if good < total else None,
            },
        )

    def _file(self, name: str) -> bytes:
        batch, _, kind = name.rpartition("-")
        lines: list[str] = []
        for number, line in enumerate(reversed(self.batches[batch].lines)):  # the order is not promised
            fate, custom_id = self.fate(line["custom_id"]), line["custom_id"]
            if (fate == "answer") != (kind == "out"):
                continue
            row: dict[str, Any] = {"id": f"batch_req_{number}", "custom_id": custom_id, "response": None, "error": None}
            if fate == "answer":
                body = completion(self.says(custom_id, line["body"]), model=line["body"]["model"])
                row["response"] = {"status_code": 200, "request_id": f"r{number}", "body": body}
            elif fate == "expired":
                row["error"] = {"code": "batch_expired", "message": "could not be executed before the window closed"}
            else:
                status = 400 if fate == "bad_request" else 500
                row["response"] = {"status_code": status, "body": {"error": {"message": f"{fate} it is", "code": fate}}}
            lines.append(json.dumps(row))
        return ("\n".join(lines) + "\n").encode()

    # -- Anthropic's -------------------------------------------------------------------------------------------------

    def _anthropic(self, arrived: Arrived, path: str) -> Reaction:
        if arrived.method == "POST":
            name = f"msgbatch_{len(self.batches)}"
            self.batches[name] = Batch(arrived.body["requests"])
            if self.forgets:
                self.forgets = False
                return Answer(529, {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}})
            return Answer(200, {"id": name, "type": "message_batch", "processing_status": "in_progress"})
        name = path.split("/")[3]
        batch = self.batches[name]
        if path.endswith("/results"):
            return Answer(200, "\n".join(json.dumps(self._anthropic_row(line)) for line in batch.lines).encode())
        batch.looks += 1
        ended = batch.looks >= self.looks
        counts = {"processing": 0 if ended else len(batch.lines), "succeeded": len(batch.lines) if ended else 0, "errored": 0}
        status = "ended" if ended else "in_progress"
        return Answer(200, {"id": name, "processing_status": status, "request_counts": counts})

    def _anthropic_row(self, line: dict[str, Any]) -> dict[str, Any]:
        fate, custom_id = self.fate(line["custom_id"]), line["custom_id"]
        if fate == "answer":
            message = {
                "id": "msg_1",
                "type": "message",
                "role": "assistant",
                "model": line["params"]["model"],
                "content": [{"type": "text", "text": self.says(custom_id, line["params"])}],
                "stop_reason": "end_turn",
                "usage": {"input_tokens": 5, "output_tokens": 2},
            }
            return {"custom_id": custom_id, "result": {"type": "succeeded", "message": message}}
        if fate == "expired":
            return {"custom_id": custom_id, "result": {"type": "expired"}}
        kind = "invalid_request_error" if fate == "bad_request" else "api_error"
        error = {"type": "error", "error": {"type": kind, "message": f"{fate} it is"}}
        return {"custom_id": custom_id, "result": {"type": "errored", "error": error}}
