"""The gradient-flow viewer in a real browser: the saved page, and a page of JupyterLab."""

import contextlib
import importlib.resources
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from io import BytesIO
from pathlib import Path

import pytest
from graphs_for_views import evil_graph, training_loss, worked_example

import autograd.math as am
from autograd import Value, custom_gradient, topological_order
from autograd.view import draw, flow, record
from autograd.view.page import script, style, to_json
from autograd.view.recompute import with_changes
from autograd.view.symbols import show

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
if CHROMIUM is None:
    pytest.skip("Chromium is not installed (on Debian: apt-get install chromium)", allow_module_level=True)
sync_api = pytest.importorskip("playwright.sync_api")
pytestmark = pytest.mark.slow

QUIET = ("no-sandbox", "disable-gpu", "disable-quic", "no-first-run", "disable-background-networking")
OPTIONS = [f"--{name}" for name in (*QUIET, "disable-component-update", "disable-sync")]
# the texts of a box, from top to bottom
BOXES = """() => [...document.querySelectorAll('.box')].map((b) => [
    Number(b.dataset.box), ...['name', 'data', 'adjoint', 'mark'].map((c) => b.querySelector('.' + c).textContent)
]).sort((a, b) => a[0] - b[0])"""


@pytest.fixture(scope="module")
def browser():
    """A headless Chromium."""
    with sync_api.sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=OPTIONS)
        yield chromium
        chromium.close()


@pytest.fixture(scope="module")
def tab(browser):
    """A page for all tests that open a saved one: a new page takes a second of processor time."""
    page = browser.new_page()
    yield page
    page.close()


def shown_in(tab, path, width, height, color_scheme="light"):
    """The page with a file in it, and nothing left of what it showed before."""
    tab.mouse.move(0, 0)
    tab.set_viewport_size({"width": width, "height": height})
    tab.emulate_media(media="screen", color_scheme=color_scheme, reduced_motion="reduce")
    tab.goto(path.as_uri())
    return tab


@pytest.fixture
def load(tab, tmp_path):
    """Open a saved page; an error of the page, or a request for anything else, fails the test."""
    paths, complaints = [], []
    listeners = {
        "console": lambda m: complaints.append(m.text) if m.type in ("error", "warning") else None,
        "pageerror": lambda error: complaints.append(str(error)),
        "request": lambda r: complaints.append(r.url) if r.url != paths[-1].as_uri() else None,
        "dialog": lambda d: complaints.append(d.message),
    }

    def open_page(shown, width=1200, height=760, color_scheme="light"):
        paths.append(shown.save(tmp_path / f"flow{len(paths)}.html"))
        shown_in(tab, paths[-1], width, height, color_scheme)
        tab.wait_for_function("() => window.gradientFlow?.stageSize")
        return tab

    for event, listener in listeners.items():
        tab.on(event, listener)
    yield open_page
    tab.goto("about:blank")
    for event, listener in listeners.items():
        tab.remove_listener(event, listener)
    assert [] == complaints


def state_of(page, expression):
    """A part of the viewer's state."""
    return page.evaluate(f"gradientFlow.{expression}")


def test_every_step_shows_the_numbers_of_the_record(load):
    """At every step through both passes with the arrow key, every text in every box is that of the sweep."""
    _, error = worked_example()
    shown = flow(error)
    recorded = shown.record
    nodes, values, sent = recorded["nodes"], recorded["values"], recorded["messages"]
    operands = [nodes[n]["operands"][s] for n, s in zip(sent["node"], sent["slot"])]
    computed = [i for i, node in enumerate(nodes) if node["op"]]
    page = load(shown)
    page.locator(".graph").click(position={"x": 3, "y": 3})
    last = len(computed) + 1 + len(operands)
    assert last == state_of(page, "view.last")
    for step in range(last + 1):
        done = set(computed[:step])
        count = max(0, step - len(computed) - 1)
        totals = dict(zip(operands[:count], sent["total"]))
        if step > len(computed):
            totals[len(nodes) - 1] = 1.0
        pending = [operands[count:].count(i) if step > len(computed) else 0 for i in range(len(nodes))]
        expected = [
            [
                node["label"] or f"v{i}",
                show(values["data"][i]) if i in done or not node["op"] else "…",
                f"∂ {show(totals[i])}" if i in totals else "",
                f"+{pending[i]}" if pending[i] else "",
            ]
            for i, node in enumerate(nodes)
        ]
        home = state_of(page, "payload.views[0].boxes")
        assert [expected[node] for node in home] == [texts[1:] for texts in page.evaluate(BOXES)], f"step {step}"
        if count:
            node, slot = sent["node"][count - 1], sent["slot"][count - 1]
            adjoint, local = recorded["adjoints"][node], values["local"][node][slot]
            factor = f"({show(local)})" if local < 0 else show(local)
            equation = f"{show(adjoint)} × {factor} = {show(sent['message'][count - 1])}"
            assert equation == page.locator(".narration .equation").text_content()
            assert equation == page.locator(".callout").text_content()
            total = re.escape(show(sent["total"][count - 1]))
            assert re.search(
                rf"(= |: ){total}\. (All have arrived|Still to come)", page.locator(".note").text_content()
            )
        page.keyboard.press("ArrowRight")
    assert last == state_of(page, "step")


