"""A model in this process: any GGUF file, run by llama.cpp through `xllamacpp` (the `local` extra).

The runtime batches continuously: `slots` requests are answered side by side on a few threads, and a request's text follows from
its own seed and not from its neighbours. A call blocks, so each runs in a thread of its own; the event loop stays free.
`GgufModel` speaks bodies of OpenAI's chat completions, for whoever has one; `GgufTeacher` is the teacher around it.
"""

from __future__ import annotations

import asyncio
import hashlib
import secrets
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from threading import Event
from typing import TYPE_CHECKING, Any

from gristmill.errors import InputError
from gristmill.plain import as_count, as_list, as_object
from gristmill.ports import TeacherFault
from gristmill.records import TeacherIdentity
from gristmill.teachers.formats.completions import read_completion, wire_body
from gristmill.teachers.gguf_header import read_header

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Mapping
    from pathlib import Path

    from gristmill.records import Reply, Request

SLOTS = 16
THREADS = 1
"""One thread and 16 slots were fastest for the model that ships; two threads under load were three times slower."""
MOST_CONTEXT = 4096
"""Tokens a slot gets at most unless the recipe says otherwise, so that a model made for 128k does not fill the memory."""


class GgufModel:
    """A model file that is loaded and answers bodies of chat completions."""

    def __init__(self, path: Path, *, slots: int = SLOTS, threads: int = THREADS) -> None:
        """Check the file and load it.

        Args:
            path: The model file.
            slots: Requests that are answered side by side; each has a context of its own.
            threads: Threads that calculate.

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
        self.slots = slots
        self.context = min(header.context or MOST_CONTEXT, MOST_CONTEXT)
        """Tokens that a prompt and its answer have together."""
        params = runtime.CommonParams()
        params.model.path = str(path)
        params.n_parallel = slots
        params.n_ctx = self.context * slots
        params.cpuparams.n_threads = params.cpuparams_batch.n_threads = threads
        params.n_gpu_layers = 0
        params.verbosity = 0
        # the runtime opens a port of its own, with all of llama.cpp and for pages from anywhere: it gets a key that nobody knows
        params.api_keys = [secrets.token_hex(32)]
        params.ui = params.endpoint_slots = False
        try:
            self._server: Any = runtime.Server(params)
        except (RuntimeError, ValueError) as error:
            raise InputError(
                f"the runtime cannot load {path}: {error}", fix=f"Its architecture is {header.architecture}."
            ) from None
        self._pool = ThreadPoolExecutor(slots, thread_name_prefix="gguf")
        self.revision = hashlib.sha256(path.read_bytes()).hexdigest()[:16]
        """The beginning of the hash of the file's content."""

    async def complete(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """Return the completion of a body.

        Raises:
            TeacherFault: `permanent`, where the prompt is longer than the context or the runtime refuses the body.
        """
        return await self._answered(self._server.handle_chat_completions, body)

    async def continue_text(self, text: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """Return a chat completion whose answer is how the model goes on after a text, without any roles.

        Raises:
            TeacherFault: as `complete` does.
        """
        settings = {name: value for name, value in body.items() if name not in ("messages", "tools", "response_format")}
        content = await self._answered(self._server.handle_completions, {**settings, "prompt": text})
        choices = [as_object(choice) or {} for choice in as_list(content.get("choices")) or []]
        as_chat = [{**choice, "message": {"role": "assistant", "content": choice.get("text")}} for choice in choices]
        return {**content, "choices": as_chat}

    async def _answered(self, handle: Any, body: Mapping[str, Any]) -> dict[str, Any]:
        replies: list[dict[str, Any]] = []
        await asyncio.get_running_loop().run_in_executor(self._pool, self._ask, handle, body, replies.append)
        return replies[0]

    async def stream(self, body: Mapping[str, Any]) -> AsyncGenerator[dict[str, Any]]:
        """Yield the chunks of a body's completion as they come; the model stops when nobody takes them.

        Raises:
            TeacherFault: as `complete` does.
        """
        loop, gone = asyncio.get_running_loop(), Event()
        chunks: asyncio.Queue[dict[str, Any] | None] = asyncio.Queue()

        def take(chunk: dict[str, Any]) -> bool:
            loop.call_soon_threadsafe(chunks.put_nowait, chunk)
            return gone.is_set()

        chat = self._server.handle_chat_completions
        asked = loop.run_in_executor(self._pool, self._ask, chat, {**body, "stream": True}, take)
        asked.add_done_callback(lambda _: chunks.put_nowait(None))
        try:
            while (chunk := await chunks.get()) is not None:
                yield chunk
            await asked
        finally:
            gone.set()

    def _ask(self, handle: Any, body: Mapping[str, Any], take: Callable[[dict[str, Any]], Any]) -> None:
        """Ask the runtime and give what it says to `take`, which returns True when it wants no more."""
        faults: list[TeacherFault] = []
        given = 0

        def on_reply(content: Any) -> bool:
            nonlocal given
            fault = self._fault(content)
            if fault is not None:
                faults.append(fault)
                return True
            given += 1
            return take(content) is True

        try:
            # what a cache holds depends on the neighbours, and the last bits of a text depend on what it holds
            handle({**body, "cache_prompt": False}, on_reply)
        except (RuntimeError, TypeError, ValueError) as error:
            raise _refused(str(error)) from None
        if faults:
            raise faults[0]
        if not given:
            raise TeacherFault("the runtime gave no reply", kind="permanent", code="no_reply")

    def _fault(self, reply: Any) -> TeacherFault | None:
        """Return the fault that a reply of the runtime tells of, or None where it is one to use."""
        content = as_object(reply)
        if content is None:
            return TeacherFault("the runtime's reply is no object", kind="permanent", code="no_reply")
        error = as_object(content.get("error")) or (content if "code" in content and "message" in content else None)
        if error is None:
            return None
        words = str(error.get("message", error))
        if "context" not in words:
            return _refused(words)
        count = as_count(error.get("n_prompt_tokens"))
        prompt = f"the prompt has {count:,} tokens" if count is not None else words
        detail = f"{prompt}, and the context is {self.context:,} tokens"
        return TeacherFault(detail, kind="permanent", code="context_length", evidence=words.encode())

    async def close(self) -> None:
        """Wait for what is running and let the model go."""
        self._pool.shutdown(wait=True)
        self._server = None


def _refused(words: str) -> TeacherFault:
    line = " ".join(words.split())
    return TeacherFault(line, kind="permanent", code="refused", evidence=words.encode())


class GgufTeacher:
    """Answers from a model file in this process."""

    def __init__(
        self, path: Path, *, provider: str = "gguf", slots: int = SLOTS, threads: int = THREADS, continues: bool = False
    ) -> None:
        """Load the model; one that `continues` is a base model, which goes on after the text of the messages.

        Raises:
            InputError: where the file is not a whole GGUF, or the `local` extra is missing.
        """
        self._model = GgufModel(path, slots=slots, threads=threads)
        self._continues = continues
        name = path.name.removesuffix(".gguf")
        self._identity = TeacherIdentity(provider=provider, model=name, revision=self._model.revision)

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
        body = wire_body(request, self._identity.model)
        if self._continues:
            text = "\n\n".join(message.content for message in request.messages)
            content = await self._model.continue_text(text, body)
        else:
            content = await self._model.complete(body)
        return read_completion(content, b"").model_copy(update={"cost_usd": 0.0, "model": self._identity.model})

    async def close(self) -> None:
        """Wait for what is running and let the model go."""
        await self._model.close()
