"""``python -m tools.train_builtin`` trains, chooses the teacher and the student, measures them and writes the files."""

from __future__ import annotations

import argparse
import json
import shutil
import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tokenizers import Tokenizer
from tools.train_builtin.data import STYLES, TEST_SEED, held_out_problems
from tools.train_builtin.evaluate import Sampler, differing_from_torch, measured
from tools.train_builtin.export import rounded_model, write_checksums, write_gguf, write_transformers
from tools.train_builtin.log import STUDENT_PASS1, TEACHER_PASS1, curve, nearest, read_log
from tools.train_builtin.score import TEMPERATURE
from tools.train_builtin.tokenizer import trained_tokenizer
from tools.train_builtin.train import Settings, train

if TYPE_CHECKING:
    from transformers import LlamaForCausalLM

    from gristmill.sources.word_problems import WordProblem

HERE = Path(__file__).parent
MODELS = HERE.parents[1] / "src" / "gristmill" / "assets" / "models"


def main() -> None:
    """Run the stages; ``--ship`` alone starts from the checkpoints of an earlier run."""
    parser = argparse.ArgumentParser(prog="python -m tools.train_builtin", description=__doc__)
    parser.add_argument("--folder", type=Path, default=Path("build/train_builtin"), help="for checkpoints and the log")
    parser.add_argument("--ship", action="store_true", help="do not train, use the checkpoints in the folder")
    parser.add_argument("--problems", type=int, default=1000, help="held-out problems to measure on")
    arguments = parser.parse_args()
    folder: Path = arguments.folder
    folder.mkdir(parents=True, exist_ok=True)
    settings = Settings()
    if not arguments.ship:
        tokenizer = trained_tokenizer()
        tokenizer.save(str(folder / "tokenizer.json"))
        train(tokenizer, settings, folder)
    ship(folder, settings, arguments.problems)


def ship(folder: Path, settings: Settings, count: int) -> None:
    """Write the two models, their card and checksums, and the log with its curve."""
    rows = read_log(folder / "log.csv")
    steps = {"teacher": nearest(rows, TEACHER_PASS1), "student": nearest(rows, STUDENT_PASS1)}
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    problems = held_out_problems(TEST_SEED, count, trained_on=int(rows[-1]["step"]) * settings.batch)
    MODELS.mkdir(parents=True, exist_ok=True)
    models = {name: rounded_model(folder / f"step-{step}.pt") for name, step in steps.items()}
    for name, model in models.items():
        write_gguf(model, tokenizer, f"gristmill builtin {name}", MODELS / f"builtin-{name}.f16.gguf")
    card = {
        "license": "Apache-2.0",
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
        "seed": settings.seed,
        "temperature": TEMPERATURE,
        "held_out_problems": count,
        "models": {
            f"builtin-{name}": {"steps": steps[name], **facts(name, model, tokenizer, problems)} for name, model in models.items()
        },
    }
    print(json.dumps(card, indent=2))
    (MODELS / "card.json").write_text(json.dumps(card, indent=2) + "\n")
    write_transformers(models["student"], tokenizer, MODELS / "builtin-student")
    write_checksums(MODELS)
    shutil.copyfile(folder / "log.csv", HERE / "log.csv")
    (HERE / "curve.svg").write_text(curve(rows, steps))


def facts(name: str, model: LlamaForCausalLM, tokenizer: Tokenizer, problems: list[WordProblem]) -> dict[str, Any]:
    """Measure the GGUF on held-out problems and compare it with the model it was written from."""
    sampler = Sampler(MODELS / f"builtin-{name}.f16.gguf")
    return {
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "greedy_answers_unlike_pytorch": len(differing_from_torch(sampler, model, tokenizer, problems[:200])),
        "styles": {style: asdict(measured(sampler, problems, style)) for style in STYLES},
    }


if __name__ == "__main__":
    main()