def test_keyboard_and_slider(load):
    """Arrows step in both directions, home and end jump, space plays and pauses, the slider goes to any step."""
    page = load(flow(worked_example()[1]))
    page.locator(".graph").click(position={"x": 3, "y": 3})
    press = page.keyboard.press
    for key, expected in (
        ("ArrowRight", 1),
        ("ArrowRight", 2),
        ("ArrowLeft", 1),
        ("End", 72),
        ("ArrowRight", 72),
        ("Home", 0),
    ):
        press(key)
        assert expected == state_of(page, "step"), key
    start = page.evaluate(BOXES)
    press("End")
    press("Home")
    assert start == page.evaluate(BOXES)
    page.locator(".speed").click()
    page.locator(".graph").click(position={"x": 3, "y": 3})
    press(" ")
    assert state_of(page, "playing")
    page.wait_for_function("() => gradientFlow.step >= 3")
    press(" ")
    stopped = state_of(page, "step")
    page.wait_for_timeout(400)
    assert stopped == state_of(page, "step")
    page.locator(".slider").fill("40")
    assert 40 == state_of(page, "step")
    assert "40 / 72" == page.locator(".counter").text_content()
    page.get_by_role("button", name="One step back").click()
    page.get_by_role("button", name="One step forward").click()
    assert 40 == state_of(page, "step")
    page.locator(".slider").focus()
    press("End")
    assert 72 == state_of(page, "step")


def test_playing_stops_at_the_end(load):
    """Play runs through both passes by itself, and starts again from the beginning."""
    x = Value(3.0, label="x")
    page = load(flow(x * x))
    for _ in range(2):
        page.locator(".speed").click()
    page.get_by_role("button", name="Play", exact=True).click()
    page.wait_for_function("() => gradientFlow.step === 4 && !gradientFlow.playing")
    page.get_by_role("button", name="Play", exact=True).click()
    page.wait_for_function("() => gradientFlow.step < 4 && gradientFlow.playing")


def test_a_click_tells_everything_about_a_node(load):
    """Operands, formula, derivatives in symbols and numbers, messages in and out, source, check, paths."""
    from autograd import record_sources

    with record_sources():
        nodes, error = worked_example()
    page = load(flow(error, check=True))
    state_of(page, "goto(1000)")
    page.get_by_role("searchbox").fill("h1")
    page.keyboard.press("Enter")
    page.get_by_role("button", name=re.compile(r"^h1, value 0\.5933")).click()
    text = page.locator(".side").inner_text()
    error.backward()
    for expected in (
        "σ(", "= 0.5933", "h1 × (1 − h1) = 0.2413", "paths to the output", "2", "finite difference",
        "✓ agrees", "graphs_for_views.py", "worked_example", show(nodes["h1"].grad), "Messages in (2)",
        "Messages out (1)",
    ):  # fmt: skip  # a list of words
        assert expected in text, expected
    on_paths = page.locator(".box:not(.off) .name").all_text_contents()
    assert {"h1", "o1", "o2", "E"} <= set(on_paths)
    assert not {"w1", "h2", "w6"} & set(on_paths)
    page.keyboard.press("Escape")
    assert 0 == page.locator(".box.off").count()


def test_folding_and_unfolding(load):
    """Levels, a double click into a group and the way back; the step of the sweep does not change."""
    _, loss = training_loss([2, 4, 1], 40)
    page = load(flow(loss))
    page.locator(".levels").select_option(label="by layers")
    assert {"layers[0]", "layers[1]"} <= set(page.locator(".box.group .name").all_text_contents())
    state_of(page, "goto(1000)")
    through = state_of(page, "view.at(gradientFlow.view.boxes.findIndex((b) => b.group === 0), 1000).adjoint")
    assert isinstance(through, float)
    page.locator(".box.group", has_text="layers[0]").dblclick()
    assert ["whole graph", "layers[0]"] == page.locator(".crumb").all_text_contents()
    assert {f"neurons[{j}]" for j in range(4)} <= set(page.locator(".box .name").all_text_contents())
    assert state_of(page, "step") == state_of(page, "view.last")
    page.locator(".box.group", has_text="neurons[2]").dblclick()
    assert {"w[0]", "w[1]", "b", "tanh ×40"} <= set(page.locator(".box .name").all_text_contents())
    page.get_by_role("button", name="Back out").click()
    page.keyboard.press("Escape")
    assert 0 == page.locator(".crumb").count()
    page.locator(".levels").select_option(label="by neurons")
    assert 5 == sum(name.startswith("neurons") for name in page.locator(".box.group .name").all_text_contents())


def test_views_can_be_changed_at_any_step(load):
    """From every step of one view to every other view, and one step further."""
    _, loss = training_loss([2, 3, 1], 30)
    page = load(flow(loss), width=700, height=500)
    views = range(state_of(page, "payload.views.length"))
    for share in (0.2, 0.5, 0.8, 1.0):
        for view in views:
            state_of(page, f"goto({share} * gradientFlow.view.last)")
            state_of(page, f"open({view})")
            state_of(page, "goto(gradientFlow.step + 1)")
            state_of(page, "goto(gradientFlow.step - 2)")


def test_search_finds_what_is_folded(load):
    """The search for a label opens the group that hides it."""
    _, loss = training_loss([2, 4, 1], 40)
    page = load(flow(loss))
    page.locator(".levels").select_option(label="by layers")
    page.get_by_role("searchbox").fill("neurons[3].w[1]")
    page.keyboard.press("Enter")
    assert ["whole graph", "layers[0]", "neurons[3]"] == page.locator(".crumb").all_text_contents()
    assert "layers[0].neurons[3].w[1]" == page.locator(".side h3").first.text_content()
    page.get_by_role("searchbox").fill("nothing like it")
    assert "No label contains this." == page.locator(".found").text_content()


