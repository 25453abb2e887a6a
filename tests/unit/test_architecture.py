"""The shape of the code, held by reading it: who imports whom, who talks to which server, how large things are."""

import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib.metadata import packages_distributions
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("ferry_producer", "ferry_consumer", "ferry_worker", "ferry_shared", "ferry_console")
SERVICES = PACKAGES[:3]
MAX_MODULE_LINES = 400
MAX_FUNCTION_LINES = 50
FORBIDDEN_NAMES = {"utils", "util", "helpers", "helper", "common", "base", "core", "misc"}

#: The modules that talk to a server or framework, at run time; a new one needs a reason to stand here.
IMPORTED_ONLY_IN = {
    "confluent_kafka": {
        "ferry_producer.channel",
        "ferry_producer.connection",
        "ferry_producer.outbox",
        "ferry_consumer.client",
        "ferry_consumer.client_log",
        "ferry_consumer.dead_letter_topics",
        "ferry_consumer.dead_letters",
        "ferry_consumer.dispatch",
        "ferry_consumer.dispatcher",
        "ferry_consumer.intake",
        "ferry_consumer.kafka_message",
        "ferry_consumer.plain_run",
        "ferry_consumer.record_reader",
        "ferry_consumer.topics",
        "ferry_console.demo.sending",
        "ferry_console.demo.topic_reader",
        "ferry_console.demo.watching",
        "ferry_console.doctor.kafka_side",
        "ferry_console.local.kafka",
        "ferry_console.dead_letters.purge_deleting",
        "ferry_console.dead_letters.replay_sending",
        "ferry_console.topic_log",
    },
    "celery": {
        "ferry_worker.attempt",
        "ferry_worker.batch_run",
        "ferry_worker.celery",
        "ferry_worker.listening",
        "ferry_worker.existing_app",
        "ferry_worker.list_results",
        "ferry_worker.pool_end",
        "ferry_worker.request",
        "ferry_worker.retries",
        "ferry_worker.shared_schedule",
        "ferry_worker.start_checks",
        "ferry_worker.standstill",
        "ferry_worker.testing.batches",
        "ferry_worker.testing.running",
        "ferry_worker.testing.stand_ins",
        "ferry_worker.tracked_task",
        "ferry_worker.transport",
        "ferry_worker.unknown",
        "ferry_worker.unreached",
        "ferry_worker.unobserved",
        "ferry_worker.unrunnable",
        "ferry_worker.untracked",
    },
    "kombu": {
        "ferry_worker.list_results",
        "ferry_worker.request",
        "ferry_worker.retries",
        "ferry_worker.start_checks",
        "ferry_worker.standstill",
        "ferry_worker.testing.running",
        "ferry_worker.testing.stand_ins",
        "ferry_worker.transport",
    },
    "redis": {
        "ferry_shared.ledger.client",
        "ferry_shared.ledger.packing",
        "ferry_shared.ledger.scripts",
        "ferry_consumer.dispatcher",
        "ferry_consumer.ledger_reader",
        "ferry_worker.attempt",
        "ferry_worker.listening",
        "ferry_worker.unreached",
        "ferry_console.doctor.redis_side",
        "ferry_console.local.valkey",
        "ferry_console.operating.group_keys",
        "ferry_console.pytest_plugin",
    },
    "prometheus_client": {"ferry_consumer.metrics"},
    "starlette": {
        "ferry_console.page.application",
        "ferry_console.page.guard",
        "ferry_console.page.letter_routes",
    },
    "uvicorn": {"ferry_console.page.command"},
    "rich": {
        "ferry_console.columns",
        "ferry_console.demo.command",
        "ferry_console.demo.report",
        "ferry_console.doctor.command",
        "ferry_console.doctor.screen",
        "ferry_console.local.progress",
        "ferry_console.operating.drain_progress",
        "ferry_console.status.command",
        "ferry_console.status.screen",
        "ferry_producer.progress_bar",
    },
}
#: Services that a module of the console needs whenever it runs; such a module is itself imported inside functions only.
CONSOLE_NEEDS = {"ferry_console.demo.command": "ferry_producer.sources"}
#: Who reads the environment besides the settings, and what for.
ENVIRONMENT_READERS = {
    "ferry_shared.settings.loading": "FERRY_ENV_FILE",
    "ferry_console.demo.command": "passed on to the services, without Ferry's own settings",
    "ferry_console.up": "passed on to the services",
    "ferry_console.local.kafka_jars": "jgo's cache folder",
    "ferry_console.local.log_lines": "NO_COLOR",
}
#: Who writes to standard output or error by print: commands, not libraries.
PRINTERS = {"ferry_producer.command", "ferry_shared.completion", "ferry_consumer.cli", "ferry_worker.configuration"}


