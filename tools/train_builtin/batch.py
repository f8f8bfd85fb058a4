"""Examples as tensors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from tools.train_builtin.model import PAD_ID

if TYPE_CHECKING:
    from tokenizers import Tokenizer
    from tools.train_builtin.data import Example


@dataclass(frozen=True, slots=True)
class Batch:
    """Token ids, padded on the right, and which of them belong to the answer."""

    ids: torch.Tensor
    is_answer: torch.Tensor


def batch_of(tokenizer: Tokenizer, examples: list[Example]) -> Batch:
    """Encode examples of similar length."""
    prompts = [tokenizer.encode(e.prompt).ids for e in examples]
    answers = [tokenizer.encode(e.answer).ids for e in examples]
    width = max(len(p) + len(a) for p, a in zip(prompts, answers, strict=True))
    ids = torch.full((len(examples), width), PAD_ID)
    is_answer = torch.zeros_like(ids, dtype=torch.bool)
    for row, (p, a) in enumerate(zip(prompts, answers, strict=True)):
        ids[row, : len(p) + len(a)] = torch.tensor(p + a)
        is_answer[row, len(p) : len(p) + len(a)] = True
    return Batch(ids, is_answer)
