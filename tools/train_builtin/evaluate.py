"""Samples a GGUF the way the product does, in ``xllamacpp``, and counts right answers."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from math import comb
from typing import TYPE_CHECKING, Any

import torch
import xllamacpp
from tools.train_builtin.check import number_in
from tools.train_builtin.data import STYLES, Style, example, question
from tools.train_builtin.model import END_ID

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from tokenizers import Tokenizer
    from transformers import LlamaForCausalLM

    from gristmill.sources.word_problems import WordProblem

SLOTS = 16
LONGEST_ANSWER = 100
CONTEXT = 256  # tokens a slot


@dataclass(frozen=True, slots=True)
class Measured:
    """Shares of the held-out problems in one style."""

    greedy: float
    pass1: float
    pass8: float


class Sampler:
    """A model in this process that answers many prompts at once on one thread."""

    def __init__(self, gguf: Path, slots: int = SLOTS) -> None:
        params = xllamacpp.CommonParams()
        params.model.path = str(gguf)
        params.n_parallel = slots
        params.n_ctx = CONTEXT * slots
        params.cpuparams.n_threads = params.cpuparams_batch.n_threads = 1
        params.n_gpu_layers = 0
        params.verbosity = 0
        self._server = xllamacpp.Server(params)
        self._threads = ThreadPoolExecutor(slots)

    def answers(self, questions: Sequence[str], temperature: float, seeds: Sequence[int]) -> list[str]:
        """Answer every question with its seed, from the full distribution: no top-k, top-p or min-p."""
        return list(self._threads.map(lambda q, seed: self._answer(q, temperature, seed), questions, seeds))

    def _answer(self, text: str, temperature: float, seed: int) -> str:
        request = {
            "messages": [{"role": "user", "content": text}],
            "max_tokens": LONGEST_ANSWER,
            "temperature": temperature,
            "seed": seed,
            "top_k": 0,
            "top_p": 1.0,
            "min_p": 0.0,
        }
        replies: list[dict[str, Any]] = []
        self._server.handle_chat_completions(request, replies.append)
        return replies[0]["choices"][0]["message"]["content"]


def measured(sampler: Sampler, problems: Sequence[WordProblem], style: Style, tries: int = 8) -> Measured:
    """Return greedy accuracy, and pass@1 and pass@8 at temperature 0.8 by the unbiased estimate."""
    questions = [question(problem, style) for problem in problems]
    greedy = sampler.answers(questions, 0.0, [0] * len(questions))
    seeds = [n * tries + k for n in range(len(questions)) for k in range(tries)]
    sampled = sampler.answers([q for q in questions for _ in range(tries)], 0.8, seeds)
    right = [
        sum(number_in(a, style) == problem.answer for a in sampled[n * tries : (n + 1) * tries])
        for n, problem in enumerate(problems)
    ]
    return Measured(
        greedy=_mean([number_in(a, style) == p.answer for a, p in zip(greedy, problems, strict=True)]),
        pass1=_mean([passed(tries, r, 1) for r in right]),
        pass8=_mean([passed(tries, r, min(8, tries)) for r in right]),
    )


def passed(tries: int, right: int, k: int) -> float:
    """Return the chance that at least one of ``k`` drawn from ``tries`` samples is right (Chen et al., 2021)."""
    return 1 - comb(tries - right, k) / comb(tries, k)


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def greedy_by_torch(model: LlamaForCausalLM, tokenizer: Tokenizer, problem: WordProblem, style: Style) -> str:
    """Return the model's most likely answer as PyTorch computes it in single precision."""
    ids = torch.tensor([tokenizer.encode(example(problem, style).prompt).ids])
    with torch.no_grad():
        out = model.generate(
            ids,
            attention_mask=torch.ones_like(ids),
            do_sample=False,
            max_new_tokens=LONGEST_ANSWER,
            eos_token_id=END_ID,
            pad_token_id=END_ID,
        )
    return tokenizer.decode(out[0, ids.size(1) :].tolist(), skip_special_tokens=True)


def differing_from_torch(
    sampler: Sampler, model: LlamaForCausalLM, tokenizer: Tokenizer, problems: Sequence[WordProblem]
) -> list[tuple[str, str]]:
    """Return the pairs of greedy answers (GGUF, PyTorch) that are not equal; the styles take turns."""
    styles = [STYLES[n % len(STYLES)] for n in range(len(problems))]
    asked = [question(p, s) for p, s in zip(problems, styles, strict=True)]
    ours = sampler.answers(asked, 0.0, [0] * len(asked))
    theirs = [greedy_by_torch(model, tokenizer, p, s) for p, s in zip(problems, styles, strict=True)]
    return [pair for pair in zip(ours, theirs, strict=True) if pair[0] != pair[1]]
