"""The network: a Llama of about a million parameters, so that every runtime already knows it."""

from __future__ import annotations

import torch
from tools.train_builtin.tokenizer import VOCABULARY
from transformers import LlamaConfig, LlamaForCausalLM

PAD_ID, END_ID = 0, 3


def config() -> LlamaConfig:
    """Return the shape of the model."""
    return LlamaConfig(
        vocab_size=VOCABULARY,
        hidden_size=128,
        intermediate_size=384,
        num_hidden_layers=4,
        num_attention_heads=4,
        num_key_value_heads=4,
        max_position_embeddings=512,
        rms_norm_eps=1e-5,
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=END_ID,
        pad_token_id=PAD_ID,
        attn_implementation="sdpa",
    )


def new_model(seed: int) -> LlamaForCausalLM:
    """Return a freshly initialised model."""
    torch.manual_seed(seed)
    return LlamaForCausalLM(config())


def answer_logits(model: LlamaForCausalLM, ids: torch.Tensor, is_answer: torch.Tensor) -> torch.Tensor:
    """Return the logits that predict the answer's tokens, one row a token, prompts and padding left out.

    Padding stands on the right, where a causal model never looks, so no attention mask is needed.
    """
    hidden = model.model(input_ids=ids[:, :-1], use_cache=False).last_hidden_state
    return model.lm_head(hidden[is_answer[:, 1:]])
