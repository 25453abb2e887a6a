"""One running Compose system for all tests of this folder."""

from __future__ import annotations

import os
import secrets
import socket
from contextlib import nullcontext
from typing import TYPE_CHECKING

import pytest

from tests.compose.system import (
    ComposeSystem,
    docker_problem,
    provide_images,
    public_images,
    wait_until,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

BUILD_SECONDS = 900
HEALTHY_WITHIN_SECONDS = 180
SETTLED = {"healthy", "running"}


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


@pytest.fixture(scope="session")
def system(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ComposeSystem]:
    """The whole system, built and healthy; taken down with its data, its logs shown when a test failed."""
    problem = docker_problem()
    if problem:
        if os.environ.get("FERRY_ALLOW_SKIP") == "1":
            pytest.skip(f"no Docker: {problem}")
        pytest.fail(f"Docker is needed (or FERRY_ALLOW_SKIP=1): {problem}")
    provide_images(public_images())
    env_file = tmp_path_factory.mktemp("compose") / "empty.env"
    env_file.touch()
    system = ComposeSystem(f"ferry-test-{secrets.token_hex(4)}", _free_port(), env_file)
    failed_before = request.session.testsfailed
    is_up = False
    try:
        system.compose("up", "--detach", "--build", timeout_seconds=BUILD_SECONDS)
        wait_until(
            lambda: set(system.states().values()) <= SETTLED,
            lambda: f"all services healthy: {system.states()}",
            HEALTHY_WITHIN_SECONDS,
        )
        is_up = True
        yield system
    finally:
        if not is_up or request.session.testsfailed > failed_before:
            _show(request.config, system)
        system.compose("down", "--volumes", "--timeout", "10")


def _show(config: pytest.Config, system: ComposeSystem) -> None:
    """Print states and logs past pytest's capture, which drops what a session's end prints."""
    capture = config.pluginmanager.getplugin("capturemanager")
    with capture.global_and_fixture_disabled() if capture else nullcontext():
        for question in (("ps",), ("logs", "--no-color", "--tail=60")):
            print(f"\n{system.compose(*question, check=False)}")
