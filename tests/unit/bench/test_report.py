"""Reports: their files, tables and pictures."""

import json
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.files import read_reports, write_report
from bench.gates import GATES, Gate, judge
from bench.plot import svg_of
from bench.report import Reading, Report, Series, series_of
from bench.text import code_lines, gate_lines, number, report_lines

SVG = "{http://www.w3.org/2000/svg}"
VALUES = st.lists(st.floats(min_value=0.001, max_value=1e7), min_size=1, max_size=5)
TEXTS = st.text(st.characters(exclude_categories=["C"]), max_size=20)
SERIES = st.lists(
    st.builds(lambda key, label, unit, values: Series(key, label, unit, tuple(values)),
              st.sampled_from(["raw", "plain", "ferry_single"]), TEXTS, st.sampled_from(["ms", "MiB"]), VALUES),
    max_size=6,
)  # fmt: skip
REPORT = Report(
    "dispatch",
    (Series("raw", "raw", "messages/s", (100.0, 300.0, 200.0)), Series("ferry_single", "ferry", "messages/s", (50.0,))),
    {"kombu": "it is not there"},
    ("all on one machine",),
    {"messages": 500_000},
    {"bench.peers.raw": "while True:\n    pass\n"},
)


@given(SERIES, st.dictionaries(TEXTS, TEXTS), st.lists(TEXTS).map(tuple), st.dictionaries(TEXTS, st.integers()))
def test_a_file_holds_all_of_a_report(
    series: list[Series], missing: dict[str, str], notes: tuple[str, ...], facts: dict[str, int]
) -> None:
    """Written as JSON and read again it is the same."""
    report = Report("dispatch", tuple(series), missing, notes, facts, {"a": "b"})

    assert Report.from_document(json.loads(json.dumps(report.to_document()))) == report


EMPTY_SERIES = {"key": "a", "label": "", "unit": "", "values": []}


@pytest.mark.parametrize(
    "document",
    [{}, [], {"name": "x"}, REPORT.to_document() | {"series": [{"key": "raw"}]},
     REPORT.to_document() | {"series": [EMPTY_SERIES]}],
)  # fmt: skip
def test_something_else_is_no_report(document: object) -> None:
    """A file that was damaged, or another program's, is refused."""
    with pytest.raises(ValueError, match=r"no report|without values"):
        Report.from_document(document)  # type: ignore[arg-type]


def test_readings_of_a_key_are_one_series() -> None:
    """In the order of the rounds, each series where its first reading came."""
    readings = [Reading("b", "B", "ms", 2.0), Reading("a", "A", "ms", 1.0), Reading("b", "B", "ms", 4.0)]

    assert series_of(readings) == (Series("b", "B", "ms", (2.0, 4.0)), Series("a", "A", "ms", (1.0,)))


def test_the_table_has_median_and_spread() -> None:
    """And says what is missing, and how it was measured."""
    lines = report_lines(REPORT)

    assert lines[0] == "dispatch (messages: 500,000)"
    assert lines[2].split() == ["raw", "200", "100", "300", "messages/s", "3"]
    assert lines[-2:] == ["not measured: kombu: it is not there", "- all on one machine"]
    assert code_lines(REPORT) == ["", "--- bench.peers.raw", "while True:", "    pass"]


def test_nothing_in_a_reason_acts_on_the_terminal() -> None:
    """It quotes a process' log, which may hold anything."""
    report = Report("x", (), {"peer": "ended:\n\x1b[31mred"})

    assert "\x1b" not in "".join(report_lines(report))


def test_the_table_of_gates() -> None:
    """Each row: what, measured, gate, goal, whether it holds."""
    gate = Gate("ferry / raw", "dispatch", "ferry_single", "raw", 0.3, 0.5)
    other = Gate("kombu / raw", "dispatch", "kombu", "raw", 0.2, 0.9)
    less = Gate("raw / ferry", "dispatch", "raw", "ferry_single", 4, 3, at_least=False)
    lines = gate_lines(judge([gate, other, less], {"dispatch": REPORT}))

    assert [line.split("  ")[-1].strip() for line in lines] == ["holds", "NO", "NO", "yes"]
    assert lines[1].split()[-6:] == ["0.250", "≥", "0.3", "≥", "0.5", "NO"]
    assert "not measured" in lines[2]
    assert lines[3].split()[-6:] == ["4.00", "≤", "4", "≤", "3", "yes"]


@pytest.mark.parametrize(
    ("value", "text"),
    [(285_314.4, "285,314"), (99.96, "100.0"), (31.52, "31.5"), (1.236, "1.24"), (0.5124, "0.512"), (-3.0, "-3.00")],
)
def test_numbers_have_the_digits_that_count(value: float, text: str) -> None:
    """Neither 285,314.4 messages a second nor a ratio of 0.5."""
    assert number(value) == text


@given(SERIES)
def test_a_picture_shows_every_series(series: list[Series]) -> None:
    """As a bar as long as its median, within its group's width, with its label; it is XML whatever the texts."""
    root = ET.fromstring(svg_of(Report("dispatch", tuple(series))))  # noqa: S314 - our own

    bars = root.findall(f"{SVG}rect")
    assert len(bars) == len(series)
    labels = [text.text or "" for text in root.findall(f"{SVG}text") if text.get("class") == "label"]
    assert labels == [item.label for item in series]
    width, height = float(root.attrib["width"]), float(root.attrib["height"])
    for bar in bars:
        assert float(bar.attrib["x"]) + float(bar.attrib["width"]) <= width
        assert float(bar.attrib["y"]) + float(bar.attrib["height"]) <= height


def test_bars_are_in_proportion() -> None:
    """A quarter of the median is a quarter of the length, and ends where the spread does."""
    root = ET.fromstring(svg_of(REPORT))  # noqa: S314 - our own

    raw, own = root.findall(f"{SVG}rect")
    assert float(own.attrib["width"]) == pytest.approx(float(raw.attrib["width"]) / 4, abs=0.1)
    assert (raw.attrib["class"], own.attrib["class"]) == ("bar", "bar ferry")
    spread = root.findall(f"{SVG}line")[0]
    length = float(raw.attrib["width"])
    start = float(raw.attrib["x"])
    assert float(spread.attrib["x1"]) == pytest.approx(start + length / 2, abs=0.1)
    assert float(spread.attrib["x2"]) == pytest.approx(start + length * 1.5, abs=0.1)
    assert "prefers-color-scheme: dark" in (root.findtext(f"{SVG}style") or "")


def test_files_of_a_folder(tmp_path: Path) -> None:
    """What is there is read by name, what isn't is left out, and a picture lies beside."""
    write_report(tmp_path / "new", REPORT)

    assert read_reports(tmp_path / "new", ["dispatch", "produce"]) == {"dispatch": REPORT}
    assert (tmp_path / "new" / "dispatch.svg").read_text().startswith("<svg")


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    """Whoever reads the error knows which file to remove."""
    (tmp_path / "dispatch.json").write_text("{")

    with pytest.raises(ValueError, match=r"dispatch\.json"):
        read_reports(tmp_path, {gate.report for gate in GATES})
