"""What is known of a run's judges, and whether they may decide.

A judge is its instructions, its options and its model together: change one and it is another judge, of which nothing is known. So
a calibration names the judge that it was made for, and counts for no other. A judge without one works and is called
`uncalibrated` wherever it appears; one whose calibration says that it is hardly better than a coin stops the run before a call.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import orjson

from gristmill.errors import GateFailed, InputError
from gristmill.ids import content_id
from gristmill.plain import as_count, as_list, as_object

if TYPE_CHECKING:
    from pathlib import Path

    from gristmill.messages import Frozen
    from gristmill.records import TeacherIdentity
    from gristmill.registry import Plugin

UNCALIBRATED = "uncalibrated"


class CalibrationFile(NamedTuple):
    """What `gristmill audit` found out about one judge."""

    name: str
    judge: str
    """The judge's mark."""
    labels: int
    refused: tuple[str, ...]
    """Why it may not decide; empty where it may."""
    words: str


def judge_content(plugin: Plugin[Any], options: Frozen, identity: TeacherIdentity | None) -> dict[str, Any]:
    """Return what a grader is, as far as its grades depend on it."""
    content: dict[str, Any] = {
        "grader": plugin.identity,
        "type": plugin.traits["type"],
        "options": options.model_dump(mode="json"),
    }
    if identity is not None:
        content["by"] = identity.model_dump()
    return content


def judge_mark(content: dict[str, Any]) -> str:
    """Return the short name of one judge: of its instructions, options and model together."""
    return content_id("grader", content)[:8]


def read_calibration(base: Path, name: str | None) -> CalibrationFile | None:
    """Return what is in a calibration file, or None where none is named.

    Raises:
        InputError: where it cannot be read or is none.
    """
    if name is None:
        return None
    path = base / name
    fix = "Make one with `gristmill audit`; the path is relative to the recipe."
    try:
        content = as_object(orjson.loads(path.read_bytes())) or {}
    except OSError as error:
        raise InputError(f"the calibration {path} cannot be read: {error.strerror or error}", fix=fix) from None
    except orjson.JSONDecodeError as error:
        raise InputError(f"the calibration {path} is not JSON: {error}", fix=fix) from None
    judge, labels, refused = content.get("judge"), as_count(content.get("labels")), as_list(content.get("refused"))
    if not isinstance(judge, str) or labels is None or refused is None:
        raise InputError(f"{path} is no calibration: `judge`, `labels` and `refused` are not all there", fix=fix)
    return CalibrationFile(name, judge, labels, tuple(map(str, refused)), str(content.get("words", "")))


def standing(content: dict[str, Any], known: CalibrationFile | None) -> str:
    """Say in one line what is known of a judge.

    Raises:
        GateFailed: where what is known is that it may not decide.
    """
    if known is None:
        return UNCALIBRATED
    if known.judge != judge_mark(content):
        return f"{UNCALIBRATED}: {known.name} was made for another model, other options or another version"
    if known.refused:
        raise GateFailed(
            f"the judge `{content['grader']}` may not decide by {known.name}: {'; '.join(known.refused)}",
            fix="Choose a better model or rubric and calibrate it with `gristmill audit`; or leave `calibration` away and the "
            "run says `uncalibrated`.",
        )
    return f"calibrated on {known.labels} labels: {known.words}"
