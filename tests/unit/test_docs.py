"""The documentation holds what it says: its code runs, its links lead somewhere, its names exist."""

import json
import re
import shlex
import subprocess
import sys
import textwrap
import tomllib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from itertools import chain, takewhile
from pathlib import Path

import pytest
from celery.bin.celery import celery as celery_commands

import ferry_console.cli
import ferry_consumer.cli
import ferry_producer.cli
from ferry_consumer.resume import Reason
from ferry_shared.metric_names import ALL, Metric
from ferry_shared.settings import ConsumerSettings, ProducerSettings, WorkerSettings
from tests.support.clean_environment import clean_environment

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("examples/**/*.md")])

FENCE = re.compile(r"^(?P<indent> *)```(?P<language>\w*)\n(?P<text>.*?)^(?P=indent)```$", re.MULTILINE | re.DOTALL)
INDENTED = re.compile(r"(?:(?<=\n\n)|\A)(?:    .*\n)+")
CODE_SPAN = re.compile(r"(?<!`)`([^`\n]+)`(?!`)")
LINK = re.compile(r"\[[^\]]*\]\((?P<target>[^)\s]+)\)")
HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
FILE_HEADER = re.compile(r"# (?P<path>[\w/]+\.py)\b")
SHELL_LANGUAGES = frozenset({"sh", "shell", "bash", "console"})

SETTING = re.compile(r"\b(?:KAFKA|CELERY|FERRY|CONSUMER|PRODUCER|WORKER|LOG)_[A-Z0-9_]*[A-Z0-9]\b")
PATH_IN_PROJECT = re.compile(
    r"\b(?:docs|tests|bench|deploy|requirements|(?:console|consumer|producer|shared|worker)/ferry_\w+)/[\w./-]*\w"
)
TEST_NAME = re.compile(r"\btest_\w+\b(?!\.py|\.md)")

MACHINE_PATH = re.compile(r"/(?:work|root|Users)/|/home/\w")
WEB_HOST = re.compile(r"\b(?:https?|git|ssh)://(?:[^\s/@]*@)?(?P<host>[\w.-]+)")
REGISTRY = re.compile(r"\b(?:pypi\.org|pythonhosted\.org|repo1?\.maven\.|docker\.io/|ghcr\.io|quay\.io|npmjs\.org)")
#: Hosts that a tracked file may name: they are public and hold no packages, or don't exist (RFC 2606).
PUBLIC_HOST = re.compile(
    r"(www\.apache\.org|docs\.celeryq\.dev|no-color\.org|keepachangelog\.com|json-schema\.org|www\.w3\.org|semver\.org|localhost|127\.0\.0\.1|.*\.(example|invalid))\.?"
)

Main = Callable[[Sequence[str]], int]
PROGRAMS: dict[str, Main] = {
    "ferry": ferry_console.cli.main,
    "ferry-consumer": ferry_consumer.cli.main,
    "ferry-producer": ferry_producer.cli.main,
}


@dataclass(frozen=True, slots=True)
class Block:
    """A code block of a page; an indented one counts as shell."""

    language: str
    text: str


def name_of(page: Path) -> str:
    """A page's name, for the test's id."""
    return str(page.relative_to(ROOT))


each_page = pytest.mark.parametrize("page", PAGES, ids=name_of)
PAGES_WITH_PYTHON = [page for page in PAGES if "```python\n" in page.read_text(encoding="utf-8")]


def blocks(page: Path) -> list[Block]:
    """All code blocks of a page."""
    text = page.read_text(encoding="utf-8")
    fenced = [Block(found["language"], textwrap.dedent(found["text"])) for found in FENCE.finditer(text)]
    return fenced + [Block("sh", found.group()) for found in INDENTED.finditer(FENCE.sub("", text))]


def code_spans(page: Path) -> list[str]:
    """What stands between backticks in a page's prose."""
    return CODE_SPAN.findall(FENCE.sub("", page.read_text(encoding="utf-8")))


