"""Exports train in TRL as they are: supervised on both forms, and by reinforcement on prompts with references."""

from __future__ import annotations

import importlib
import importlib.util
import json
import math
from typing import TYPE_CHECKING, Any

import pytest
from tests.exporting.running import RECIPE, exported, small_run

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [
    pytest.mark.trainers,
    pytest.mark.skipif(importlib.util.find_spec("trl") is None, reason="trl is not installed"),
    pytest.mark.filterwarnings("ignore"),  # third-party trainers warn about themselves
]
CHAT = (
    "{% for m in messages %}<|{{ m['role'] }}|>{% generation %}{{ m['content'] }}<|end|>{% endgeneration %}{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)
ROLES = ["<|system|>", "<|user|>", "<|assistant|>", "<|end|>", "<|pad|>"]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "HF_HUB_DISABLE_TELEMETRY"):
        monkeypatch.setenv(name, "1")
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    small_run(tmp_path, RECIPE)
    return tmp_path


def package(name: str) -> Any:
    """Return a package that has no types here, or is not installed where the types are checked."""
    return importlib.import_module(name)


def tiny(run: Path) -> tuple[Any, Any]:
    """Return a random model and a tokenizer that is trained on the run's own rows."""
    tokenizers, transformers = package("tokenizers"), package("transformers")
    package("torch").manual_seed(0)
    raw = tokenizers.Tokenizer(tokenizers.models.BPE())
    raw.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    raw.decoder = tokenizers.decoders.ByteLevel()
    alphabet = tokenizers.pre_tokenizers.ByteLevel.alphabet()
    trainer = tokenizers.trainers.BpeTrainer(vocab_size=400, special_tokens=ROLES, initial_alphabet=alphabet, show_progress=False)
    raw.train_from_iterator([json.dumps(row) for row in exported(run, "messages")["train"]], trainer)
    tokenizer = transformers.PreTrainedTokenizerFast(tokenizer_object=raw, eos_token="<|end|>", pad_token="<|pad|>")
    tokenizer.chat_template = CHAT
    config = transformers.LlamaConfig(
        vocab_size=len(tokenizer), hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=2,
        num_key_value_heads=2, max_position_embeddings=512, pad_token_id=tokenizer.pad_token_id,
        eos_token_id=tokenizer.eos_token_id, bos_token_id=tokenizer.eos_token_id,
    )  # fmt: skip
    return transformers.LlamaForCausalLM(config), tokenizer


def rows(run: Path, name: str) -> Any:
    files = str(run / "run" / "export" / name / "train.jsonl")
    return package("datasets").load_dataset("json", data_files=files, split="train", cache_dir=str(run / "cache"))


def settings(run: Path) -> dict[str, Any]:
    return {
        "output_dir": str(run / "out"),
        "use_cpu": True,
        "report_to": "none",
        "save_strategy": "no",
        "logging_steps": 1,
        "disable_tqdm": True,
        "bf16": False,
        "gradient_checkpointing": False,
        "seed": 0,
    }


@pytest.mark.parametrize("name", ["messages", "prompt_completion"])
def test_supervised_training_takes_two_steps(run: Path, name: str) -> None:
    trl = package("trl")
    model, tokenizer = tiny(run)
    before = model.lm_head.weight.detach().clone()
    config = trl.SFTConfig(**settings(run), max_steps=2, per_device_train_batch_size=2, max_length=256)
    trainer = trl.SFTTrainer(model=model, args=config, train_dataset=rows(run, name), processing_class=tokenizer)
    assert math.isfinite(trainer.train().training_loss)
    assert trainer.state.global_step == 2
    assert not before.equal(model.lm_head.weight)


def test_only_the_completion_is_learned(run: Path) -> None:
    trl = package("trl")
    model, tokenizer = tiny(run)
    config = trl.SFTConfig(**settings(run), max_steps=1, per_device_train_batch_size=1, max_length=256)
    data = rows(run, "prompt_completion")
    trainer = trl.SFTTrainer(model=model, args=config, train_dataset=data, processing_class=tokenizer)
    batch = next(iter(trainer.get_train_dataloader()))
    learned = tokenizer.decode(batch["input_ids"][0][batch["labels"][0] != -100])
    whole = tokenizer.decode(batch["input_ids"][0])
    assert "####" in learned
    assert "What is" in whole
    assert "What is" not in learned


def test_reinforcement_takes_a_step_with_a_reward_from_the_reference(run: Path) -> None:
    trl = package("trl")
    model, tokenizer = tiny(run)
    seen: list[str] = []

    def reward(completions: list[Any], reference: list[str], **_: Any) -> list[float]:
        seen.extend(reference)
        return [float(len(str(completion)) % 3) for completion in completions]

    config = trl.GRPOConfig(
        **settings(run), max_steps=1, per_device_train_batch_size=2, num_generations=2, max_completion_length=8
    )
    data = rows(run, "rl")
    trainer = trl.GRPOTrainer(model=model, args=config, reward_funcs=reward, train_dataset=data, processing_class=tokenizer)
    trainer.train()
    assert trainer.state.global_step == 1
    assert set(seen) <= set(data["reference"])
    assert seen
