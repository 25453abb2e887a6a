"""Reports as files of a folder."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from bench.plot import svg_of
from bench.report import Report

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path


def write_report(folder: Path, report: Report) -> None:
    """Write NAME.json and NAME.svg.

    Raises:
        OSError: the folder can't be written to.
    """
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{report.name}.json").write_text(json.dumps(report.to_document(), indent=1) + "\n", encoding="utf-8")
    (folder / f"{report.name}.svg").write_text(svg_of(report), encoding="utf-8")


def read_reports(folder: Path, names: Iterable[str]) -> dict[str, Report]:
    """Read those reports that are there, by name.

    Raises:
        ValueError: a file holds no report.
        OSError: a file can't be read.
    """
    found = {}
    for name in names:
        path = folder / f"{name}.json"
        if path.exists():
            try:
                found[name] = Report.from_document(json.loads(path.read_text(encoding="utf-8")))
            except ValueError as error:
                raise ValueError(f"{path}: {error}") from error
    return found
