"""``python -m tools.train_builtin`` trains, chooses the teacher and the student, measures them and writes the files."""

from __future__ import annotations

import argparse
from pathlib import Path

from tools.train_builtin.tokenizer import trained_tokenizer
from tools.train_builtin.train import Settings, train


def main() -> None:
    """Read the folder to work in and run the stages."""
    parser = argparse.ArgumentParser(prog="python -m tools.train_builtin", description=__doc__)
    parser.add_argument("--folder", type=Path, default=Path("build/train_builtin"))
    arguments = parser.parse_args()
    folder: Path = arguments.folder
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer = trained_tokenizer()
    tokenizer.save(str(folder / "tokenizer.json"))
    train(tokenizer, Settings(), folder)


if __name__ == "__main__":
    main()
