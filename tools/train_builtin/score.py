"""pass@k without sampling: the probability of the one canonical answer, read from a single forward pass."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import torch
from tools.train_builtin.batch import Batch, batch_of
from tools.train_builtin.data import DEV_SEED, STYLES, Style, example
from tools.train_builtin.model import answer_logits

from gristmill.sources.word_problems import word_problem

if TYPE_CHECKING:
    from tokenizers import Tokenizer
    from transformers import LlamaForCausalLM

DEV_PROBLEMS = 128
TEMPERATURE = 0.8


class Score(NamedTuple):
    """Shares of the development problems."""

    greedy: float
    pass1: float
    pass8: float


def dev_batches(tokenizer: Tokenizer) -> dict[Style, Batch]:
    """Encode the development problems once a style."""
    problems = [word_problem(DEV_SEED, index) for index in range(DEV_PROBLEMS)]
    return {style: batch_of(tokenizer, [example(p, style) for p in problems]) for style in STYLES}


@torch.no_grad()
def score(model: LlamaForCausalLM, batch: Batch) -> Score:
    """Return greedy accuracy and the expected pass@1 and pass@8 at the sampling temperature."""
    logits = answer_logits(model, batch.ids, batch.is_answer)
    targets = batch.ids[batch.is_answer]
    chances = (logits / TEMPERATURE).log_softmax(-1).gather(1, targets[:, None]).squeeze(1)
    lengths = batch.is_answer.sum(1).tolist()
    chance = torch.stack([part.sum().exp() for part in chances.split(lengths)])
    hits = (logits.argmax(-1) == targets).split(lengths)
    greedy = sum(bool(part.all()) for part in hits) / len(hits)
    return Score(greedy, chance.mean().item(), (1 - (1 - chance) ** 8).mean().item())