#: Libraries that come with another one, of which they are a part.
PART_OF = {"pydantic_core": "pydantic", "kombu": "celery", "billiard": "celery"}


@dataclass(frozen=True)
class Import:
    """One imported module. `lazy`: inside a function; `typing_only`: under `if TYPE_CHECKING`."""

    module: str
    lazy: bool
    typing_only: bool

    @property
    def top(self) -> str:
        """The top-level package."""
        return self.module.partition(".")[0]


@dataclass(frozen=True)
class Module:
    """One source file."""

    name: str
    path: Path
    tree: ast.Module
    lines: int

    @property
    def package(self) -> str:
        """The top-level package it belongs to."""
        return self.name.partition(".")[0]

    @property
    def imports(self) -> list[Import]:
        """Everything it imports."""
        return list(imports_in(self.tree, lazy=False, typing_only=False))


def imports_in(node: ast.AST, *, lazy: bool, typing_only: bool) -> Iterator[Import]:
    """Every import below `node`."""
    for child in ast.iter_child_nodes(node):
        match child:
            case ast.Import(names=names):
                yield from (Import(name.name, lazy, typing_only) for name in names)
            case ast.ImportFrom(module=module, level=level):
                assert module, "imports are absolute"
                assert not level, "imports are absolute"
                yield Import(module, lazy, typing_only)
            case ast.If(test=ast.Name(id="TYPE_CHECKING")):
                yield from imports_in(child, lazy=lazy, typing_only=True)
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.Lambda():
                yield from imports_in(child, lazy=True, typing_only=typing_only)
            case _:
                yield from imports_in(child, lazy=lazy, typing_only=typing_only)


@cache
def modules() -> tuple[Module, ...]:
    """Every module of the five packages."""
    found = []
    for package in PACKAGES:
        folder = ROOT / package.removeprefix("ferry_")
        for path in sorted((folder / package).rglob("*.py")):
            text = path.read_text(encoding="utf-8")
            parts = path.relative_to(folder).with_suffix("").parts
            name = ".".join(parts).removesuffix(".__init__")
            found.append(Module(name, path, ast.parse(text), len(text.splitlines())))
    return tuple(found)


def normalized(distribution: str) -> str:
    """A distribution's name as packaging compares it."""
    return re.sub(r"[-_.]+", "-", distribution).lower()


def nodes(module: Module, kind: type[ast.AST]) -> Iterator[Any]:
    """Every node of a kind."""
    return (node for node in ast.walk(module.tree) if isinstance(node, kind))


def test_the_five_packages_are_read() -> None:
    """The checks below look at something."""
    assert {module.package for module in modules()} == set(PACKAGES)
    assert len(modules()) > 60


def test_imports_go_one_way() -> None:
    """Services know what is shared and not each other; what is shared knows nobody; the console comes last."""
    allowed = {service: {service, "ferry_shared"} for service in SERVICES}
    allowed |= {"ferry_shared": {"ferry_shared"}, "ferry_console": set(PACKAGES)}
    wrong = [
        f"{module.name} imports {item.module}"
        for module in modules()
        for item in module.imports
        if item.top in PACKAGES and item.top not in allowed[module.package]
    ]

    assert wrong == []


def test_the_console_takes_services_lazily() -> None:
    """The console imports services inside functions, or in the modules named above."""
    found = {
        module.name: item.module
        for module in modules()
        if module.package == "ferry_console"
        for item in module.imports
        if item.top in SERVICES and not (item.lazy or item.typing_only)
    }

    assert found == CONSOLE_NEEDS


def test_ferry_starts_without_the_services() -> None:
    """`ferry --help` waits for no client and no service."""
    heavy = {*SERVICES, *IMPORTED_ONLY_IN}
    code = f"import sys, ferry_console.cli; print(sorted({heavy!r} & sys.modules.keys()))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout == "[]\n"


