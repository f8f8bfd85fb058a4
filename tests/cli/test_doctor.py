"""`gristmill doctor`: healthy here, and each fault is found and named."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from gristmill.engine.checkup import Check, checkup
from gristmill.teachers.addresses import BUILTIN, shipped_models
from tests.cli.commands import gristmill, inside
from tests.runs import command, finish
from tests.store.test_place import gristmill as in_shell
from tests.store.test_place import in_namespace

NAMES = [
    "python", "gristmill", "platform", "cores", "memory", "local models", "model files", "builtin", "disk", "free disk",
    "writable", "ledger", "parquet", "sandbox", "keys",
]  # fmt: skip
SECRET = "sk-very-secret-0123456789"


def of(checks: list[Check], name: str) -> Check:
    """Return the one check of a name."""
    (found,) = [check for check in checks if check.name == name]
    return found


def test_all_is_well_here_and_nothing_stays(tmp_path: Path) -> None:
    done = gristmill(tmp_path, "doctor", "runs/deep", "--json")
    assert done.code == 0, done.out
    checks = done.object["checks"]
    assert [check["name"] for check in checks] == NAMES
    assert all(set(check) == {"name", "state", "found", "remedy"} for check in checks)
    assert not [check for check in checks if check["state"] == "problem"]
    assert all(bool(check["remedy"]) is (check["state"] != "ok") for check in checks)
    found = {check["name"]: check["found"] for check in checks}
    assert str(tmp_path) in found["disk"]
    assert "####" in found["builtin"]
    assert found["ledger"].startswith("SQLite 3.")
    assert list(tmp_path.iterdir()) == []


def test_the_text_has_one_line_for_each(tmp_path: Path) -> None:
    done = inside(tmp_path, "doctor")
    assert done.code == 0
    lines = done.out.splitlines()
    assert [name for name in NAMES if sum(line.split(maxsplit=1)[-1].startswith(name) for line in lines if line) == 0] == []
    assert lines[-1].startswith("gristmill can run here")


def test_keys_are_told_by_name_and_never_by_value(tmp_path: Path) -> None:
    for words in (["doctor"], ["doctor", "--json"]):
        done = inside(tmp_path, *words, OPENAI_API_KEY=SECRET, OTHER_KEY=SECRET)
        assert "OPENAI_API_KEY" in done.out
        assert SECRET not in done.out + done.err
    assert of(checkup(tmp_path, {"OPENAI_API_KEY": SECRET}), "keys").found == "set: OPENAI_API_KEY"
    assert of(checkup(tmp_path, {"OPENAI_API_KEY": " "}), "keys").found.startswith("none is set")


def test_without_the_extra(tmp_path: Path) -> None:
    """A warning with what to install; the model is not asked, and the rest is as it was."""
    code, out, err = finish(command("doctor", str(tmp_path), prelude="sys.modules['xllamacpp'] = None"))
    assert (code, err) == (0, "")
    assert "warning  local models" in out
    assert 'pip install "gristmill[local]"' in out
    assert "ok       model files" in out
    assert "builtin  " not in out
    assert "worth a look: local models" in out


def test_a_damaged_model_file(tmp_path: Path) -> None:
    """One bit of the teacher is enough; a file that is gone is named too."""
    models = tmp_path / "models"
    shutil.copytree(shipped_models(), models)
    assert of(checkup(tmp_path, {}, models=models), "model files").state == "ok"
    data = bytearray((models / BUILTIN["builtin"]).read_bytes())
    data[-1000] ^= 1
    (models / BUILTIN["builtin"]).write_bytes(data)
    (models / "card.json").unlink()
    checks = checkup(tmp_path, {}, models=models)
    found = of(checks, "model files")
    assert (found.state, found.found) == ("problem", f"damaged or missing: {BUILTIN['builtin']}, card.json")
    assert "--force-reinstall" in found.remedy
    assert "builtin" not in [check.name for check in checks]
    (models / "SHA256SUMS").unlink()
    assert "SHA256SUMS" in of(checkup(tmp_path, {}, models=models), "model files").found


def test_a_network_disk(tmp_path: Path) -> None:
    found = of(checkup(tmp_path / "run", {}, mounts=f"server:/x {tmp_path} nfs4 rw 0 0\n"), "disk")
    assert found.state == "problem"
    assert "nfs4" in found.found
    assert "--ledger-dir" in found.remedy


@pytest.mark.parametrize("place", ["file", "file/below"])
def test_a_file_in_the_place_of_a_folder(tmp_path: Path, place: str) -> None:
    (tmp_path / "file").write_text("x")
    done = inside(tmp_path, "doctor", place)
    assert done.code == 2
    assert "is no folder" in done.out
    assert done.err == "error: something has to be put right: writable\n  Each line has its remedy.\n"


def test_a_folder_that_cannot_be_written_and_a_small_disk(tmp_path: Path) -> None:
    """Exit 2 with the remedy; a disk under a GiB is a warning."""
    (tmp_path / "disk").mkdir()
    words = ("doctor", str(tmp_path / "disk/runs"))
    done = in_namespace(f"mount -t tmpfs -o ro,size=900m none {tmp_path}/disk; {in_shell(*words)}")
    assert done.returncode == 2, done.stderr
    assert "problem  writable" in done.stdout
    assert "-o FOLDER" in done.stdout
    assert "warning  free disk     0.9 GiB" in done.stdout
    assert "Traceback" not in done.stderr
    full = f"mount -t tmpfs -o size=20m none {tmp_path}/disk; head -c 20000k /dev/zero > {tmp_path}/disk/x; {in_shell(*words)}"
    done = in_namespace(full)
    assert done.returncode == 2, done.stderr
    assert "problem  free disk" in done.stdout
