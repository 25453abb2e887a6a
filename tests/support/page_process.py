"""`ferry console` as a process of a test."""

import re
import time

import psutil

from tests.support.ferry_processes import FerryProcess, FerryProcesses


def start_page(processes: FerryProcesses, *arguments: str) -> tuple[FerryProcess, int, str]:
    """Start it on any free port; returns the process, its port, and the link that it told."""
    process = processes.start("console", "-m", "ferry_console", "console", "--port", "0", *arguments)
    link = process.wait_for_text(r"the page is at (http://\S+) until Ctrl-C").split()[4]
    found = re.search(r":(\d+)", link.removeprefix("http:"))
    assert found
    return process, int(found[1]), link


def share_of_a_core(process: FerryProcess, seconds: float) -> float:
    """How much of a core it uses within this time, with all its threads."""
    watched = psutil.Process(process.pid)
    before, began = watched.cpu_times(), time.monotonic()
    time.sleep(seconds)
    after = watched.cpu_times()
    return (after.user + after.system - before.user - before.system) / (time.monotonic() - began)
