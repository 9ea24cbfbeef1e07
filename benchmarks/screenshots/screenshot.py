"""A picture of a dashboard: ``python screenshot.py PAGE PICTURE [--section overview] [--dark]``.

It is opened as a reader would, from the disk and without a network, in the system's Chromium.
"""

from __future__ import annotations

import argparse
import shutil
import sys
from pathlib import Path
from typing import Final

from playwright.sync_api import sync_playwright

_PROGRAMS: Final = ("chromium", "chromium-browser", "google-chrome")
# Charts are drawn when they are come to.
_DRAWN_MS: Final = 1000


def main() -> int:
    """Take the picture; gives the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("page", type=Path)
    parser.add_argument("picture", type=Path, help="a PNG")
    parser.add_argument("--section", default="overview", help="what follows # in the address")
    parser.add_argument("--size", default="1280x900", help="of the window")
    parser.add_argument("--dark", action="store_true")
    options = parser.parse_args()
    program = next(filter(None, map(shutil.which, _PROGRAMS)), None)
    if program is None:
        parser.error("there is no Chromium here: apt-get install chromium")
    width, height = map(int, options.size.split("x"))
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program)
        context = browser.new_context(
            viewport={"width": width, "height": height},
            color_scheme="dark" if options.dark else "light",
            offline=True,
        )
        page = context.new_page()
        page.goto(f"{options.page.resolve().as_uri()}#{options.section}")
        page.wait_for_selector("html[data-charts=true]", state="attached")
        page.wait_for_timeout(_DRAWN_MS)
        page.screenshot(path=options.picture)
        browser.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