def commands(line: str) -> Iterator[list[str]]:
    """The commands of a shell line, without assignments, pipes, redirections and comments; words after a program."""
    lexer = shlex.shlex(line.strip().removeprefix("$ "), posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    try:
        words = list(lexer)
    except ValueError:  # half a line of a longer one
        return
    command: list[str] = []
    for word in [*words, ";"]:
        if set(word) <= set("|;&()"):
            if command:
                yield [Path(command[0]).name, *command[1:]]
            command = []
        elif not set(word) <= set("<>") and (command or "=" not in word):
            command.append(word)


def problem(words: list[str], capture: pytest.CaptureFixture[str]) -> str | None:
    """What is wrong with a command of ours; None for one that exists and for other people's."""
    program, *rest = words
    names = [word for word in rest if re.fullmatch(r"[a-z][a-z-]*", word)]
    if program == "make":
        unknown = set(names) - make_targets()
        return f"the Makefile has no target {', '.join(sorted(unknown))}" if unknown else None
    if program == "celery" and rest[:2] == ["-A", "ferry_worker"]:
        return None if not rest[2:] or rest[2] in celery_commands.commands else f"celery has no command {rest[2]}"
    if program.startswith("python") and rest[:1] == ["-m"] and rest[1].startswith("ferry_"):
        return None if runs_as_program(rest[1]) else f"{rest[1]} can't be run"
    if program in PROGRAMS:
        return problem_of_program(program, rest, capture)
    return None


def runs_as_program(module: str) -> bool:
    """Whether `python -m` does something with it: a package with a `__main__`, or a module that asks for its name."""
    spec = find_spec(module)
    if spec is None or spec.submodule_search_locations is not None:
        return spec is not None and find_spec(f"{module}.__main__") is not None
    return spec.origin is not None and '__name__ == "__main__"' in Path(spec.origin).read_text(encoding="utf-8")


def problem_of_program(program: str, rest: list[str], capture: pytest.CaptureFixture[str]) -> str | None:
    """Ask the program's own help whether its command and options exist."""
    command = [] if program == "ferry-producer" else list(takewhile(lambda word: not word.startswith("-"), rest[:2]))
    with pytest.raises(SystemExit) as ended:
        PROGRAMS[program]([*command, "--help"])
    told = capture.readouterr().out
    if ended.value.code != 0:
        return f"{program} has no command {' '.join(command)}"
    options = [word.partition("=")[0] for word in rest if word.startswith("--") and word != "--"]
    unknown = [option for option in options if option not in told]
    return f"{program} has no option {', '.join(unknown)}" if unknown else None


def make_targets() -> set[str]:
    """The targets of the Makefile."""
    return set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))


