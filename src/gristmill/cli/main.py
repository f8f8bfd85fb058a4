"""`gristmill`: every command, and how each ends.

A person's mistake is one message and its fix; only a bug shows a traceback. Commands import what they need when they run, so
`--help` is quick.
"""

from __future__ import annotations

import errno
import sys
from typing import Annotated

import orjson
import typer

from gristmill.errors import GristmillError, InputError

# typer carries its own copy of click, so the exception is found through typer's public names
UsageError: type[Exception] = typer.BadParameter.__bases__[0]

app = typer.Typer(
    name="gristmill",
    help="Make synthetic training data that can be trusted: sample a teacher, grade every sample, keep what passes.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)

RecipeFile = Annotated[str, typer.Argument(metavar="RECIPE", help="A recipe file.")]
Output = Annotated[str | None, typer.Option("-o", "--output", help="The run's folder; runs/NAME by default.")]
LedgerDir = Annotated[str | None, typer.Option(help="Put the ledger here: a local disk, where the run's is not.")]
AllowKey = Annotated[
    list[str] | None,
    typer.Option(metavar="NAME=HOST", help="Let the key in variable NAME go to HOST.", show_default=False),
]
GraderOption = Annotated[list[str] | None, typer.Option(metavar="NAME=VALUE", help="An option of the grader; may be repeated.")]
Question = Annotated[str | None, typer.Option(metavar="FIELD", help="The field with the question, if it is not `prompt`.")]
AnswerFormatOption = Annotated[
    str | None,
    typer.Option(
        "--answer-format", metavar="FORMAT", help="auto, boxed, hash, json:FIELD, line:PREFIX, tag:NAME, literal, last_number."
    ),
]
SandboxOption = Annotated[
    str, typer.Option(metavar="TIER", help="The least walls for code of models: strong, medium, weak (none).")
]
Trust = Annotated[bool, typer.Option("--trust", help="Run the Python files that the recipe names.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]


@app.callback(invoke_without_command=True)
def root(ctx: typer.Context, version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False) -> None:
    """Handle the options that stand before a command."""
    if version:
        from gristmill import __version__

        typer.echo(f"gristmill {__version__}")
        raise typer.Exit
    if ctx.invoked_subcommand is None:
        typer.echo(ctx.get_help())


@app.command()
def init(
    name: Annotated[str, typer.Argument(help="Names the recipe and its file.")] = "first",
    kind: Annotated[
        str, typer.Option(help="The kind of data: reasoning, qa, rewrite, instruct, conversation, annotate.")
    ] = "reasoning",
    as_json: Json = False,
) -> None:
    """Write a commented recipe that runs."""
    from gristmill.cli.init import init_command

    init_command(name, kind, as_json=as_json)


@app.command()
def check(
    recipe: RecipeFile,
    output: Output = None,
    call: Annotated[bool, typer.Option("--call", help="Ask each teacher once, with a tiny prompt; it is not recorded.")] = False,
    allow_key: AllowKey = None,
    sandbox: SandboxOption = "medium",
    as_json: Json = False,
) -> None:
    """Resolve a recipe and show it: every value, where it came from, what goes where. Calls nothing without `--call`."""
    from gristmill.cli.check import check_command

    check_command(recipe, output, allow_key or [], sandbox=sandbox, call=call, as_json=as_json)


@app.command()
def preview(  # noqa: PLR0913, PLR0917 - one parameter a flag
    recipe: RecipeFile,
    count: Annotated[int, typer.Option("-n", min=1, help="Samples to show, and calls to make at most.")] = 5,
    output: Output = None,
    ledger_dir: LedgerDir = None,
    allow_key: AllowKey = None,
    sandbox: SandboxOption = "medium",
    trust: Trust = False,
    as_json: Json = False,
) -> None:
    """Make a few samples and show prompt, raw output, grade and reason. They are kept: a run pays for none again."""
    from gristmill.cli.person import SampleFlags
    from gristmill.cli.preview import preview_command

    flags = SampleFlags(output, ledger_dir, tuple(allow_key or ()), sandbox, trust)
    preview_command(recipe, count, flags, as_json=as_json)


@app.command()
def pilot(  # noqa: PLR0913, PLR0917 - one parameter a flag
    recipe: RecipeFile,
    prompts: Annotated[int, typer.Option("-n", min=2, help="How many prompts, the first ones in plan order.")] = 50,
    output: Output = None,
    ledger_dir: LedgerDir = None,
    allow_key: AllowKey = None,
    sandbox: SandboxOption = "medium",
    trust: Trust = False,
    as_json: Json = False,
) -> None:
    """Sample a few prompts and say what the whole run will bring, cost and take. They are kept: a run pays for none again."""
    from gristmill.cli.person import SampleFlags
    from gristmill.cli.pilot import pilot_command

    flags = SampleFlags(output, ledger_dir, tuple(allow_key or ()), sandbox, trust)
    pilot_command(recipe, prompts, flags, as_json=as_json)


@app.command()
def run(  # noqa: PLR0913, PLR0917 - one parameter a flag
    recipe: RecipeFile,
    output: Output = None,
    ledger_dir: LedgerDir = None,
    rows: Annotated[int | None, typer.Option("--rows", min=1, help="Rows to make, in the place of target.rows.")] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Ask only the first so many prompts, in plan order.")] = None,
    until: Annotated[str | None, typer.Option(metavar="STAGE", help="Stop after this stage: index or grade.")] = None,
    reuse: Annotated[str | None, typer.Option(metavar="RUN", help="Use replies of another run where calls are the same.")] = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="Start anew; the earlier run is moved aside.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask: neither about new calls nor about the bill.")] = False,
    ask_above: Annotated[float, typer.Option(metavar="USD", min=0, help="Ask before a run that may cost more.")] = 10.0,
    sandbox: SandboxOption = "medium",
    allow_key: AllowKey = None,
    trust: Trust = False,
    as_json: Json = False,
) -> None:
    """Run a recipe, or go on where it stopped."""
    from gristmill.cli.run import RunFlags, run_command

    run_command(
        recipe,
        RunFlags(output, ledger_dir, rows, limit, until, reuse, fresh, yes, ask_above, sandbox, tuple(allow_key or ()), trust),
        as_json=as_json,
    )


@app.command()
def status(folder: Annotated[str, typer.Argument(metavar="RUN", help="A run's folder.")], as_json: Json = False) -> None:
    """Say how far a run is, also while it is running."""
    from gristmill.cli.status import status_command

    status_command(folder, as_json=as_json)


@app.command()
def grade(  # noqa: PLR0913, PLR0917 - one parameter a flag
    file: Annotated[str, typer.Argument(metavar="FILE", help="JSONL, JSON, CSV or Parquet, perhaps .gz or .zst, or a folder.")],
    grader: Annotated[str, typer.Option(help="Which grader: math, literal, … `gristmill describe` lists them.")] = "math",
    reference: Annotated[str | None, typer.Option(metavar="FIELD", help="The field with the right answer.")] = None,
    output: Annotated[str, typer.Option(metavar="FIELD", help="The field with the output, or a list of outputs.")] = "output",
    answer_format: AnswerFormatOption = None,
    question: Question = None,
    option: GraderOption = None,
    by: Annotated[str | None, typer.Option(metavar="ADDRESS", help="The model that judges, for `judge` and `reward`.")] = None,
    model: Annotated[str | None, typer.Option(help="The judge's name at that address.")] = None,
    to: Annotated[str | None, typer.Option("-o", "--to", metavar="FILE", help="By default FILE.graded.jsonl.")] = None,
    sandbox: SandboxOption = "medium",
    allow_key: AllowKey = None,
    trust: Trust = False,
    as_json: Json = False,
) -> None:
    """Grade outputs that are already in a file. A verifier makes no call; a judge's calls are on record in FILE.judged."""
    from gristmill.cli.grade import Asked, JudgeFlags, chosen_grader, grade_command, judge_command, own_grader
    from gristmill.studies.grading import Fields

    options = [*(option or []), *([f"answer_format={answer_format}"] if answer_format else [])]
    fields = Fields(output, reference, question)
    if by is None:
        own_grader(grader, trust=trust)
        grade_command(file, chosen_grader(grader, options, sandbox), fields, to, as_json=as_json)
    else:
        judge_command(file, Asked(grader, options), fields, to, JudgeFlags(by, model, allow_key or []), as_json=as_json)


@app.command()
def audit(  # noqa: PLR0913, PLR0917 - one parameter a flag
    file: Annotated[
        str | None, typer.Argument(metavar="[FILE]", help="Labelled outputs; without it, the sets that ship.")
    ] = None,
    grader: Annotated[str | None, typer.Option(help="Which grader; `judge` with --by.")] = None,
    reference: Annotated[str | None, typer.Option(metavar="FIELD", help="The field with the right answer.")] = None,
    output: Annotated[str, typer.Option(metavar="FIELD", help="The field with the output, or a list of outputs.")] = "output",
    label: Annotated[str | None, typer.Option(metavar="FIELD", help="The field with true or false, or a list of them.")] = None,
    answer_format: AnswerFormatOption = None,
    question: Question = None,
    option: GraderOption = None,
    by: Annotated[str | None, typer.Option(metavar="ADDRESS", help="Calibrate a judge: the model that judges.")] = None,
    model: Annotated[str | None, typer.Option(help="The judge's name at that address.")] = None,
    to: Annotated[str | None, typer.Option("-o", "--to", metavar="FOLDER", help="Where a calibration goes.")] = None,
    sandbox: SandboxOption = "medium",
    allow_key: AllowKey = None,
    trust: Trust = False,
    as_json: Json = False,
) -> None:
    """Compare graders with known labels: precision, recall, coverage, cost, every disagreement. `--by` calibrates a judge."""
    from gristmill.cli.audit import AuditFlags, audit_command
    from gristmill.studies.grading import Fields

    options = [*(option or []), *([f"answer_format={answer_format}"] if answer_format else [])]
    flags = AuditFlags(grader, options, by, model, to, sandbox, allow_key or [], trust)
    audit_command(file, Fields(output, reference, question, label), flags, as_json=as_json)


@app.command()
def report(folder: Annotated[str, typer.Argument(metavar="RUN", help="A run's folder.")], as_json: Json = False) -> None:
    """Make the report of a run anew: report.html, and report.json with the same numbers."""
    from gristmill.cli.report import report_command

    report_command(folder, as_json=as_json)


@app.command()
def demo(
    output: Annotated[str, typer.Option("-o", "--output", help="The run's folder.")] = "runs/demo",
    as_json: Json = False,
) -> None:
    """Make 500 reasoning traces with the model that comes with gristmill: no key, no network, no GPU."""
    from gristmill.cli.demo import demo_command

    demo_command(output, as_json=as_json)


@app.command()
def schema(as_json: Json = False) -> None:  # noqa: ARG001 - it is JSON either way
    """Print the recipe's JSON Schema, for editors."""
    from gristmill.cli.schema import schema_command

    schema_command()


@app.command()
def serve(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="builtin, builtin-student or FILE.gguf.")],
    port: Annotated[int, typer.Option(min=0, max=65535, help="On 127.0.0.1; 0 takes a free one.")] = 8080,
    slots: Annotated[int, typer.Option(min=1, max=256, help="Requests to answer side by side.")] = 16,
    threads: Annotated[int, typer.Option(min=1, max=256, help="Threads that calculate.")] = 1,
    as_json: Json = False,
) -> None:
    """Serve a model on this machine, for every client of OpenAI's chat completions. Ctrl-C ends it."""
    from gristmill.cli.serve import serve_command

    serve_command(model, port, slots, threads, as_json=as_json)


