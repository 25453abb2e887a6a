"""Pictures of the live page for the documentation: `python -m tests.support.page_screenshots [FOLDER]`.

The page, its server and the browser are real, what it shows is made up: the same each time.
"""

import base64
import sys
from pathlib import Path

from ferry_console.page.application import Sources
from ferry_console.page.watching import GroupWatch
from ferry_shared.record import TaskId
from tests.support.browser import Browser, browser
from tests.support.page_parts import MadeUpFinder, MadeUpGroup, MadeUpLetters
from tests.support.page_server import served

FOLDER = Path(__file__).parents[2] / "docs" / "images"
WIDE, NARROW = 1100, 400
#: Pages show pictures no wider than some 800 pixels.
WIDE_SCALE = 0.68
#: Of the narrow page the beginning is enough.
NARROW_HEIGHT = 1500
#: Eight minutes of the charts.
LOOKS_BEFORE = 480
TRACED = TaskId("ferry", "orders", 0, 10_000, 10_000)


def _finder(task_id: TaskId) -> MadeUpFinder:
    finder = MadeUpFinder(task_id, hostile=False)
    finder.move()
    finder.move()
    return finder


def take(page: Browser, address: str, scheme: str, width: int, height: int | None = None) -> bytes:
    """One picture, of the whole page unless a height is given."""
    page.size(width, 800)
    page.driver.execute_cdp_cmd("Emulation.setScrollbarsHidden", {"hidden": True})
    page.media(prefers_color_scheme=scheme)
    page.driver.get("about:blank")
    page.driver.get(f"{address}/#trace={TRACED.text}")
    page.wait_for_text("#connection", "live")
    page.wait_for_text("#letters", "orders-")
    page.wait_for_text("#trace-answer", "running")
    page.script("document.activeElement.blur()")
    full: int = page.script("return document.documentElement.scrollHeight")
    page.size(width, height or full)
    page.script("window.dispatchEvent(new Event('resize'))")
    clip = {"x": 0, "y": 0, "width": width, "height": height or full, "scale": WIDE_SCALE if width == WIDE else 1}
    told = page.driver.execute_cdp_cmd("Page.captureScreenshot", {"format": "png", "clip": clip})
    return base64.b64decode(told["data"])


def main(folder: Path) -> None:
    """Write the three pictures."""
    group = MadeUpGroup()
    watch = GroupWatch(group, 300.0)
    for _ in range(LOOKS_BEFORE):
        watch.look()
    folder.mkdir(parents=True, exist_ok=True)
    with served(Sources(watch, _finder, MadeUpLetters(hostile=False))) as address, browser() as page:
        for name, scheme, width, height in (
            ("light", "light", WIDE, None),
            ("dark", "dark", WIDE, None),
            ("narrow", "light", NARROW, NARROW_HEIGHT),
        ):
            (folder / f"page_{name}.png").write_bytes(take(page, address, scheme, width, height))


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else FOLDER)
