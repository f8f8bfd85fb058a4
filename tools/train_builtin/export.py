"""A checkpoint as files other programs read: an f16 GGUF, and a folder that transformers loads.

Both hold the same half-precision numbers, so the student that is sampled is the student that is trained further.
"""

from __future__ import annotations

import json
from hashlib import sha256
from typing import TYPE_CHECKING

import gguf
import torch
from gguf import GGUFWriter
from tools.train_builtin.data import ASSISTANT, CHAT_TEMPLATE, END, USER
from tools.train_builtin.model import END_ID, PAD_ID, new_model
from tools.train_builtin.tokenizer import PAD
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

if TYPE_CHECKING:
    from pathlib import Path

    from tokenizers import Tokenizer

BLOCK_NAMES = {
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
    "input_layernorm": "attn_norm",
    "post_attention_layernorm": "ffn_norm",
}


def rounded_model(checkpoint: Path) -> LlamaForCausalLM:
    """Load a checkpoint, its weights rounded to half precision."""
    model = new_model(seed=0)
    model.load_state_dict({name: value.half().float() for name, value in torch.load(checkpoint).items()})
    return model.eval()


def write_gguf(model: LlamaForCausalLM, tokenizer: Tokenizer, name: str, path: Path) -> None:
    """Write what llama.cpp loads: matrices in half precision, norms in single precision."""
    writer = GGUFWriter(path, "llama")
    _write_facts(writer, model, name)
    _write_tokenizer(writer, tokenizer)
    for full_name, value in model.state_dict().items():
        if full_name == "lm_head.weight":  # tied to the embeddings
            continue
        array = _rotary_order(model, full_name, value).numpy()
        writer.add_tensor(_gguf_name(full_name), array.astype("float16") if array.ndim == 2 else array)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _write_facts(writer: GGUFWriter, model: LlamaForCausalLM, name: str) -> None:
    shape = model.config
    writer.add_name(name)
    writer.add_license("apache-2.0")
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_F16)
    writer.add_context_length(shape.max_position_embeddings)
    writer.add_embedding_length(shape.hidden_size)
    writer.add_block_count(shape.num_hidden_layers)
    writer.add_feed_forward_length(shape.intermediate_size)
    writer.add_head_count(shape.num_attention_heads)
    writer.add_head_count_kv(shape.num_key_value_heads)
    writer.add_layer_norm_rms_eps(shape.rms_norm_eps)
    writer.add_rope_dimension_count(shape.hidden_size // shape.num_attention_heads)
    writer.add_rope_freq_base(shape.rope_parameters["rope_theta"])
    writer.add_vocab_size(shape.vocab_size)


def _write_tokenizer(writer: GGUFWriter, tokenizer: Tokenizer) -> None:
    ids = tokenizer.get_vocab()
    control = {PAD, USER, ASSISTANT, END}
    tokens = sorted(ids, key=ids.__getitem__)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("qwen2")
    writer.add_token_list(tokens)
    writer.add_token_types([gguf.TokenType.CONTROL if t in control else gguf.TokenType.NORMAL for t in tokens])
    writer.add_token_merges([" ".join(pair) for pair in _merges(tokenizer)])
    writer.add_eos_token_id(END_ID)
    writer.add_pad_token_id(PAD_ID)
    writer.add_add_bos_token(value=False)
    writer.add_chat_template(CHAT_TEMPLATE)


def _merges(tokenizer: Tokenizer) -> list[list[str]]:
    return json.loads(tokenizer.to_str())["model"]["merges"]


def _gguf_name(name: str) -> str:
    if name == "model.embed_tokens.weight":
        return "token_embd.weight"
    if name == "model.norm.weight":
        return "output_norm.weight"
    _, _, block, part = name.removesuffix(".weight").split(".", 3)
    return f"blk.{block}.{BLOCK_NAMES[part]}.weight"


def _rotary_order(model: LlamaForCausalLM, name: str, value: torch.Tensor) -> torch.Tensor:
    """Reorder query and key rows: transformers rotates the two halves of a head, llama.cpp neighbouring pairs."""
    if not name.endswith(("q_proj.weight", "k_proj.weight")):
        return value
    heads = model.config.num_attention_heads
    return value.view(heads, 2, -1, value.size(1)).transpose(1, 2).reshape(value.shape)


def write_transformers(model: LlamaForCausalLM, tokenizer: Tokenizer, folder: Path) -> None:
    """Write the folder that ``AutoModelForCausalLM`` and ``AutoTokenizer`` load."""
    model.half().save_pretrained(folder)
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token=PAD, eos_token=END, additional_special_tokens=[USER, ASSISTANT]
    )
    fast.chat_template = CHAT_TEMPLATE
    fast.save_pretrained(folder)
    model.float()


def write_checksums(folder: Path) -> None:
    """Write ``SHA256SUMS`` over every other file below a folder, as ``sha256sum -c`` reads it."""
    sums = folder / "SHA256SUMS"
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path != sums)
    lines = [f"{sha256(path.read_bytes()).hexdigest()}  {path.relative_to(folder).as_posix()}\n" for path in files]
    sums.write_text("".join(lines))