@app.command()
def describe(
    name: Annotated[str | None, typer.Argument(metavar="[NAME]", help="One of them, such as math, with its options.")] = None,
    as_json: Json = False,
) -> None:
    """Show what there is: sources, tasks, teachers, templates, graders, exports, errors, exit codes, commands."""
    from gristmill.cli.describe import describe_command

    describe_command(name, [info.callback for info in app.registered_commands if info.callback], as_json=as_json)


@app.command()
def doctor(
    folder: Annotated[str, typer.Argument(metavar="[FOLDER]", help="Where runs are to be written.")] = "runs",
    as_json: Json = False,
) -> None:
    """Check this machine: Python, memory, disk, libraries, the models that ship. Writes nothing that stays."""
    from gristmill.cli.doctor import doctor_command

    doctor_command(folder, as_json=as_json)


def main() -> None:
    """Run the command line and end with its exit code."""
    as_json = "--json" in sys.argv
    try:
        code = app(standalone_mode=False)
    except GristmillError as error:
        code = report_error(error, as_json=as_json)
    except UsageError as error:
        context = getattr(error, "ctx", None)
        command = context.command_path if context else "gristmill"
        words = error.format_message() if isinstance(error, typer.BadParameter) else str(error)
        code = report_error(InputError(words, fix=f"See `{command} --help`."), as_json=as_json)
    except (KeyboardInterrupt, typer.Abort):
        sys.stderr.write("interrupted; nothing that was recorded is lost\n")
        code = 130
    except BrokenPipeError:
        sys.stderr.close()
        code = 0
    except OSError as error:
        told = _refused_by_the_system(error)
        if told is None:
            raise
        code = report_error(told, as_json=as_json)
    sys.exit(code if isinstance(code, int) else 0)


def _refused_by_the_system(error: OSError) -> GristmillError | None:
    """Return what the system refused where it is no bug of ours: a folder that may not be written, a full disk; else None."""
    from gristmill.store.place import disk_error

    words = f"{error.filename or 'a file'}: {error.strerror}"
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS, errno.EEXIST, errno.ENOTDIR, errno.EISDIR, errno.ENAMETOOLONG):
        return InputError(words, fix="Choose a file or folder that you may read and write.")
    return disk_error(error)


def report_error(error: GristmillError, *, as_json: bool) -> int:
    """Print a message and its fix, and return the exit code."""
    from gristmill.cli.terminal import safe

    if as_json:
        content = {"error": str(error), "fix": error.fix, "kind": type(error).__name__, "exit_code": error.exit_code}
        sys.stdout.write(orjson.dumps(content, option=orjson.OPT_INDENT_2).decode() + "\n")
    fix = f"\n  {safe(error.fix)}" if error.fix else ""
    sys.stderr.write(f"error: {safe(str(error))}{fix}\n")
    return error.exit_code
