"""The playground in Chromium: seconds to the first result, cold and warm, and updates a second while a slider moves.

`python tools/build_site.py` first, then `python benchmarks/playground.py [--rounds N]`.
"""

from __future__ import annotations

import argparse
import functools
import http.server
import shutil
import statistics
import tempfile
import threading
import time
import urllib.parse
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

SITE = Path(__file__).parents[1] / "build" / "site"
OPTIONS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
GRAPH = "y = a\nfor i in range(33):\n    y = tanh(b * y + c)\ny"  # 102 nodes
MOVES = """
async () => {
  const { playground } = window;
  const frames = [];
  const leaf = playground.leaves[0].index;
  const start = performance.now();
  for (let i = 0; i < 120; i++) {
    playground.move(leaf, 1 + i / 200);
    await new Promise(requestAnimationFrame);
    frames.push(performance.now());
  }
  return { seconds: (frames.at(-1) - start) / 1000, moves: frames.length };
}
"""


class Silent(http.server.SimpleHTTPRequestHandler):
    """A server of files that prints nothing."""

    def log_message(self, *args: object) -> None:
        """Print nothing."""


def first_result(page: Page, address: str) -> float:
    """Seconds from opening the page until the first program is shown."""
    page.goto("about:blank")
    start = time.perf_counter()
    page.goto(address)
    page.locator("body[data-state=shown]").wait_for(timeout=120_000)
    return time.perf_counter() - start


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=3)
    rounds = parser.parse_args().rounds
    handler = functools.partial(Silent, directory=SITE)
    cold, warm, rates = [], [], []
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server, sync_playwright() as playwright:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_port}/playground/index.html"
        for _ in range(rounds):
            with tempfile.TemporaryDirectory() as profile:
                chromium = shutil.which("chromium") or shutil.which("google-chrome")
                context = playwright.chromium.launch_persistent_context(profile, executable_path=chromium, args=OPTIONS)
                page = context.pages[0]
                cold.append(first_result(page, address))
                warm += [first_result(page, address) for _ in range(3)]
                first_result(page, f"{address}#code={urllib.parse.quote(GRAPH)}")
                moved = page.evaluate(MOVES)
                rates.append(moved["moves"] / moved["seconds"])
                context.close()
        server.shutdown()
    for name, figures, unit in (("cold", cold, "s"), ("warm", warm, "s"), ("updates of 102 nodes", rates, "/s")):
        best = max(figures) if unit == "/s" else min(figures)
        print(f"{name}: best {best:.2f} {unit}, median {statistics.median(figures):.2f} {unit}")


if __name__ == "__main__":
    main()
