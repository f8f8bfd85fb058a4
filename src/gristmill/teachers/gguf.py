"""A model in this process: any GGUF file, run by llama.cpp through `xllamacpp` (the `local` extra).

The runtime batches continuously: `slots` requests are answered side by side on a few threads, and a request's text follows from
its own seed and not from its neighbours. A call blocks, so each runs in a thread of its own; the event loop stays free.
"""

from __future__ import annotations

import asyncio
import hashlib
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from typing import TYPE_CHECKING, Any

from gristmill.errors import InputError
from gristmill.plain import as_object
from gristmill.ports import TeacherFault
from gristmill.records import TeacherIdentity
from gristmill.teachers.completions import read_completion, wire_body
from gristmill.teachers.gguf_header import read_header

if TYPE_CHECKING:
    from pathlib import Path

    from gristmill.records import Reply, Request

SLOTS = 16
THREADS = 1
"""One thread and 16 slots were fastest for the model that ships; two threads under load were three times slower."""
MOST_CONTEXT = 4096
"""Tokens a slot gets at most unless the recipe says otherwise, so that a model made for 128k does not fill the memory."""


class GgufTeacher:
    """Answers from a model file in this process."""

    def __init__(self, path: Path, *, provider: str = "gguf", slots: int = SLOTS, threads: int = THREADS) -> None:
        """Check the file and load it.

        Raises:
            InputError: where the file is not a whole GGUF, or the `local` extra is missing.
        """
        header = read_header(path)
        try:
            runtime: Any = import_module("xllamacpp")  # 100 MB that only local models need, and not typed
        except ImportError:
            raise InputError(
                f"{path.name} needs the `local` extra, which is not installed", fix='Run `pip install "gristmill[local]"`.'
            ) from None
        self.context = min(header.context or MOST_CONTEXT, MOST_CONTEXT)
        params = runtime.CommonParams()
        params.model.path = str(path)
        params.n_parallel = slots
        params.n_ctx = self.context * slots
        params.cpuparams.n_threads = params.cpuparams_batch.n_threads = threads
        params.n_gpu_layers = 0
        params.verbosity = 0
        try:
            self._server: Any = runtime.Server(params)
        except (RuntimeError, ValueError) as error:
            raise InputError(
                f"the runtime cannot load {path}: {error}", fix=f"Its architecture is {header.architecture}."
            ) from None
        self._pool = ThreadPoolExecutor(slots, thread_name_prefix="gguf")
        revision = hashlib.sha256(path.read_bytes()).hexdigest()[:16]
        self._identity = TeacherIdentity(provider=provider, model=path.name.removesuffix(".gguf"), revision=revision)

    @property
    def identity(self) -> TeacherIdentity:
        """Return the file's name and the hash of its content."""
        return self._identity

    @property
    def bills(self) -> bool:
        """Return False: a call costs nothing but time."""
        return False

    async def complete(self, request: Request) -> Reply:
        """Answer one request.

        Raises:
            TeacherFault: `permanent`, where the prompt is longer than the context or the runtime refuses it.
        """
        body = {**wire_body(request, self._identity.model), "cache_prompt": False}
        content = await asyncio.get_running_loop().run_in_executor(self._pool, self._ask, body)
        return read_completion(content, b"").model_copy(update={"cost_usd": 0.0, "model": self._identity.model})

    def _ask(self, body: dict[str, Any]) -> dict[str, Any]:
        replies: list[Any] = []
        self._server.handle_chat_completions(body, replies.append)
        content = as_object(replies[0]) if replies else None
        if content is None:
            raise TeacherFault("the runtime gave no reply", kind="permanent", code="no_reply")
        error = as_object(content.get("error")) or (content if "code" in content and "message" in content else None)
        if error is not None:
            words = str(error.get("message", error))
            code = "context_length" if "context" in words else "refused"
            fix = f" (the context is {self.context} tokens)" if code == "context_length" else ""
            raise TeacherFault(f"{words}{fix}", kind="permanent", code=code, evidence=words.encode())
        return content

    async def close(self) -> None:
        """Wait for what is running and let the model go."""
        self._pool.shutdown(wait=True)
        self._server = None
