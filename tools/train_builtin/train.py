"""The training loop: seeded, fresh problems in every batch, one checkpoint and one line of log every few steps.

The teacher and the student are checkpoints of one run, so checkpoints are kept, not only the last. The three styles
are not equally hard; at every checkpoint their weights in the mix are set by what each still gets wrong.
"""

from __future__ import annotations

import csv
import time
from dataclasses import dataclass
from math import cos, pi
from typing import TYPE_CHECKING

import torch
from tools.train_builtin.batch import Batch, batch_of
from tools.train_builtin.data import STYLES, Style, training_examples
from tools.train_builtin.model import answer_logits, new_model
from tools.train_builtin.muon import Muon
from tools.train_builtin.score import dev_batches, score
from torch.nn.functional import cross_entropy

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from tokenizers import Tokenizer
    from transformers import LlamaForCausalLM

CHUNK = 10  # batches drawn together, so that each holds texts of about one length
MEASURES = ("mix", "greedy", "pass1", "pass8")


@dataclass(frozen=True, slots=True)
class Settings:
    """What decides the outcome of a run."""

    seed: int = 0
    steps: int = 5000  # of the schedule; the run ends earlier, see `enough`
    enough: float = 0.75  # pass@1 in every style beyond which no checkpoint is wanted
    batch: int = 32
    learning_rate: float = 5e-3
    warmup: int = 100
    checkpoint_every: int = 100
    threads: int = 1


def chunk_of_batches(tokenizer: Tokenizer, settings: Settings, step: int, mix: Mapping[Style, float]) -> Iterator[Batch]:
    """Yield the batches of the next ``CHUNK`` steps in a seeded order."""
    examples = training_examples(step * settings.batch, CHUNK * settings.batch, mix)
    examples.sort(key=lambda e: len(e.prompt) + len(e.answer))
    order = torch.randperm(CHUNK, generator=torch.Generator().manual_seed(settings.seed + step)).tolist()
    for place in order:
        yield batch_of(tokenizer, examples[place * settings.batch : (place + 1) * settings.batch])


def rate(settings: Settings, step: int) -> float:
    """Return the learning rate: a linear warm-up, then a cosine down to nothing."""
    if step < settings.warmup:
        return settings.learning_rate * (step + 1) / settings.warmup
    return settings.learning_rate * 0.5 * (1 + cos(pi * (step - settings.warmup) / (settings.steps - settings.warmup)))


def optimizers_of(model: LlamaForCausalLM, settings: Settings) -> list[torch.optim.Optimizer]:
    """Return Muon for the layers' matrices and AdamW for the embeddings and norms."""
    matrices = [p for p in model.model.layers.parameters() if p.ndim == 2]
    chosen = {id(p) for p in matrices}
    rest = [p for p in model.parameters() if id(p) not in chosen]
    return [
        Muon(matrices, lr=settings.learning_rate),
        torch.optim.AdamW(rest, lr=settings.learning_rate, betas=(0.9, 0.98), weight_decay=0.01),
    ]


def train(tokenizer: Tokenizer, settings: Settings, folder: Path) -> None:
    """Train, leaving ``step-N.pt`` files and ``log.csv`` in a folder."""
    torch.set_num_threads(settings.threads)
    model = new_model(settings.seed)
    optimizers = optimizers_of(model, settings)
    dev = dev_batches(tokenizer)
    mix: dict[Style, float] = dict.fromkeys(STYLES, 1 / len(STYLES))
    started, losses, step = time.monotonic(), [], 0
    with (folder / "log.csv").open("w", newline="") as file:
        log = csv.writer(file)
        log.writerow(["step", "seconds", "loss", *(f"{s}_{m}" for s in STYLES for m in MEASURES)])
        while step < settings.steps:
            for batch in chunk_of_batches(tokenizer, settings, step, mix):
                losses.append(update(model, optimizers, batch, rate(settings, step)))
                step += 1
            if step % settings.checkpoint_every:
                continue
            torch.save(model.state_dict(), folder / f"step-{step}.pt")
            scores = {style: score(model, dev[style]) for style in STYLES}
            values = [v for s in STYLES for v in (mix[s], *scores[s])]
            row = [step, round(time.monotonic() - started), sum(losses) / len(losses), *values]
            log.writerow([f"{v:.4g}" for v in row])
            file.flush()
            print(" ".join(f"{v:.3g}" for v in row), flush=True)
            losses.clear()
            if min(scores[style].pass1 for style in STYLES) > settings.enough:
                return
            mix = {style: 1.05 - scores[style].pass1 for style in STYLES}


def update(model: LlamaForCausalLM, optimizers: list[torch.optim.Optimizer], batch: Batch, lr: float) -> float:
    """Take one optimiser step and return the loss on the answers."""
    logits = answer_logits(model, batch.ids, batch.is_answer)
    loss = cross_entropy(logits, batch.ids[batch.is_answer])
    loss.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group["lr"] = lr
        optimizer.step()
        optimizer.zero_grad()
    return loss.item()
