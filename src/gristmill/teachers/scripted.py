"""`scripted`: a teacher for tests and benchmarks that answers by rule, as late and as faultily as it is told.

Everything follows from a hash of the request, so two runs see the same answers and the same faults whatever the order of
calls. With `log`, every request that arrives is appended to a file before it is answered: that is how crash tests count what
was asked for again.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from gristmill.messages import Frozen, Message
from gristmill.ports import CONTENT_FILTER, TeacherFault
from gristmill.records import Reply, TeacherIdentity, Usage

if TYPE_CHECKING:
    from gristmill.records import Request

Share = Annotated[float, Field(ge=0, le=1)]


class ScriptedReply(Frozen):
    """What is answered to some requests."""

    step: str = ""
    """How the request's step begins."""
    contains: str = ""
    """What its messages contain."""
    answers: Annotated[tuple[str, ...], Field(min_length=1)]
    """Texts to answer with."""

    def fits(self, request: Request) -> bool:
        """Whether this is for a request."""
        return request.step.startswith(self.step) and any(self.contains in message.content for message in request.messages)


class Script(Frozen):
    """What the scripted teacher does."""

    answers: tuple[str, ...] = ("scripted answer {n}",)
    """Texts to answer with; `{n}` becomes a number below a million that depends on the request."""
    replies: tuple[ScriptedReply, ...] = ()
    """Texts for requests of a step or about something; the first that fits goes before `answers`."""
    latency_s: tuple[Annotated[float, Field(ge=0)], Annotated[float, Field(ge=0)]] = (0.0, 0.0)
    """Shortest and longest time to an answer."""
    transient: Share = 0.0
    """Share of requests whose first try ends in a passing fault."""
    permanent: Share = 0.0
    """Share of requests that are refused for good."""
    malformed: Share = 0.0
    """Share of requests whose first answer cannot be read."""
    truncated: Share = 0.0
    """Share of requests whose answer is cut off."""
    fatal_after: int | None = None
    """Calls after which the teacher is gone for good, as with a wrong key."""
    bills: bool = True
    """Whether calls count as paid."""
    cost_usd: float | None = None
    """What one answer costs."""
    log: str | None = None
    """File to which each arriving request's id is appended."""


class ScriptedTeacher:
    """Answers by rule."""

    def __init__(self, script: Script, model: str = "scripted", revision: str | None = None) -> None:
        self.script = script
        self._identity = TeacherIdentity(provider="scripted", model=model, revision=revision)
        self._tries: dict[str, int] = {}
        self._calls = 0
        self._log = os.open(Path(script.log), os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644) if script.log else None

    @property
    def identity(self) -> TeacherIdentity:
        """Return the scripted identity."""
        return self._identity

    @property
    def bills(self) -> bool:
        """Return what the script says."""
        return self.script.bills

    async def complete(self, request: Request) -> Reply:
        """Answer by the script.

        Raises:
            TeacherFault: where the script says so.
        """
        script = self.script
        self._calls += 1
        if self._log is not None:
            os.write(self._log, f"{request.id}\n".encode())
        low, high = script.latency_s
        if high > 0:
            await asyncio.sleep(low + (high - low) * _share(request.id, "latency"))
        if script.fatal_after is not None and self._calls > script.fatal_after:
            raise TeacherFault("401 Unauthorized: the key is not valid", kind="fatal", code="http_401", evidence=b"bad key")
        self._maybe_fault(request)
        number = int(_share(request.id, "number") * 1_000_000)
        answers = next((reply.answers for reply in script.replies if reply.fits(request)), script.answers)
        text = answers[int(_share(request.id, "answer") * len(answers))].replace("{n}", str(number))
        cut = _share(request.id, "truncated") < script.truncated
        return Reply(
            message=Message(role="assistant", content=text[: len(text) // 2] if cut else text),
            finish="length" if cut else "stop",
            usage=Usage(input_tokens=sum(len(m.content) for m in request.messages) // 4, output_tokens=len(text) // 4),
            cost_usd=script.cost_usd,
            model=self._identity.model,
        )

    def _maybe_fault(self, request: Request) -> None:
        script = self.script
        if _share(request.id, "permanent") < script.permanent:
            raise TeacherFault("400 Bad Request: content policy", kind="permanent", code=CONTENT_FILTER, evidence=b"policy")
        faulty = {"transient": script.transient, "malformed": script.malformed}
        if not any(faulty.values()):
            return
        tries = self._tries[request.id] = self._tries.get(request.id, 0) + 1
        for code, share in faulty.items():
            if tries == 1 and _share(request.id, code) < share:
                raise TeacherFault(f"scripted {code} fault", kind="transient", code=code, evidence=b"{", possibly_billed=True)

    async def close(self) -> None:
        """Close the log."""
        if self._log is not None:
            os.close(self._log)


def _share(request_id: str, what: str) -> float:
    """Return a number in [0, 1) that depends on the request and on what is asked."""
    return int.from_bytes(hashlib.sha256(f"{request_id}|{what}".encode()).digest()[:8], "big") / 2**64
