"""What takes long, told on standard error: a spinner on a terminal, plain lines elsewhere."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def progress(text: str) -> Iterator[Callable[[str], None]]:
    """Show `text` while inside; call what is given with another text when the work has moved on."""
    if not sys.stderr.isatty():
        _line(text)
        yield _line
        return
    from rich.console import Console  # noqa: PLC0415 - for terminals only

    with Console(stderr=True).status(text) as status:
        yield status.update


def _line(text: str) -> None:
    print(f"{text} …", file=sys.stderr, flush=True)
