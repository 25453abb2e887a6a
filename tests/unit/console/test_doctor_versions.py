"""Which versions of the clients the doctor objects to."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from packaging.specifiers import SpecifierSet

from ferry_console.doctor.finding import Finding, Severity
from ferry_console.doctor.versions import (
    CLIENTS,
    DISTRIBUTION,
    Wanted,
    is_within,
    version_findings,
    versions_installed,
    versions_wanted,
    wanted_by,
)

INSTALLED = {DISTRIBUTION: "1.0", "confluent-kafka": "2.16.1", "redis": "8.1.0", "hiredis": "3.5.0", "celery": "5.7.0",
             "kombu": "5.7.0"}  # fmt: skip
numbers = st.lists(st.integers(0, 12), min_size=1, max_size=4).map(lambda parts: ".".join(map(str, parts)))
clauses = st.tuples(st.sampled_from([">=", "<=", "==", "!=", "<", ">"]), numbers).map("".join)
ranges = st.lists(clauses, max_size=3).map(",".join)


def errors(installed: dict[str, str], *wanted: Wanted) -> list[Finding]:
    """What is objected to."""
    found = version_findings(installed, list(wanted), "2.16.0")
    return [finding for finding in found if finding.severity is Severity.ERROR]


@given(version=numbers, wanted=ranges)
def test_ranges_mean_what_they_mean_to_pip(version: str, wanted: str) -> None:
    """Judged by packaging, which pip uses."""
    assert is_within(version, wanted) == SpecifierSet(wanted).contains(version)


@pytest.mark.parametrize(
    ("version", "wanted"), [("6.0rc1", "<6"), ("5.7", "~=5.6"), ("5.7", "==5.*"), ("5.7+local", "<6"), ("5", "of late")]
)
def test_what_is_not_understood_is_not_judged(version: str, wanted: str) -> None:
    """A candidate of 6.0 is neither below 6 nor, to pip, wanted."""
    assert is_within(version, wanted) is None


@given(text=st.text(max_size=60))
def test_any_line_of_metadata_is_read(text: str) -> None:
    """What asks for no client is passed over."""
    found = wanted_by("somebody", text, ("",))
    assert found is None or found.name in CLIENTS


@pytest.mark.parametrize(
    ("line", "extras", "wanted"),
    [
        ("redis<9,>=7; extra == 'console'", ("console",), "<9,>=7"),
        ('redis<9.0.0,>=6.4.0; extra == "redis"', ("redis",), "<9.0.0,>=6.4.0"),
        ("kombu>=5.7.0", ("",), ">=5.7.0"),
        ("kombu (>=5.7.0)", ("",), ">=5.7.0"),
        ("celery[redis]<6", ("",), "<6"),
        ("redis<9; extra == 'console'", ("worker",), None),
        ("redis<9; python_version < '3.9'", ("",), None),
        ("requests<9", ("",), None),
    ],
)
def test_lines_of_metadata(line: str, extras: tuple[str, ...], wanted: str | None) -> None:
    """As pip and hatchling write them."""
    found = wanted_by("somebody", line, extras)
    assert (found.range if found else None) == wanted


def test_what_is_installed_here_fits_together() -> None:
    """Ferry's own requirements, kombu's and Celery's are read from their metadata."""
    installed, wanted = versions_installed(), versions_wanted()
    assert installed.keys() == {DISTRIBUTION, *CLIENTS}
    assert {(want.asking, want.name) for want in wanted} == {
        (DISTRIBUTION, "confluent-kafka"), (DISTRIBUTION, "redis"), (DISTRIBUTION, "hiredis"), (DISTRIBUTION, "celery"),
        ("kombu", "redis"), ("celery", "kombu"),
    }  # fmt: skip
    assert errors(installed, *wanted) == []


def test_a_version_outside_is_named_with_who_asks() -> None:
    """And with the command that mends it."""
    (found,) = errors(INSTALLED | {"celery": "5.4.0"}, Wanted(DISTRIBUTION, "celery", "<6,>=5.7"))
    assert found.told == "celery 5.4.0 is installed, ferry-kafka asks for <6,>=5.7"
    assert found.remedy == "pip install 'celery<6,>=5.7'"


def test_celery_may_be_missing_where_no_worker_runs() -> None:
    """The other clients may not."""
    console_only = {name: version for name, version in INSTALLED.items() if name not in {"celery", "kombu"}}
    assert errors(console_only, Wanted(DISTRIBUTION, "celery", ">=5.7")) == []
    (found,) = errors({name: version for name, version in INSTALLED.items() if name != "redis"})
    assert found.told == "redis not installed"


def test_all_versions_are_in_one_line() -> None:
    """For a bug report; with the library inside the client."""
    first, *_ = version_findings(INSTALLED, [], "2.16.0")
    assert "confluent-kafka 2.16.1 (librdkafka 2.16.0)" in first.told
    assert all(f"{name} {version}" in first.told for name, version in INSTALLED.items() if name != DISTRIBUTION)
