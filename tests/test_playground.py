"""The playground in a real browser: programs, errors, endless loops, links, sliders, keys and narrow screens."""

import functools
import http.server
import re
import shutil
import sys
import threading
import urllib.parse
from pathlib import Path

import pytest

import autograd.math as am
from autograd import Value
from autograd.view import explain
from autograd.view.symbols import show

ROOT = Path(__file__).parents[1]
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
if CHROMIUM is None:
    pytest.skip("Chromium is not installed (on Debian: apt-get install chromium)", allow_module_level=True)
if shutil.which("npm") is None:
    pytest.skip("npm is not installed (on Debian: apt-get install npm)", allow_module_level=True)
sync_api = pytest.importorskip("playwright.sync_api")
pytestmark = pytest.mark.slow

QUIET = ("no-sandbox", "disable-gpu", "disable-quic", "no-first-run", "disable-background-networking")
OPTIONS = [f"--{name}" for name in (*QUIET, "disable-component-update", "disable-sync")]
PATIENCE = 60_000  # milliseconds: Python starts in two seconds, but not on a machine that does much else


class Silent(http.server.SimpleHTTPRequestHandler):
    """A server of files that prints nothing."""

    def log_message(self, *args):
        """Print nothing."""


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    """The playground, built and served."""
    sys.path.insert(0, str(ROOT / "tools"))
    import build_site

    folder = tmp_path_factory.mktemp("site")
    build_site.build_playground(folder / "playground", build_site.fetch_packages(folder / "npm"))
    sys.path.remove(str(ROOT / "tools"))
    handler = functools.partial(Silent, directory=folder)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/playground/index.html"
        server.shutdown()


@pytest.fixture(scope="module")
def browser():
    """A headless Chromium."""
    with sync_api.sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=OPTIONS)
        yield chromium
        chromium.close()


