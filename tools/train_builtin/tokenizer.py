"""Byte-level BPE with the qwen2 pre-tokenizer, under which every digit is a token of its own."""

from __future__ import annotations

from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
from tools.train_builtin.data import ASSISTANT, END, STYLES, USER, training_examples

VOCABULARY = 896
PAD = "<|pad|>"
QWEN2_PATTERN = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"


def trained_tokenizer(examples: int = 20_000) -> Tokenizer:
    """Learn the merges from the first training examples."""
    tokenizer = Tokenizer(models.BPE())
    split = pre_tokenizers.Split(Regex(QWEN2_PATTERN), behavior="isolated")
    bytes_ = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([split, bytes_])
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=[PAD, USER, ASSISTANT, END],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    texts = (
        text.replace(USER, "").replace(ASSISTANT, "").replace(END, "")
        for pair in training_examples(0, examples, dict.fromkeys(STYLES, 1.0))
        for text in pair
    )
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer
