"""Takes the pictures of docs/pictures from the demo's pages: `make pictures`. Needs Debian's Chromium."""

import re
import subprocess
import sys
from pathlib import Path

from playwright.sync_api import Page, ViewportSize, sync_playwright

ROOT = Path(__file__).parents[1]
PLACE = ROOT / "docs" / "pictures"
CHROMIUM = "/usr/bin/chromium"
SIZE = ViewportSize(width=1440, height=1000)
LINK = re.compile(r"(http://\S+)(/login/link/\S+)")
PICTURES = {"overview": "/", "explore": "/explore?by=team&then=model", "calls": "/calls", "budgets": "/budgets"}


def main() -> None:
    """Start the demo, sign in by its link, and look."""
    PLACE.mkdir(exist_ok=True)
    command = [sys.executable, "-m", "pertoken", "demo", "--keep"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as demo, sync_playwright() as playwright:
        try:
            assert demo.stdout is not None
            found = next(match for line in demo.stdout if (match := LINK.search(line)))
            browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
            page = browser.new_context(viewport=SIZE, color_scheme="light").new_page()
            page.goto(found[1] + found[2])
            take_all(page, found[1])
            browser.close()
        finally:
            demo.terminate()


def take_all(page: Page, base: str) -> None:
    """Take every picture."""
    for name, path in PICTURES.items():
        take(page, base + path, name)
    page.goto(base + "/calls?range=today&status=ok&source=gateway")
    first = page.locator("#grid tbody a").first.get_attribute("href")
    take(page, base + str(first), "call")


def take(page: Page, address: str, name: str) -> None:
    """Take one picture, once all of a page is drawn."""
    page.goto(address, wait_until="networkidle")
    page.wait_for_timeout(300)
    page.screenshot(path=PLACE / f"{name}.png")


if __name__ == "__main__":
    main()
