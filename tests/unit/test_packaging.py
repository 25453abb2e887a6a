"""The wheel holds what it must, and nothing else."""

import zipfile
from pathlib import Path

import pytest
from hatchling.builders.wheel import WheelBuilder

ROOT = Path(__file__).parents[2]
FOLDERS = ("producer", "consumer", "worker", "shared", "console")
PACKAGES = {f"ferry_{folder}" for folder in FOLDERS}


@pytest.fixture(scope="module")
def names(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The names of the files in the wheel."""
    (artifact,) = WheelBuilder(str(ROOT)).build(directory=str(tmp_path_factory.mktemp("wheel")), versions=["standard"])
    with zipfile.ZipFile(artifact) as wheel:
        return wheel.namelist()


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
    assert scripts | {"ferry_shared/logging_config.json"} <= set(names)
    assert {f"{package}/py.typed" for package in PACKAGES} <= set(names)


def test_nothing_else_is_inside(names: list[str]) -> None:
    """Neither caches nor tests nor settings of the machine it was built on."""
    endings = {Path(name).suffix for name in names if ".dist-info/" not in name}

    assert endings <= {".py", ".lua", ".json", ".typed"}


def test_the_commands_are_declared(names: list[str], tmp_path_factory: pytest.TempPathFactory) -> None:
    """The three commands and the license are in the metadata."""
    metadata = [name for name in names if ".dist-info/" in name]

    assert {Path(name).name for name in metadata} >= {"METADATA", "RECORD", "WHEEL", "entry_points.txt", "LICENSE"}
