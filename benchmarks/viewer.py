"""Measure how fast the gradient-flow viewer opens and steps in Chromium on graphs of about 5,000 nodes.

Run it with the `test` extra installed and Chromium on the PATH: ``python benchmarks/viewer.py``. The browser counts
frames: each is one painted step of the sweep. Compare these graphs with a page of one box; read only the ratio.
"""

import shutil
import sys
import tempfile
import time
from pathlib import Path

from playwright.sync_api import sync_playwright

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from graphs_for_views import long_chain, training_loss

from autograd import Value
from autograd.view import flow

OPTIONS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"]
FRAMES = """async (count) => {
    const viewer = window.gradientFlow, gaps = [];
    let at = 0, before = performance.now();
    await new Promise((done) => {
        const frame = (now) => {
            if (at++) gaps.push(now - before);
            before = now;
            if (at > count || viewer.step >= viewer.view.last) return done();
            viewer.goto(viewer.step + 1, true);
            requestAnimationFrame(frame);
        };
        requestAnimationFrame(frame);
    });
    gaps.sort((a, b) => a - b);
    return { rate: 1000 * gaps.length / gaps.reduce((a, b) => a + b, 0), slow: gaps[Math.floor(gaps.length * 0.95)] };
}"""


def measure(browser, name, shown):
    """Print one line for a page: seconds to open, steps per second, the slowest frames."""
    path = Path(tempfile.mkdtemp()) / "flow.html"
    shown.save(path)
    page = browser.new_page(viewport={"width": 1280, "height": 800})
    start = time.perf_counter()
    page.goto(path.as_uri())
    page.wait_for_function("() => window.gradientFlow?.stageSize")
    page.evaluate("() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
    opened = time.perf_counter() - start
    boxes, last = page.evaluate("[gradientFlow.view.boxes.length, gradientFlow.view.last]")
    rates = []
    for step in (0, "gradientFlow.view.seed", "Math.floor(gradientFlow.view.last * 0.9)"):
        page.evaluate(f"gradientFlow.goto({step})")
        rates.append(page.evaluate(FRAMES, 200))
    page.evaluate("document.querySelector('.fit').click(), gradientFlow.goto(gradientFlow.view.seed)")
    far = page.evaluate(FRAMES, 100)
    page.close()
    slowest = min(r["rate"] for r in rates)
    late = max(r["slow"] for r in rates)
    size = path.stat().st_size / 1e6
    print(
        f"{name:30} {len(shown.record['nodes']):6,} nodes {boxes:6,} boxes {last:7,} steps {size:6.1f} MB"
        f"   opens in {opened:5.2f} s   {slowest:5.1f} steps/s, 95 % of frames within {late:5.1f} ms"
        f"   all in sight: {far['rate']:5.1f} steps/s"
    )


def main():
    """Measure a page of two nodes, and graphs of about 5,000."""
    x = Value(3.0, label="x")
    _, loss = training_loss([2, 8, 8, 1], 90)
    graphs = [
        ("x * x", x * x, None),
        ("training loss, folded", loss, None),
        ("loop without labels, folded", long_chain(1250), None),
    ]
    if "--unfolded" in sys.argv:  # Graphviz needs half a minute for the layout
        graphs += [
            ("loop, all nodes", long_chain(1250), True),
            ("training loss, all nodes", training_loss([2, 8, 1], 150)[1], True),
        ]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=OPTIONS)
        for name, value, unfold in graphs:
            start = time.perf_counter()
            shown = flow(value, unfold=unfold)
            made = time.perf_counter() - start
            print(f"{name}: recorded and laid out in {made:.2f} s")
            measure(browser, name, shown)
        browser.close()


if __name__ == "__main__":
    main()
