"""`.env.example` and docs/settings.md hold every setting, and nothing else."""

import re
from pathlib import Path

import pytest
from dotenv import dotenv_values

from ferry_shared.settings import load
from ferry_shared.settings_reference import (
    ENV_EXAMPLE,
    SECTIONS,
    SERVICES,
    SETTINGS_PAGE,
    env_example,
    main,
    reference,
    settings_page,
)

ROOT = Path(__file__).parents[3]
EXAMPLE = (ROOT / ENV_EXAMPLE).read_text(encoding="utf-8")
PAGE = (ROOT / SETTINGS_PAGE).read_text(encoding="utf-8")
NAMES = {name.upper() for section in SECTIONS.values() for name in section.model_fields}


def uncommented() -> str:
    """`.env.example` with every setting switched on."""
    return re.sub(r"^#(?=[A-Z_]+=)", "", EXAMPLE, flags=re.MULTILINE)


def test_the_files_are_current() -> None:
    """Both are what the classes make of them."""
    renew = "out of date; renew it by: python -m ferry_shared.settings_reference"

    assert env_example() == EXAMPLE, f"{ENV_EXAMPLE} is {renew}"
    assert settings_page() == PAGE, f"{SETTINGS_PAGE} is {renew}"


@pytest.mark.parametrize("service", SERVICES)
def test_the_readers_are_those_that_read(service: str) -> None:
    """What is told of a service is what its code loads; `ferry_worker.testing` is no part of a running worker."""
    modules = (ROOT / service / f"ferry_{service}").rglob("*.py")
    code = "".join(path.read_text(encoding="utf-8") for path in modules if path.parent.name != "testing")

    assert set(re.findall(r"\bload\((\w+)", code)) == {section.__name__ for section in SERVICES[service]}


def test_main_writes_both(tmp_path: Path) -> None:
    """The command writes the two files of a checkout."""
    (tmp_path / "docs").mkdir()
    main(tmp_path)

    assert (tmp_path / ENV_EXAMPLE).read_text(encoding="utf-8") == EXAMPLE
    assert (tmp_path / SETTINGS_PAGE).read_text(encoding="utf-8") == PAGE


def test_the_example_has_every_setting_once() -> None:
    """Compared with the classes both ways, by names."""
    names = re.findall(r"^#([A-Z_]+)=", EXAMPLE, flags=re.MULTILINE)

    assert sorted(names) == sorted(NAMES)


def test_the_page_has_every_setting_once() -> None:
    """Compared with the classes both ways, by names."""
    assert sorted(re.findall(r"^\| `([A-Z_]+)` \|", PAGE, flags=re.MULTILINE)) == sorted(NAMES)


def test_as_it_is_the_example_sets_nothing(tmp_path: Path) -> None:
    """A copy of `.env.example` changes nothing."""
    assert dotenv_values(ROOT / ENV_EXAMPLE) == {}


@pytest.mark.parametrize("title", SECTIONS)
def test_the_examples_values_are_the_defaults(tmp_path: Path, title: str) -> None:
    """With every line of `.env.example` switched on each section is what it is without any."""
    section = SECTIONS[title]
    defaults = load(section)
    (tmp_path / ".env").write_text(uncommented(), encoding="utf-8")

    assert dotenv_values(tmp_path / ".env").keys() == NAMES
    assert load(section) == defaults


def test_every_setting_is_explained() -> None:
    """Each has a sentence of its own, a unit or kind, and stands in one section."""
    settings = [setting for section in reference().values() for setting in section]

    assert len(settings) == len(NAMES) == len({setting.meaning for setting in settings})
    assert all(re.fullmatch(r"[A-Z].*\.", setting.meaning) for setting in settings)
    assert all(setting.expects for setting in settings)
    assert not [setting for setting in settings if "|" in setting.meaning + setting.default + setting.expects]


@pytest.mark.parametrize(
    ("name", "default", "expects", "readers"),
    [
        ("PRODUCER_LINGER_MS", "5", "milliseconds, 0 to 900000", "producer"),
        ("CONSUMER_REDELIVER_AFTER_SECONDS", "60", "seconds, at least 5", "consumer"),
        ("WORKER_STATUS_INTERVAL_SECONDS", "60", "seconds, above 0, at most 86400", "worker"),
        ("PRODUCER_RETRIES", "", "number, 0 to 2147483647", "producer"),
        ("PRODUCER_ACKS", "all", "0, 1 or all", "producer"),
        ("KAFKA_CLIENT_PROPERTIES", "{}", "JSON object", "producer, consumer"),
        ("CELERY_BROKER_URL", "redis://localhost:6379/0", "URL", "consumer, worker"),
        ("FERRY_LOG_CONFIG", "", "path", "all"),
        ("FERRY_TOPIC", "messages", "text", "all"),
        ("CONSUMER_GROUP", "ferry", "text", "consumer, worker"),
    ],
)
def test_what_is_told_of_a_setting(name: str, default: str, expects: str, readers: str) -> None:
    """Default, unit, range and readers are those of the classes, and stand on the page."""
    (setting,) = [setting for section in reference().values() for setting in section if setting.name == name]

    assert (setting.default, setting.expects) == (default, expects)
    assert f"| {expects} | {readers} | {setting.meaning} |\n" in PAGE