def test_labels_run_nothing(load):
    """Markup, quotes, right-to-left letters, emoji and prototypes in labels are shown as they are."""
    page = load(flow(evil_graph()))
    for _ in range(state_of(page, "view.last")):
        state_of(page, "goto(gradientFlow.step + 1)")
    assert page.evaluate("window.hacked") is None
    assert 0 == page.locator("#gradient-flow :is(img, script, iframe)").count()
    for i in range(state_of(page, "view.boxes.length")):
        state_of(page, f"select({i})")
    assert page.evaluate("window.hacked") is None
    page.get_by_role("searchbox").fill("<")
    assert page.locator(".found li").count() >= 2
    assert "<b>out</b>" == page.title() == page.locator(".title").text_content()


def test_trouble_is_pointed_at(load):
    """The page names the first number that is not finite, and marks boxes and arrows with such numbers."""
    x = Value(0.0, label="x")
    page = load(flow(x.log() * x + Value(1.0, label="k") * 0.0))
    state_of(page, "goto(1000)")
    assert "first number that is not finite: v1 = log(0) = −∞" in page.locator(".trouble").text_content()
    assert 1 == page.locator(".box.first.bad").count()
    assert page.locator(".arrow.bad").count() >= 2
    assert 1 == page.locator(".box.dead", has_text="k").count()


def overlaps(page):
    """Pairs of visible texts in the picture that overlap."""
    return page.evaluate("""() => {
        const shown = ({ visibility, display }) => visibility !== 'hidden' && display !== 'none';
        const texts = [...document.querySelectorAll('.box text, .labels text')]
            .concat([...document.querySelectorAll('.callout:not([hidden])')])
            .filter((t) => t.textContent && shown(getComputedStyle(t)))
            .map((t) => [t.textContent, t.getBoundingClientRect()]);
        const found = [];
        texts.forEach(([a, r], i) => texts.slice(0, i).forEach(([b, s]) => {
            const w = Math.min(r.right, s.right) - Math.max(r.left, s.left);
            const h = Math.min(r.bottom, s.bottom) - Math.max(r.top, s.top);
            if (w > 1 && h > 3) found.push([a, b, w, h]);
        }));
        return found;
    }""")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [400, 1200])
