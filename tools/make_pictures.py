"""Make the README's pictures of the viewer: `python tools/make_pictures.py` writes docs/pictures.

It needs Chromium, playwright and Pillow, which the `test` extra and `apt-get install chromium` bring.
"""

from __future__ import annotations

import io
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

from PIL import Image
from playwright.sync_api import sync_playwright

from autograd import Value
from autograd.view import flow

FOLDER = Path(__file__).parents[1] / "docs" / "pictures"
SIZE = {"width": 1200, "height": 600}
PAUSES = {"first": 1500, "step": 650, "last": 3500}  # milliseconds
LARGEST = 2_000_000  # bytes


def example() -> Value:
    """A small graph in which one number is used twice, so its gradient is a sum."""
    w, x, b = Value(0.8, label="w"), Value(-0.9, label="x"), Value(0.4, label="b")
    y = (w * x + b).tanh() * w
    y.label = "y"
    return y


def screenshot(page: Any) -> Image.Image:
    """What the page shows now."""
    return Image.open(io.BytesIO(page.screenshot())).convert("RGB")


def frames(page: Any) -> list[Image.Image]:
    """The viewer at every step of both passes."""
    page.keyboard.press("Home")
    page.locator(".zoom .button").last.click()  # the whole graph in sight
    page.locator(".stage").focus()
    shots = []
    for _ in range(page.evaluate("gradientFlow.view.last") + 1):
        page.wait_for_timeout(120)
        shots.append(screenshot(page))
        page.keyboard.press("ArrowRight")
    return shots


def main() -> None:
    """Write the still picture and the moving one."""
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is None:
        sys.exit("Chromium was not found: on Debian, apt-get install chromium")
    FOLDER.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        saved = flow(example(), check=True, title="y = w · tanh(w·x + b)").save(Path(folder) / "flow.html")
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_page(viewport=SIZE, device_scale_factor=1.0, reduced_motion="reduce")
        page.goto(saved.as_uri())
        page.locator(".graph .box").first.wait_for()
        shots = frames(page)
        page.keyboard.press("End")
        page.wait_for_timeout(200)
        screenshot(page).save(FOLDER / "viewer.png", optimize=True)
        browser.close()
    pauses = [PAUSES["first"], *[PAUSES["step"]] * (len(shots) - 2), PAUSES["last"]]
    moving = FOLDER / "backward.webp"
    shots[0].save(moving, save_all=True, append_images=shots[1:], duration=pauses, loop=0, lossless=True, method=6)
    size = moving.stat().st_size
    if size > LARGEST:
        sys.exit(f"{moving} has {size:,} bytes, more than {LARGEST:,}: take fewer steps or a smaller window")
    print(f"{moving}: {len(shots)} steps, {size:,} bytes; {FOLDER / 'viewer.png'}")


if __name__ == "__main__":
    main()
