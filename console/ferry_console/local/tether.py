"""Run a command that ends when its parent does, also when the parent is killed.

`python tether.py PARENT_PID COMMAND [ARGUMENT...]` asks Linux for SIGTERM at the parent's death, then becomes the
command. It is started by its path, without site packages, so that it costs a few milliseconds. Elsewhere than on
Linux the command simply runs: there a killed parent leaves it behind.
"""

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1  # <linux/prctl.h>


def tether(parent_pid: int) -> None:
    """Ask for SIGTERM when `parent_pid`, which must be the parent of this process, dies; exit if it already has."""
    if sys.platform != "linux":
        return
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
    if os.getppid() != parent_pid:
        sys.exit(f"the parent process {parent_pid} ended before this one had started")


if __name__ == "__main__":
    tether(int(sys.argv[1]))
    os.execv(sys.argv[2], sys.argv[2:])  # noqa: S606 - becoming the command is the purpose; no shell is involved