@pytest.mark.parametrize("library", IMPORTED_ONLY_IN)
def test_who_talks_to_a_server(library: str) -> None:
    """Clients and frameworks are imported in the modules that are named here, and all of those need them."""
    found = {
        module.name
        for module in modules()
        if any(item.top == library and not item.typing_only for item in module.imports)
    }

    assert found == IMPORTED_ONLY_IN[library]


def test_the_worker_needs_no_kafka() -> None:
    """The worker's image has no Kafka client, so not even a type may come from it."""
    assert not [
        module.name
        for module in modules()
        if module.package in {"ferry_worker", "ferry_shared"}
        and any(i.top == "confluent_kafka" for i in module.imports)
    ]


@pytest.mark.parametrize("package", PACKAGES)
def test_what_is_imported_is_declared(package: str) -> None:
    """What a package imports at run time is a dependency of Ferry or of the package's extra."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    wanted = [*project["dependencies"], *extras.get(package.removeprefix("ferry_"), ())]
    if package == "ferry_console":
        wanted += [*extras["local"], "pytest"]  # nobody but pytest imports its plugin
    if package == "ferry_shared":
        wanted += ["redis"]  # only the ledger needs it, and whoever uses the ledger declares it
        wanted += extras["json-schema"]  # only a route whose message is a JSON Schema needs it
    declared = {normalized(re.split(r"[\[<>=~!; ]", requirement)[0]) for requirement in wanted}
    distributions = packages_distributions()
    undeclared = {
        f"{module.name} imports {item.top}"
        for module in modules()
        if module.package == package
        for item in module.imports
        if item.top not in sys.stdlib_module_names
        and item.top not in PACKAGES
        and not item.typing_only
        and not declared & {normalized(name) for name in distributions[item.top]}
        and PART_OF.get(item.top) not in declared
    }

    assert undeclared == set()


def test_modules_are_small() -> None:
    """No module is longer than a person reads at once."""
    assert [f"{module.name}: {module.lines}" for module in modules() if module.lines > MAX_MODULE_LINES] == []


def test_functions_are_small() -> None:
    """No function is longer than a screen."""
    wrong = [
        f"{module.name}.{node.name}: {length}"
        for module in modules()
        for node in (*nodes(module, ast.FunctionDef), *nodes(module, ast.AsyncFunctionDef))
        if (length := node.end_lineno - node.lineno + 1) > MAX_FUNCTION_LINES
    ]

    assert wrong == []


def test_modules_are_named_for_something() -> None:
    """A module's name is a noun of the domain: nothing is kept in a drawer for everything."""
    assert [module.name for module in modules() if FORBIDDEN_NAMES & set(module.name.split("."))] == []


def test_every_module_says_what_it_is_for() -> None:
    """Each module starts with a docstring."""
    assert [module.name for module in modules() if not ast.get_docstring(module.tree)] == []


def test_only_the_settings_read_the_environment() -> None:
    """Whatever a service can be told is a setting; who else reads the environment stands here with a reason."""
    readers = {
        module.name
        for module in modules()
        for node in (*nodes(module, ast.Attribute), *nodes(module, ast.alias))
        if {getattr(node, "attr", ""), getattr(node, "name", "")} & {"environ", "environb", "getenv", "getenvb"}
    }

    assert readers == ENVIRONMENT_READERS.keys()


def test_only_commands_print() -> None:
    """Services log; only a command's own module prints."""
    printers = {
        module.name
        for module in modules()
        for node in nodes(module, ast.Call)
        if isinstance(node.func, ast.Name) and node.func.id == "print" and module.package != "ferry_console"
    }

    assert printers == PRINTERS


def test_the_next_offset_is_written_once() -> None:
    """`offset + 1` stands in `record.next_offset` only: off-by-one errors have one place."""
    found = [
        f"{module.name}: {ast.unparse(node)}"
        for module in modules()
        for node in nodes(module, ast.BinOp)
        if isinstance(node.op, ast.Add) and re.fullmatch(r".*offset(\(\))? \+ 1|1 \+ .*offset.*", ast.unparse(node))
    ]

    assert found == ["ferry_shared.record: offset + 1"]
