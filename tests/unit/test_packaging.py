"""The wheel holds what it must, and nothing else."""

import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Iterable
from importlib.metadata import distribution
from pathlib import Path

import pytest
from hatchling.builders.wheel import WheelBuilder
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[2]
FOLDERS = ("producer", "consumer", "worker", "shared", "console")
PACKAGES = {f"ferry_{folder}" for folder in FOLDERS}
#: What each extra must be able to import, alone: packages, and modules that need no other extra.
EXTRAS = {
    "producer": ["ferry_producer", "ferry_shared.message", "ferry_shared.logs", "ferry_shared.settings"],
    "consumer": ["ferry_consumer", "ferry_shared"],
    "worker": ["ferry_worker", "ferry_shared"],
    "json-schema": ["ferry_shared.routes", "jsonschema_rs"],
    "console": [
        "ferry_console.cli",
        "ferry_console.dead_letters",
        "ferry_console.in_flight",
        "ferry_console.page",
        "ferry_console.doctor",
        "ferry_console.status",
        "ferry_console.topics",
        "ferry_console.trace",
    ],
    "local": sorted(PACKAGES),
}
#: Who imports a module brings what it needs: nobody but pytest imports its plugin.
IMPORTERS = {"local": ["pytest"]}
IMPORT_ALL = """
import importlib, pkgutil, sys
sys.path[:0] = sys.argv[1:3]
for name in sys.argv[3:]:
    module = importlib.import_module(name)
    for found in pkgutil.walk_packages(getattr(module, "__path__", []), name + "."):
        if not found.name.endswith("__main__"):
            importlib.import_module(found.name)
print("imported")
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from the tree."""
    folder = tmp_path_factory.mktemp("wheel")
    (artifact,) = WheelBuilder(str(ROOT)).build(directory=str(folder), versions=["standard"])
    return Path(artifact)


@pytest.fixture(scope="module")
def names(wheel: Path) -> list[str]:
    """The names of the files in the wheel."""
    with zipfile.ZipFile(wheel) as archive:
        return archive.namelist()


def requirements_of(extra: str) -> list[str]:
    """What an extra asks for, with what Ferry always needs."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    optional = project["optional-dependencies"]
    wanted = [*project["dependencies"]]
    for text in optional[extra]:
        requirement = Requirement(text)
        own = requirement.name == project["name"]
        wanted += [item for name in sorted(requirement.extras) for item in optional[name]] if own else [text]
    return wanted


def with_all_they_need(requirements: Iterable[str]) -> set[str]:
    """The names of the installed distributions that `requirements` lead to."""
    found: set[str] = set()
    waiting = [(Requirement(text), "") for text in requirements]
    while waiting:
        requirement, extra = waiting.pop()
        if requirement.marker and not requirement.marker.evaluate({"extra": extra}):
            continue
        found.add(requirement.name)
        for wanted in ("", *requirement.extras):
            needed = [(Requirement(text), wanted) for text in distribution(requirement.name).requires or ()]
            waiting += [item for item in needed if item[0].name not in found]
    return found


def link(distributions: Iterable[str], folder: Path) -> None:
    """Make a folder that holds these distributions and no other."""
    for name in distributions:
        installed = distribution(name)
        for top in {path.parts[0] for path in installed.files or () if path.parts[0] != ".."}:
            target = folder / top
            if not target.exists():
                target.symlink_to(Path(str(installed.locate_file(top))))


@pytest.mark.parametrize("extra", EXTRAS)
def test_each_extra_is_enough(extra: str, wheel: Path, tmp_path: Path) -> None:
    """With the wheel and what one extra asks for, and nothing else, that extra's modules can be imported."""
    installed, contents = tmp_path / "installed", tmp_path / "ferry"
    installed.mkdir()
    link(with_all_they_need([*requirements_of(extra), *IMPORTERS.get(extra, [])]), installed)
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(contents)
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", IMPORT_ALL, str(contents), str(installed), *EXTRAS[extra]],
        capture_output=True,
        text=True,
        check=False,
    )

    assert (done.stdout, done.stderr) == ("imported\n", "")


@pytest.mark.parametrize(("extra", "library"), [("worker", "confluent-kafka"), ("producer", "celery")])
def test_what_an_extra_does_not_bring(extra: str, library: str) -> None:
    """The worker's image has no Kafka client, the producer's no Celery."""
    assert library not in with_all_they_need(requirements_of(extra))


def test_the_top_level_is_the_five_packages(names: list[str]) -> None:
    """Nothing of Ferry's shadows a module of its user's: five packages with Ferry's name, and the metadata."""
    top = {name.partition("/")[0] for name in names}
    (metadata,) = [name for name in top if name.endswith(".dist-info")]

    assert metadata.startswith("ferry_kafka-")
    assert top - {metadata} == PACKAGES


def test_every_module_is_inside(names: list[str]) -> None:
    """The wheel has the tree's modules, each once."""
    tree = sorted(str(path.relative_to(ROOT / folder)) for folder in FOLDERS for path in (ROOT / folder).rglob("*.py"))

    assert sorted(name for name in names if name.endswith(".py")) == tree


def test_what_is_no_module_is_inside_too(names: list[str]) -> None:
    """Scripts, the logging document and the markers of typed packages come along."""
    scripts = {f"ferry_shared/ledger/lua/{path.name}" for path in (ROOT / "shared/ferry_shared/ledger/lua").iterdir()}

    assert scripts
    page = {path.name for path in (ROOT / "console/ferry_console/page/assets").iterdir()}
    assert {"index.html", "page.css", "page.js"} <= page
    assert scripts | {"ferry_shared/logging_config.json"} <= set(names)
    assert {f"ferry_console/page/assets/{name}" for name in page} <= set(names)
    assert {f"{package}/py.typed" for package in PACKAGES} <= set(names)


def test_nothing_else_is_inside(names: list[str]) -> None:
    """Neither caches nor tests nor settings of the machine it was built on."""
    endings = {Path(name).suffix for name in names if ".dist-info/" not in name}

    assert endings <= {".py", ".lua", ".json", ".typed", ".html", ".css", ".js", ".svg"}


def test_the_commands_are_declared(wheel: Path, names: list[str]) -> None:
    """The three commands, the fixtures for pytest and the license are in the metadata."""
    metadata = {Path(name).name: name for name in names if ".dist-info/" in name}
    with zipfile.ZipFile(wheel) as archive:
        declared = archive.read(metadata["entry_points.txt"]).decode()

    assert metadata.keys() >= {"METADATA", "RECORD", "WHEEL", "LICENSE"}
    assert all(f"\n{name} = " in declared for name in ("ferry", "ferry-consumer", "ferry-producer"))
    assert "[pytest11]\nferry = ferry_console.pytest_plugin\n" in declared