def tracked_files() -> dict[str, str]:
    """The texts of all files in the repository's index that are there, by name."""
    # A checkout can belong to another user, as in a container.
    listed = subprocess.run(
        ["git", "-c", "safe.directory=*", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    paths = [path for path in listed.stdout.split("\0") if path and (ROOT / path).is_file()]
    return {path: (ROOT / path).read_text(encoding="utf-8", errors="replace") for path in paths}


def between(page: Path, mark: str) -> str:
    """The part of a page between the comments `<!-- mark… -->` and `<!-- /mark -->`."""
    text = page.read_text(encoding="utf-8")
    found = re.search(rf"<!-- {mark}\b.*?-->\n(.*?)<!-- /{mark} -->", text, re.DOTALL)
    assert found, f"{page.name} has no <!-- {mark} -->"
    return found.group(1)


def metric_row(metric: Metric) -> str:
    """A metric as Prometheus shows it: a counter's name ends in `_total`."""
    name = f"{metric.name}_total" if metric.kind == "counter" else metric.name
    return f"| `{name}` | {metric.kind} | {', '.join(metric.labels) or '-'} | {metric.meaning} |"


@pytest.mark.parametrize("page", PAGES_WITH_PYTHON, ids=name_of)
def test_python_blocks_run(page: Path, tmp_path: Path) -> None:
    """In one namespace a page; a block that begins with `# package/module.py` is that file; nothing is awaited."""
    program = ["import asyncio", "asyncio.run = lambda coroutine: coroutine.close()"]
    for block in (block for block in blocks(page) if block.language == "python"):
        header = FILE_HEADER.match(block.text)
        if header is None:
            program.append(block.text)
            continue
        file = tmp_path / header["path"]
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(block.text, encoding="utf-8")
        program.append(f"import {header['path'].removesuffix('.py').replace('/', '.')}")
    (tmp_path / "page.py").write_text("\n".join(program), encoding="utf-8")
    environment = clean_environment() | {"PYTHONPATH": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "page.py"], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


@each_page
def test_json_and_toml_blocks_parse(page: Path) -> None:
    """A block that is named JSON or TOML is a whole document, or one JSON object a line."""
    for block in blocks(page):
        if block.language == "toml":
            tomllib.loads(block.text)
        elif block.language == "json":
            json.loads(block.text)
        elif block.language == "jsonl":
            for line in block.text.splitlines():
                json.loads(line)


@each_page
def test_commands_exist(page: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Every command of Ferry's and every make target, in blocks and in the text, with its options."""
    shell = chain.from_iterable(block.text.splitlines() for block in blocks(page) if block.language in SHELL_LANGUAGES)
    found = [words for line in chain(shell, code_spans(page)) for words in commands(line)]
    problems = {shlex.join(words): problem(words, capsys) for words in found}
    assert {command: told for command, told in problems.items() if told} == {}


@each_page
def test_links_lead_somewhere(page: Path) -> None:
    """Relative links name a file that is there, and a heading that it has."""
    for target in LINK.findall(FENCE.sub("", page.read_text(encoding="utf-8"))):
        path, _, anchor = target.partition("#")
        if ":" in path:
            continue
        file = (page.parent / path).resolve() if path else page
        assert file.exists(), target
        if anchor:
            headings = HEADING.findall(file.read_text(encoding="utf-8"))
            assert anchor in {re.sub(r"[^\w -]", "", heading).lower().replace(" ", "-") for heading in headings}, target


@each_page
def test_names_exist(page: Path) -> None:
    """Settings, files and tests that a page names."""
    text = page.read_text(encoding="utf-8")
    classes = (ConsumerSettings, ProducerSettings, WorkerSettings)
    settings = {name.upper() for section in classes for name in section.model_fields}
    settings |= {"FERRY_ENV_FILE", *SETTING.findall((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))}
    settings |= set(SETTING.findall((ROOT / ".ci" / "run").read_text(encoding="utf-8")))
    assert set(SETTING.findall(text)) - settings == set()
    tests = {
        name for file in ROOT.glob("tests/**/test_*.py") for name in re.findall(r"def (test_\w+)", file.read_text())
    }
    tests |= {file.stem for file in ROOT.glob("tests/**/test_*.py")}
    tests |= set(re.findall(r"def (test_\w+)", text))  # a page can show tests of its own
    assert set(TEST_NAME.findall(text)) - tests == set()


def test_files_that_are_named_exist() -> None:
    """Whoever names a file of the project, in a page, a comment or a command, names one that is there."""
    missing = {
        (path, name)
        for path, text in tracked_files().items()
        if path.endswith((".md", ".py", ".yml", "Makefile", "Dockerfile"))
        for name in re.findall(r"\bdocs/[\w/]+\.md\b", text)
        if not (ROOT / name).exists()
    }
    missing |= {
        (name_of(page), span)
        for page in PAGES
        for span in code_spans(page)
        if PATH_IN_PROJECT.fullmatch(span) and not (ROOT / span).exists()
    }
    assert missing == set()


def test_the_table_of_metrics_is_current() -> None:
    """docs/how_it_works.md lists every metric; the expected table is in the failure's message."""
    rows = ["| metric | kind | labels | meaning |", "|---|---|---|---|", *map(metric_row, ALL)]
    assert between(ROOT / "docs" / "how_it_works.md", "metrics") == "\n".join(rows) + "\n"


def test_the_table_of_reasons_is_current() -> None:
    """docs/how_it_works.md has a row for each reason why a partition starts where it starts, in the log's words."""
    rows = between(ROOT / "docs" / "how_it_works.md", "reasons").splitlines()[2:]
    assert [row.split(" | ")[0].removeprefix("| ") for row in rows] == [reason.value for reason in Reason]


def test_no_file_names_a_machine_or_a_registry() -> None:
    """No path of somebody's machine, and no host but those that everybody may know."""
    found = [
        f"{path}: {word}"
        for path, text in tracked_files().items()
        for word in chain(
            MACHINE_PATH.findall(text),
            REGISTRY.findall(text),
            (host for host in WEB_HOST.findall(text) if not PUBLIC_HOST.fullmatch(host)),
        )
    ]
    assert found == []


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("$ A=1 .venv/bin/ferry trace ID  # why", [["ferry", "trace", "ID"]]),
        ("tail -f x | ferry-producer - --key k < y", [["tail", "-f", "x"], ["ferry-producer", "-", "--key", "k", "y"]]),
        ("make lint && make test", [["make", "lint"], ["make", "test"]]),
        ("it's prose", []),
        ("", []),
    ],
)
def test_commands_are_found(line: str, expected: list[list[str]]) -> None:
    """The check of commands sees what a shell would run."""
    assert list(commands(line)) == expected


@pytest.mark.parametrize(
    "line",
    ["make nothing", "ferry nothing", "ferry up --nothing", "ferry in-flight nothing",
     "ferry in-flight list --nothing", "ferry-producer --nothing", "ferry-consumer stop",
     "celery -A ferry_worker nothing", "python -m ferry_nothing",
     "python -m ferry_shared", "python -m ferry_shared.routes"],
)  # fmt: skip
def test_wrong_commands_are_found(line: str, capsys: pytest.CaptureFixture[str]) -> None:
    """The check of commands would see a command, option or target that isn't there."""
    (words,) = commands(line)
    assert problem(words, capsys)