class Page:
    """The playground as a reader sees it."""

    def __init__(self, browser, address, code=None, width=1300):
        self.address = address
        self.complaints = []
        self.context = browser.new_context(viewport={"width": width, "height": 900}, reduced_motion="reduce")
        self.page = self.context.new_page()
        self.page.set_default_timeout(PATIENCE)
        self.page.on("console", lambda m: self.complaints.append(m.text) if m.type in ("error", "warning") else None)
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("request", lambda r: self.complaints.append(r.url) if not self.own(r.url) else None)
        self.page.goto(address if code is None else f"{address}#code={urllib.parse.quote(code, safe='')}")
        self.page.locator("body:not([data-state=loading])").wait_for()

    def own(self, url):
        """Whether an address is within the playground."""
        return url.startswith((self.address.rpartition("/")[0], "data:", "blob:"))

    def run(self, code):
        """Type a program and wait until it is shown, or found wrong."""
        before = self.answers
        self.page.locator("#code").fill(code)
        self.wait(f"document.body.dataset.answers > {before}")

    def wait(self, condition):
        """Wait until something is true of the page."""
        for _ in range(PATIENCE // 50):
            if self.page.evaluate(f"Boolean({condition})"):
                return
            self.page.wait_for_timeout(50)
        raise AssertionError(f"never came true: {condition}; {self.page.locator('#message').text_content()}")

    @property
    def answers(self):
        """How many answers the page has had."""
        return self.page.evaluate("Number(document.body.dataset.answers ?? 0)")

    @property
    def sweep(self):
        """The nodes, values and adjoints in the viewer."""
        read = "({ nodes, data, adjoints }) => ({ nodes, data: [...data], adjoints: [...adjoints] })"
        return self.page.evaluate(f"({read})(document.getElementById('viewer').gradientFlow.sweep)")

    @property
    def message(self):
        """The error that is shown, if any."""
        message = self.page.locator("#message")
        return message.text_content() if message.is_visible() else ""


@pytest.fixture(scope="module")
def shared(browser, address):
    """One page for all tests that only type programs; nothing is loaded from elsewhere, no error is logged."""
    page = Page(browser, address)
    yield page
    page.context.close()
    assert [] == page.complaints


def test_a_formula_shows_what_the_engine_computes(shared):
    """The numbers, the chain rule and the check are those of the engine; names that are not defined are inputs."""
    shared.run("a * b + sin(a)")
    a, b = Value(2.0, label="a"), Value(-3.0, label="b")
    y = a * b + am.sin(a)
    assert shared.sweep["data"][-1] == pytest.approx(y.data, rel=1e-15)
    assert str(explain(y, a)) == shared.page.locator("#explanation").text_content()
    assert "Finite differences agree at 5 of 5 nodes." == shared.page.locator("#check").text_content()
    assert "a, b: not defined in the program, so they are inputs." == shared.page.locator("#given").text_content()
    assert 5 == shared.page.locator("#viewer .box").count()


def test_a_network_and_what_a_program_prints(shared):
    """`nn` works in the browser, and printed text is shown."""
    shared.run(
        'model = MLP(2, [3, 1], activation="tanh", seed=0)\nprint(model)\nloss = (model([0.5, -1.0]) - 0.8) ** 2'
    )
    from nn import MLP

    loss = (MLP(2, [3, 1], activation="tanh", seed=0)([0.5, -1.0]) - 0.8) ** 2
    assert loss.data == pytest.approx(shared.sweep["data"][-1], rel=1e-12)
    assert shared.page.locator("#printed").text_content().startswith("MLP")
    assert 13 == shared.page.locator("#sliders .input-row").count()


@pytest.mark.parametrize(
    ("code", "told"),
    [
        ("x = 1.0\ny = (x +\n", "Line 2: '(' was never closed"),
        ("x = 1.0\nsine(x)", "Line 2: NameError: name 'sine' is not defined"),
        ("x = 2.0\n\ndef f(x):\n    return x / nothing\nf(x) * exp(nothing())", "Line 4: NameError"),
        ("def f(x):\n    return f(x)\nf(a)", "Line 2: RecursionError"),
        ("import numpy", "Line 1: ModuleNotFoundError: No module named 'numpy'"),
        (
            "x = 2\nx ** 3",
            "there is no Value to show: end with an expression, such as a * b + sin(a), and write inputs",
        ),
    ],
)
def test_an_error_is_shown_at_its_line(shared, code, told):
    """The message has the line, and the editor marks it; the next program runs."""
    shared.run(code)
    assert shared.message.startswith(told)
    marked = [
        i + 1
        for i, mark in enumerate(shared.page.locator(".gutter div").all())
        if "wrong" in (mark.get_attribute("class") or "")
    ]
    line = re.match(r"Line (\d+)", told)
    assert ([int(line[1])] if line else []) == marked
    shared.run("c * 2")
    assert "" == shared.message


def test_an_endless_loop_is_stopped_at_its_line(shared):
    """A loop without an end is an error with its line, and Python goes on."""
    shared.run("x = 1.0\nwhile True:\n    x = x * a")
    assert "Line 2: stopped: the program was still running after 4 s" == shared.message
    shared.run("d + 1")
    assert "" == shared.message


def test_a_program_that_hangs_outside_of_python_is_stopped(browser, address):
    """Where no line of the program runs, the worker ends and another one starts."""
    page = Page(browser, address)
    page.page.locator("#code").fill("y = a * sum(10 ** (10 ** 9) for _ in [1])")
    page.page.locator("#stop").click()
    page.wait("!document.getElementById('message').hidden")
    assert "stopped" == page.message
    page.run("a * 3")
    assert "" == page.message
    page.context.close()


def test_a_slider_moves_every_number(shared):
    """A moved slider changes values, adjoints and the chain rule as the engine does; the picture stays the same."""
    shared.run("x = 0.5\nw = 0.8\ny = sigmoid(w * x)")
    before = shared.answers
    shared.page.locator("#sliders .input-row input[type=range]").nth(1).evaluate(
        "e => { e.value = -1.5; e.dispatchEvent(new Event('input')); }"
    )
    shared.wait(f"document.body.dataset.answers > {before}")
    shared.wait("!window.playground.asking")
    w, x = Value(-1.5, label="w"), Value(0.5, label="x")
    y = (w * x).sigmoid()
    y.label = "y"
    y.backward()
    sweep = shared.sweep
    adjoints = {node["label"]: a for node, a in zip(sweep["nodes"], sweep["adjoints"])}
    assert (w.grad, x.grad) == pytest.approx((adjoints["w"], adjoints["x"]), rel=1e-12)
    assert str(explain(y, x)) == shared.page.locator("#explanation").text_content()
    assert show(y.data) in shared.page.locator("#viewer").inner_text()
    shared.page.locator("#reset").click()
    shared.wait("document.getElementById('reset').hidden")
    assert "0.8" == shared.page.locator("#sliders .input-row input[type=number]").nth(1).input_value()


def test_a_moved_leaf_may_change_the_branch(shared):
    """The program runs again, so another branch makes another graph."""
    shared.run("x = 0.7\nif x > 0.5:\n    y = x ** 2\nelse:\n    y = exp(x) - 1\ny")
    assert 2 == len(shared.sweep["nodes"])
    shared.page.locator("#sliders .input-row input[type=number]").fill("0.1")
    shared.wait("document.querySelectorAll('#viewer .box').length == 3")


def test_a_link_carries_the_program(browser, address, shared):
    """What is typed is in the address, and the address brings it back."""
    code = 'f = sin(a) * 3  # 100 % "quoted" & ünusual'
    shared.run(code)
    link = shared.page.url
    assert f"#code={urllib.parse.quote(code, safe='!()*~')}" in link.replace("'", "%27")
    page = Page(browser, address, code)
    assert code == page.page.locator("#code").input_value()
    assert 3 == len(page.sweep["nodes"])
    assert [] == page.complaints
    page.context.close()


def test_examples_run(shared):
    """Every example that can be chosen gives a picture."""
    names = shared.page.locator("#examples option").all_text_contents()[1:]
    assert len(names) >= 8
    for index, name in enumerate(names):
        before = shared.answers
        shared.page.locator("#examples").select_option(str(index))
        shared.wait(f"document.body.dataset.answers > {before}")
        assert "" == shared.message, name


def test_a_narrow_screen_and_the_keyboard(browser, address):
    """At 400 pixels nothing sticks out; the program is reached, run and left with keys alone."""
    page = Page(browser, address, width=400)
    assert 400 == page.page.evaluate("document.documentElement.scrollWidth")
    code = page.page.locator("#code")
    code.focus()
    page.page.keyboard.press("ControlOrMeta+a")
    page.page.keyboard.type("for i in range(2):\nz = a * i\nz + a")
    assert "for i in range(2):\n    z = a * i\n    z + a" == code.input_value()
    before = page.answers
    page.page.keyboard.press("ControlOrMeta+Enter")
    page.wait(f"document.body.dataset.answers > {before}")
    page.page.keyboard.press("Tab")
    assert "run" == page.page.evaluate("document.activeElement.id")
    for _ in range(2):
        page.page.keyboard.press("Tab")
    assert "range" == page.page.evaluate("document.activeElement.type")
    before = page.answers
    page.page.keyboard.press("ArrowRight")
    page.wait(f"document.body.dataset.answers > {before}")
    assert [] == page.complaints
    page.context.close()


def test_a_program_has_no_way_to_the_network(shared):
    """A program that came by a link cannot send anything: the worker has neither fetch nor sockets."""
    shared.run(
        "import js\nways = ('fetch', 'XMLHttpRequest', 'WebSocket')\n"
        "print([bool(getattr(js, way, None)) for way in ways])\nValue(1.0) * 2"
    )
    assert "[False, False, False]\n" == shared.page.locator("#printed").text_content()