def test_nothing_overlaps_in_either_theme_and_at_phone_width(load, scheme, width):
    """No text covers another, nothing extends beyond its box or the page, the equation hides nothing."""
    for shown in (flow(worked_example()[1], check=True), flow(training_loss([2, 3, 2], 1)[1])):
        page = load(shown, width=width, color_scheme=scheme)
        assert scheme == page.locator(".gradient-flow").get_attribute("data-theme")
        last = state_of(page, "view.last")
        for step in (0, last // 4, last // 2, (3 * last) // 4, last):
            state_of(page, f"goto({step})")
            assert [] == overlaps(page)
            assert [] == page.evaluate("""() => [...document.querySelectorAll('.box')].flatMap((b) => {
                const face = b.querySelector('.face').getBoundingClientRect();
                return [...b.querySelectorAll('text')].filter((t) => {
                    const r = t.getBoundingClientRect();
                    const out = r.left < face.left || r.right > face.right || r.bottom > face.bottom;
                    return t.textContent && r.width && out;
                }).map((t) => t.textContent);
            })""")
            assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        assert [] == page.evaluate("""() => [...document.querySelectorAll('button, input, select')].filter((e) => {
            const r = e.getBoundingClientRect();
            return r.width && (r.left < 0 || r.right > innerWidth || r.width < 24 || r.height < 18);
        }).map((e) => e.outerHTML)""")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_texts_have_contrast(load, scheme):
    """Every text has a contrast of 4.5:1 against its background (WCAG AA)."""
    page = load(flow(worked_example()[1]), color_scheme=scheme)
    pairs = [
        (ink, ground)
        for ink in ("ink", "soft", "positive", "negative", "bad")
        for ground in ("paper", "panel", "face", "leaf", "group")
    ]
    pairs += [("positive", "positive-soft"), ("bad", "bad-soft")]
    ratios = page.evaluate(
        """(pairs) => {
            const style = getComputedStyle(document.querySelector('.gradient-flow'));
            const light = (name) => {
                const hex = style.getPropertyValue('--' + name).trim().slice(1);
                const [r, g, b] = [0, 2, 4].map((i) => parseInt(hex.slice(i, i + 2), 16) / 255)
                    .map((c) => (c <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4));
                return 0.2126 * r + 0.7152 * g + 0.0722 * b;
            };
            return pairs.map(([a, b]) => {
                const [x, y] = [light(a), light(b)];
                return (Math.max(x, y) + 0.05) / (Math.min(x, y) + 0.05);
            });
        }""",
        pairs,
    )
    assert [] == [(pair, ratio) for pair, ratio in zip(pairs, ratios) if ratio < 4.5]


def test_theme_can_be_switched(load):
    """The button changes light to dark and back."""
    page = load(flow(worked_example()[1]), color_scheme="light")
    for expected in ("dark", "light"):
        page.get_by_role("button", name="Light or dark").click()
        assert expected == page.locator(".gradient-flow").get_attribute("data-theme")


def test_keyboard_reaches_everything_in_order(load):
    """Tab goes to search, theme, zoom, graph, transport; up and down go through the boxes; all have names."""
    page = load(flow(worked_example()[1]))
    names = []
    for _ in range(16):
        page.keyboard.press("Tab")
        names.append(
            page.evaluate("document.activeElement.getAttribute('aria-label') ?? document.activeElement.textContent")
        )
    assert [
        "Find a node by its label", "Light or dark", "Larger", "Smaller", "Show everything", "i1, value 0.05",
        "To the start", "One step back", "Play", "One step forward", "To the end", "Step", "Speed: 2 steps a second",
    ] == [re.sub(r"^\w\d, value .*", "i1, value 0.05", n) for n in names[:13]]  # fmt: skip  # a list
    page.locator(".box[tabindex='0']").focus()
    first = page.evaluate("document.activeElement.dataset.box")
    page.keyboard.press("ArrowDown")
    assert first != page.evaluate("document.activeElement.dataset.box")
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.classList.contains('selected')")
    tree = page.locator("#gradient-flow").aria_snapshot()
    assert not re.search(r"- (button|slider|searchbox|combobox)\s*$", tree, re.MULTILINE)
    assert 0 == page.locator(".box:not([aria-label])").count()


def test_training_loss_of_five_thousand_nodes(load):
    """It opens folded; all steps work in both directions, and a neuron can be opened."""
    _, loss = training_loss([2, 8, 8, 1], 90)
    page = load(flow(loss))
    assert page.locator(".box").count() <= 90
    last = state_of(page, "view.last")
    for step in (*range(0, last, 3), last, *range(last, 0, -7), 0):
        state_of(page, f"goto({step})")
    page.get_by_role("searchbox").fill("layers[1].neurons[5].b")
    page.keyboard.press("Enter")
    state_of(page, "goto(1000)")
    assert show(dict(loss_gradients(loss))["layers[1].neurons[5].b"]) in page.locator(".side").inner_text()


def loss_gradients(loss):
    """Label → gradient of all labelled leaves."""
    from autograd import topological_order

    loss.backward()
    return [(node.label, node.grad) for node in topological_order(loss) if node.label]


def test_all_nodes_of_a_large_graph(load):
    """Unfolded, only visible nodes are in the page, and the view follows the current step."""
    _, loss = training_loss([2, 6, 1], 40)
    page = load(flow(loss, unfold=True))
    assert state_of(page, "view.boxes.length") > 800
    for share in (0.1, 0.5, 0.9, 1.0):
        state_of(page, f"goto({share} * gradientFlow.view.last)")
        assert 0 < page.locator(".box").count() < 400
        page.wait_for_timeout(250)
        active = page.locator(".box.active").first.bounding_box()
        stage = page.locator(".stage").bounding_box()
        assert stage["x"] <= active["x"] + active["width"] / 2 <= stage["x"] + stage["width"]
        assert stage["y"] <= active["y"] + active["height"] / 2 <= stage["y"] + stage["height"]
    page.get_by_role("button", name="Show everything").click()
    assert state_of(page, "view.boxes.length") == page.locator(".box").count()


def violations(page):
    """What axe-core finds wrong with a page: rule and element."""
    axe = importlib.resources.files("axe_playwright_python").joinpath("axe.min.js").read_text(encoding="utf-8")
    page.evaluate(f"window.axe || (() => {{ {axe} }})()")
    return page.evaluate("async () => (await axe.run(document)).violations.map((v) => [v.id, v.nodes[0].html])")


@pytest.mark.parametrize(("width", "scheme"), [(1200, "light"), (400, "dark")])
def test_accessibility(load, width, scheme):
    """axe-core finds no violation: at both ends of the sweep, with a selection, a search, and a changed leaf."""
    for shown in (flow(worked_example()[1], check=True), flow(training_loss([2, 8, 1], 1)[1])):
        page = load(shown, width=width, color_scheme=scheme)
        page.locator(".finder input").fill("w")
        for action in ("goto(0)", "select(2)", "descend(0.5, gradientFlow.whatIf.leaves)"):
            state_of(page, action)
            assert [] == violations(page), action


# ---- what if ---------------------------------------------------------------------------------------------------------


def texts(page, node):
    """The texts in the box of a node."""
    box = state_of(page, f"view.home[{node}]")
    return {c: page.locator(f'.box[data-box="{box}"] .{c}').text_content() for c in ("data", "adjoint", "mark")}


def test_a_leaf_is_given_another_number(load):
    """Typed or slid: every box shows the numbers of the new sweep, with changes; Reset brings back the old ones."""
    nodes, error = worked_example()
    order = topological_order(error)
    place = next(i for i, node in enumerate(order) if node is nodes["w5"])
    page = load(flow(error), width=2400, height=1000)
    page.locator(".graph").click(position={"x": 3, "y": 3})
    field = page.get_by_role("spinbutton", name="w5")
    field.fill("1.25")
    field.press("Enter")
    expected = record(with_changes(error, {place: 1.25}))
    assert state_of(page, "view.last") == state_of(page, "step")
    for i in range(len(order)):
        shown = texts(page, i)
        assert show(expected["values"]["data"][i]) == shown["data"]
        assert f"∂ {show(expected['adjoints'][i])}" == shown["adjoint"]
    assert "+0.85" == texts(page, place)["mark"]
    change = page.locator(".result").text_content()
    assert f"E {show(error.data)} → {show(expected['values']['data'][-1])}" in change
    page.get_by_role("slider", name="w5, slider").press("ArrowLeft")
    assert 1.25 > state_of(page, f"sweep.data[{place}]") > 1.2
    page.get_by_role("button", name="Reset").click()
    assert [node.data for node in order] == state_of(page, "sweep.data")
    assert "" == page.locator(".result").text_content()


def test_a_number_that_is_not_edited_stays(load):
    """A field shows six digits; Enter in it does not round the leaf to them."""
    x = Value(0.123456789, label="x")
    page = load(flow(x * x))
    page.get_by_role("spinbutton", name="x", exact=True).press("Enter")
    assert x.data == state_of(page, "sweep.data[0]")
    assert page.get_by_role("button", name="Reset").is_disabled()


@pytest.mark.parametrize("width", [1200, 380])
def test_a_field_shows_all_digits_while_it_is_used(load, width):
    """Six digits fit into it, and all of them while the reader is in it; leaving it changes nothing."""
    x = Value(-1.2345678901234567e-100, label="x")
    page = load(flow(x * x), width=width)
    field = page.get_by_role("spinbutton", name="x", exact=True)
    fits = "e => e.scrollWidth <= e.clientWidth"
    assert ("-1.23457e-100", True) == (field.input_value(), field.evaluate(fits))
    field.focus()
    assert (x.data, True) == (float(field.input_value()), field.evaluate(fits))
    field.press("Enter")
    field.blur()
    assert "-1.23457e-100" == field.input_value()
    assert x.data == state_of(page, "sweep.data[0]")
    assert page.get_by_role("button", name="Reset").is_disabled()


def test_a_drawing_lies_on_the_page_around_it(tab, tmp_path):
    """On a dark page its frame is dark too: it has no background of its own."""
    image = pytest.importorskip("matplotlib.image")
    x = Value(2.0, label="x")
    picture = draw(x * x)._repr_mimebundle_()["text/html"]
    page = f'<!doctype html><body style="margin: 0; color-scheme: dark; background: #102030">{picture}'
    (tmp_path / "dark.html").write_text(page, encoding="utf-8")
    shown_in(tab, tmp_path / "dark.html", 600, 400)
    assert 1 == tab.locator("iframe").count()
    tab.frame_locator("iframe").get_by_role("button", name="Larger").wait_for()
    box = tab.locator("iframe").bounding_box()
    clip = {"x": box["x"] + 2, "y": box["y"] + box["height"] - 6, "width": 4, "height": 4}
    pixels = image.imread(BytesIO(tab.screenshot(clip=clip)), format="png")
    assert {(0x10, 0x20, 0x30)} == {
        tuple(round(255 * c) for c in pixel[:3]) for row in pixels.tolist() for pixel in row
    }


def test_gradient_steps(load):
    """A step moves the ticked leaves by -size times their derivatives, and the output falls; 20 steps in a row work."""
    nodes, error = worked_example()
    order = topological_order(error)
    page = load(flow(error))
    adjoints = dict(zip(order, record(error)["adjoints"]))
    page.get_by_role("checkbox", name="w1 moves in a step").uncheck()
    page.get_by_role("spinbutton", name="Size of the step").fill("0.5")
    page.get_by_role("button", name="Step", exact=True).click()
    found = dict(zip(order, state_of(page, "sweep.data")))
    for node in order:
        if node.op is None:
            assert found[node] == (node.data if node is nodes["w1"] else node.data - 0.5 * adjoints[node])
    assert found[error] < error.data
    for _ in range(20):
        page.get_by_role("button", name="Step", exact=True).click()
    assert state_of(page, "sweep.data.at(-1)") < 0.1


def test_what_the_page_cannot_compute_is_said(load):
    """A primitive of the user's own stops the change, and the message names it and the widget."""

    @custom_gradient(lambda x, y: 3 * x * x)
    def cube(x):
        return x**3

    x = Value(2.0, label="x")
    page = load(flow(cube(x) + 1.0))
    state_of(page, "goto(Infinity)")
    page.get_by_role("spinbutton", name="x", exact=True).fill("3")
    page.get_by_role("spinbutton", name="x", exact=True).press("Enter")
    assert re.search(
        r"v1 = cube\(…\) is not a primitive of the table.*widget\(\)", page.locator(".result").text_content()
    )
    assert "8" == texts(page, 1)["data"]


def test_a_difference_after_the_output_was_nan(load):
    """The bound of the check is that of the numbers as they are, not of the recorded ones."""
    page = load(flow(am.log(Value(0.0, label="x")) * Value(0.0, label="y")))
    state_of(page, "change(new Map([[0, 0.25]]))")
    state_of(page, "select(0)")
    assert "0 ✓ agrees" in page.locator(".facts").inner_text()


def test_on_paper(load):
    """The whole picture, light, without controls; on the screen everything is as before."""
    page = load(flow(training_loss([2, 6, 1], 3)[1], unfold=True), color_scheme="dark")
    look = "[gradientFlow.root.dataset.theme, gradientFlow.camera.eye.k, document.querySelectorAll('.box').length]"
    before = page.evaluate(look)
    page.evaluate("window.dispatchEvent(new Event('beforeprint'))")
    page.emulate_media(media="print")
    assert state_of(page, "view.boxes.length") == page.locator(".box").count() > before[2]
    width, svg = page.viewport_size["width"], page.locator(".graph").bounding_box()
    for index in (0, -1):
        box = page.locator(".box").nth(index).bounding_box()
        assert 0 <= box["x"] <= width - box["width"]
        assert svg["y"] <= box["y"] <= svg["y"] + svg["height"] - box["height"]
    assert "light" == state_of(page, "root.dataset.theme")
    assert not page.get_by_role("button", name="Play", exact=True).is_visible()
    page.emulate_media(media="screen")
    page.evaluate("window.dispatchEvent(new Event('afterprint'))")
    assert before == page.evaluate(look)


def test_a_label_of_ten_thousand_letters(load):
    """It leaves room for the picture."""
    page = load(flow(Value(2.0, label="x" * 10_000)))
    assert 300 < page.locator(".stage").bounding_box()["height"]
    assert 100 > page.locator("header").bounding_box()["height"]


def test_a_long_label_leaves_room_for_its_value(load):
    """The facts stay in the panel: the name is broken, and the number beside it is seen."""
    output = Value(2.0) * 3.0
    output.label = "a_long_name_" * 8
    page = load(flow(output))
    panel, value = (page.locator(name).first.bounding_box() for name in (".side", ".facts dd"))
    assert value["x"] + value["width"] <= panel["x"] + panel["width"]
    page.locator(".box").first.click()
    assert page.evaluate("document.querySelector('.side').scrollWidth <= document.querySelector('.side').clientWidth")


TWO = """<!doctype html><html lang="en"><meta charset="utf-8"><title>Two viewers</title><style>{style}</style>
<main><h1>Two viewers</h1><div id="a"></div><div id="b"></div></main><script type="module">{script}
for (const [id, payload] of [["a", {first}], ["b", {second}]]) {{
  const model = {{ get: (name) => (name === "payload" ? JSON.stringify(payload) : ""), on() {{}}, off() {{}} }};
  widget.render({{ model, el: document.getElementById(id) }});
}}
</script></html>"""


def test_two_viewers_in_one_page(tab, tmp_path):
    """Keys go to the one that has the focus, and landmarks can be told apart."""
    first, second = flow(worked_example()[1]), flow(training_loss([2, 3, 1], 1)[1])
    parts = {"style": style(), "script": script().replace("export default", "const widget =").replace("export ", "")}
    text = TWO.format(**parts, first=to_json(first.payload), second=to_json(second.payload))
    (tmp_path / "two.html").write_text(text, encoding="utf-8")
    page = shown_in(tab, tmp_path / "two.html", width=1000, height=1400)
    page.locator("#a").get_by_role("button", name="To the end").click()
    page.locator("#b .stage").click(position={"x": 5, "y": 5})
    page.keyboard.press("ArrowRight")
    assert ["72 / 72", "1 / 45"] == page.locator(".counter").all_text_contents()
    assert [] == violations(page)


# ---- drawings --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("width", [960, 400])
def test_a_drawing_in_a_notebook(tab, tmp_path, width):
    """It opens in a readable size with the output in sight, is moved by keys, and zooms to show everything."""
    html = draw(training_loss([2, 2, 2], 1)[1])._repr_mimebundle_()["text/html"]
    (tmp_path / "notebook.html").write_text(f'<meta charset="utf-8">{html}', encoding="utf-8")
    page = shown_in(tab, tmp_path / "notebook.html", width, height=800)
    frame = page.frame_locator("iframe")
    output = frame.locator(".node").filter(has_text="loss")
    output.wait_for()
    page.wait_for_function("document.querySelector('iframe').contentWindow.drawing?.size")
    assert 0 == page.locator("img").count()
    box, stage = output.bounding_box(), page.locator("iframe").bounding_box()
    assert stage["x"] <= box["x"]
    assert box["x"] + box["width"] <= stage["x"] + stage["width"]
    assert 10 < frame.locator(".node text").first.bounding_box()["height"]
    frame.locator("svg.camera, svg").first.focus()
    page.keyboard.press("ArrowLeft")
    assert 60 == pytest.approx(output.bounding_box()["x"] - box["x"], abs=1)
    frame.get_by_role("button", name="Show everything").click()
    leaf = frame.locator(".node").first.bounding_box()
    assert stage["x"] <= leaf["x"]


# ---- the site --------------------------------------------------------------------------------------------------------

PAGE = """# A page

It has text, $x^2$, a `name`, a table, and code that is wider than a telephone.

| one | two |
|---|---|
| a long line of text that does not break: {dots} | 2 |

```python
from autograd import Value  # a comment

def f(x: float, *, k=1.5) -> float:
    text = "{dots}" + 'text'
    return -x ** 2 if x != None and not x else [x @ x, 0x1F, f"{{x:.3f}}"]
```

```{{toctree}}
:caption: Other pages

primitives
```
"""
PRIMITIVES = """# Primitives

```{{primitives}}
```
"""


@pytest.fixture(scope="module")
def small_site(tmp_path_factory):
    """Two pages with the settings of the site."""
    pytest.importorskip("sphinx")
    docs = Path(__file__).parents[1] / "docs"
    folder = tmp_path_factory.mktemp("small")
    (folder / "docs").mkdir()
    for part in ("extensions", "static"):
        shutil.copytree(docs / part, folder / "docs" / part, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy2(docs / "conf.py", folder / "docs")
    (folder / "docs" / "index.md").write_text(PAGE.format(dots="long, " * 40), encoding="utf-8")
    (folder / "docs" / "primitives.md").write_text(PRIMITIVES.format(), encoding="utf-8")
    built = folder / "site"
    extensions = "sphinx_copybutton,myst_nb,mathml,primitives,programs"  # without the reference of all names
    command = [
        sys.executable,
        "-m",
        "sphinx",
        "-q",
        "-b",
        "html",
        "-D",
        f"extensions={extensions}",
        folder / "docs",
        built,
    ]
    done = subprocess.run(command, capture_output=True, text=True)
    assert 0 == done.returncode, done.stderr
    return built


@pytest.mark.parametrize(
    ("width", "scheme", "names"), [(1280, "light", ["index", "search"]), (400, "dark", ["index", "primitives"])]
)
def test_pages_of_the_site_are_accessible(tab, small_site, width, scheme, names):
    """axe-core finds no violation, and nothing sticks out of a narrow screen."""
    for name in names:
        page = shown_in(tab, small_site / f"{name}.html", width, height=800, color_scheme=scheme)
        page.wait_for_timeout(100)
        assert [] == violations(page), name
        assert width == page.evaluate("document.documentElement.scrollWidth"), name


def test_the_search_works_in_a_file(browser, small_site):
    """Without a server and a network; nothing is complained of."""
    page = browser.new_page()
    complaints = []
    page.on("console", lambda m: complaints.append(m.text) if m.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.goto((small_site / "index.html").as_uri())
    page.locator(".sidebar-search").fill("telephone")
    page.keyboard.press("Enter")
    page.locator("#search-results li", has_text="A page").wait_for()
    page.get_by_text("Search finished").wait_for()
    assert [] == complaints
    page.close()


# ---- notebooks -------------------------------------------------------------------------------------------------------

VS_CODE = """default-src 'none'; script-src 'self' https://*.vscode-cdn.net 'unsafe-inline' 'unsafe-eval';
style-src 'self' https://*.vscode-cdn.net 'unsafe-inline'; img-src 'self' https: http: data:; font-src 'self' https:;
connect-src https:; child-src https: data:"""


def test_the_rules_of_vs_codes_notebooks(browser, tmp_path):
    """Under the Content-Security-Policy of its webview both frames work, and no rule is broken."""
    outputs = [flow(worked_example()[1]), draw(training_loss([2, 2, 1], 1)[1])]
    cells = "".join(f"<div>{output._repr_mimebundle_()['text/html']}</div>" for output in outputs)
    policy = f'<meta http-equiv="Content-Security-Policy" content="{VS_CODE}">'
    (tmp_path / "webview.html").write_text(f'<meta charset="utf-8">{policy}{cells}', encoding="utf-8")
    page = browser.new_page(viewport={"width": 960, "height": 1400})
    complaints = []
    page.on("console", lambda m: complaints.append(m.text) if m.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.goto((tmp_path / "webview.html").as_uri())
    viewer, drawing = page.frame_locator("iframe").first, page.frame_locator("iframe").last
    viewer.get_by_role("button", name="To the end").click()
    assert "72 / 72" == viewer.locator(".counter").text_content()
    drawing.get_by_role("button", name="Show everything").click()
    assert 0 == page.locator("img").count()
    assert [] == complaints
    page.close()


# ---- JupyterLab ------------------------------------------------------------------------------------------------------

CELLS = [
    "from graphs_for_views import worked_example\nfrom autograd import Value\n"
    "from autograd.view import explain, flow\nnodes, error = worked_example()\nflow(error)",
    "explain(error, nodes['w1'])",
    "w = Value(3.0, label='w')\nwatched = flow.watch()\nwatched",
    "for _ in range(5):\n    loss = (w - 1.0) ** 2\n    w.grad = 0.0\n    loss.backward()\n    watched(loss)\n"
    "    w.data -= 0.1 * w.grad",
    "from autograd import custom_gradient\ncube = custom_gradient(lambda x, y: 3.0 * x * x)(lambda x: x**3)\n"
    "live = flow(cube(Value(2.0, label='x')) + 1.0).widget()\nlive",
]


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    """A JupyterLab server: its address, and the folder that it serves."""
    pytest.importorskip("jupyterlab")
    home = tmp_path_factory.mktemp("lab")
    folders = {f"JUPYTER_{name}_DIR": str(home / f".{name}") for name in ("CONFIG", "DATA", "RUNTIME")}
    here = os.path.dirname(__file__)
    paths = os.pathsep.join([os.path.dirname(here), here, *filter(None, [os.environ.get("PYTHONPATH")])])
    env = {**os.environ, **folders, "IPYTHONDIR": str(home / ".ipython"), "PYTHONPATH": paths}
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    served = home / "served"
    served.mkdir()
    settings = (
        "--no-browser",
        "--allow-root",
        f"--port={port}",
        "--ServerApp.ip=127.0.0.1",
        "--IdentityProvider.token=",
    )
    command = [
        sys.executable,
        "-m",
        "jupyterlab",
        *settings,
        "--LabApp.news_url=None",
        f"--ServerApp.root_dir={served}",
    ]
    with (home / "log").open("w") as log:
        server = subprocess.Popen(command, env=env, stdout=log, stderr=log)
    try:
        for _ in range(240):
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/api", timeout=1):
                    break
            except OSError:
                assert server.poll() is None, (home / "log").read_text()
                time.sleep(0.25)
        yield f"http://127.0.0.1:{port}", served, env
    finally:
        server.terminate()
        try:
            server.wait(20)
        except subprocess.TimeoutExpired:  # the server waits for its kernels, on a slow machine for long
            server.kill()
            server.wait()


def write_notebook(path, outputs=None):
    """Write a notebook with the cells above; `outputs` are those of the first cell."""
    cells = [
        {"cell_type": "code", "id": f"c{i}", "metadata": {}, "execution_count": None, "outputs": [], "source": source}
        for i, source in enumerate(CELLS)
    ]
    if outputs is not None:
        cells = cells[:1]
        data = {"output_type": "execute_result", "execution_count": 1, "metadata": {}, "data": outputs}
        cells[0] |= {"outputs": [data], "execution_count": 1}
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    path.write_text(json.dumps({"nbformat": 4, "nbformat_minor": 5, "metadata": kernel, "cells": cells}))


def run_all(page):
    """Run all cells; the command is ignored while the page is still connecting to its kernel."""
    for _ in range(8):
        page.get_by_role("menuitem", name="Run", exact=True).click()
        page.get_by_role("menuitem", name="Run All Cells", exact=True).click()
        with contextlib.suppress(sync_api.TimeoutError):
            page.locator(".jp-OutputArea iframe").first.wait_for(state="attached", timeout=4000)
            break


def test_jupyterlab_runs_the_viewer(lab, browser):
    """Run all cells: the viewer steps in its output, explain is mathematics, watch follows the training."""
    address, folder, _ = lab
    write_notebook(folder / "live.ipynb")
    page = browser.new_page(viewport={"width": 1300, "height": 2600})  # JupyterLab removes cells that are not visible
    page.goto(f"{address}/lab/tree/live.ipynb")
    page.locator(".jp-Notebook .jp-Cell").first.wait_for(timeout=60_000)
    page.get_by_text("Python 3 (ipykernel) | Idle").wait_for(timeout=60_000)
    run_all(page)
    viewer = page.frame_locator(".jp-OutputArea iframe").locator(".gradient-flow")
    viewer.locator(".box").first.wait_for(timeout=60_000)
    viewer.get_by_role("button", name="To the end").click()
    assert "72 / 72" == viewer.locator(".counter").text_content()
    assert 0 == page.locator(".gradient-flow-picture").count()
    page.locator(".jp-OutputArea mjx-container").first.wait_for(timeout=60_000)
    assert 0 == page.locator("mjx-merror").count()
    widget = page.locator(".jp-OutputArea .gradient-flow").first
    widget.locator(".box").first.wait_for(timeout=60_000)
    page.get_by_text("5 updates: 4 → 0.6711").wait_for(timeout=60_000)
    widget.get_by_role("button", name="To the end").click()
    widget.locator(".stage").click(position={"x": 5, "y": 5})
    for key, expected in (("Home", "0 / 5"), ("ArrowRight", "1 / 5"), ("End", "5 / 5")):
        page.keyboard.press(key)
        assert expected == widget.locator(".counter").text_content()
    assert "1.819" == widget.locator(".box", has_text="w").first.locator(".data").text_content()
    live = page.locator(".jp-OutputArea .gradient-flow").nth(1)  # only Python knows how to compute it
    live.get_by_role("spinbutton", name="x", exact=True).fill("3")
    live.get_by_role("spinbutton", name="x", exact=True).press("Enter")
    live.get_by_text("9 → 28").wait_for(timeout=20_000)
    live.get_by_role("button", name="Step", exact=True).click()  # 3 - 0.1 · 27
    live.get_by_text("9 → 1.027").wait_for(timeout=20_000)
    page.close()


def test_jupyterlab_without_a_kernel(lab, browser):
    """A trusted notebook shows the working viewer when it is opened; an untrusted one shows the picture."""
    address, folder, env = lab
    bundle = flow(am.tanh(Value(0.5, label="x") * Value(2.0, label="y")))._repr_mimebundle_()
    write_notebook(folder / "stored.ipynb", bundle)
    write_notebook(folder / "stranger.ipynb", {**bundle, "text/plain": "another"})
    subprocess.run(
        [sys.executable, "-m", "jupyter", "trust", str(folder / "stored.ipynb")],
        env=env,
        check=True,
        capture_output=True,
    )
    page = browser.new_page(viewport={"width": 1300, "height": 900})
    page.goto(f"{address}/lab/tree/stored.ipynb?reset")
    viewer = page.frame_locator(".jp-OutputArea iframe").locator(".gradient-flow")
    viewer.locator(".box").first.wait_for(timeout=60_000)
    viewer.get_by_role("button", name="To the end").click()
    assert "6 / 6" == viewer.locator(".counter").text_content()
    page.goto(f"{address}/lab/tree/stranger.ipynb?reset")
    picture = page.locator(".jp-OutputArea img")
    picture.wait_for(timeout=60_000)
    page.wait_for_timeout(500)
    assert picture.evaluate("(img) => img.complete && img.naturalWidth > 100")
    assert 0 == page.locator(".jp-OutputArea iframe").count()
    page.close()


def test_notebook_7_runs_the_viewer(lab, browser):
    """The other interface of the same server: the viewer steps, explain is mathematics, and a leaf asks the kernel."""
    pytest.importorskip("notebook")
    address, folder, _ = lab
    write_notebook(folder / "seven.ipynb")
    page = browser.new_page(viewport={"width": 1300, "height": 2600})
    page.goto(f"{address}/notebooks/seven.ipynb")
    page.locator(".jp-Notebook .jp-Cell").first.wait_for(timeout=60_000)
    run_all(page)
    viewer = page.frame_locator(".jp-OutputArea iframe").locator(".gradient-flow")
    viewer.get_by_role("button", name="To the end").click(timeout=60_000)
    assert "72 / 72" == viewer.locator(".counter").text_content()
    page.locator(".jp-OutputArea mjx-container").first.wait_for(timeout=60_000)
    live = page.locator(".jp-OutputArea .gradient-flow").nth(1)
    live.get_by_role("spinbutton", name="x", exact=True).fill("3", timeout=60_000)
    live.get_by_role("spinbutton", name="x", exact=True).press("Enter")
    live.get_by_text("9 → 28").wait_for(timeout=20_000)
    page.close()
