"""`fit(watch=True)` shows the network while it learns, changes no number, and takes at most a tenth of the time."""

import base64
import json
import time

import numpy as np
import pytest

from nn import MLP, fit, watching

pytest.importorskip("anywidget")
display = pytest.importorskip("IPython.display")
RANDOM = np.random.default_rng(0)
X = RANDOM.normal(size=(40, 2))
YES = (X[:, 0] > 0).astype(int)
KIND = YES + (X[:, 1] > 0)
CASES = {
    "logits": ("binary_cross_entropy_with_logits", YES, 1),
    "classes": ("cross_entropy_with_logits", KIND, 3),
    "value": ("mean_squared_error", X[:, 0] * X[:, 1], 1),
}


@pytest.fixture
def shown(monkeypatch):
    """What a notebook displays."""
    found = []
    monkeypatch.setattr(watching, "in_notebook", lambda: True)
    monkeypatch.setattr(display, "display", found.append)
    return found


def train(case="logits", x=X, **options):
    """Train a small network."""
    loss, y, outputs = CASES[case]
    model = MLP(x.shape[1], [4, outputs], activation="tanh", seed=0)
    history = fit(model, x, y, loss, seed=0, **{"epochs": 5, "batch_size": 8, **options})
    return [parameter.data for parameter in model.parameters()], history, model


@pytest.mark.parametrize("jit", [True, False])
@pytest.mark.parametrize("case", CASES)
def test_the_panel_shows_plane_and_losses(case, jit, shown):
    """Its last state is that of the trained model: the answers everywhere, the points, the losses."""
    _, history, model = train(case, watch=True, validation=(X, CASES[case][1]), jit=jit)
    panel, flow = shown
    fixed, now = json.loads(panel.fixed), json.loads(panel.now)
    assert "epoch 5 of 5" == now["text"]
    assert [1, 2, 3, 4, 5] == now["history"]["loss"]["x"]
    assert history["val_loss"] == pytest.approx(now["history"]["val_loss"]["y"], rel=1e-4)
    assert case == fixed["kind"]
    assert len(X) == len(fixed["points"])
    cells = np.frombuffer(base64.b64decode(now["cells"]), dtype=np.uint8)
    side = watching.SIDE
    assert side * side == len(cells)
    corner = model.predict([fixed["box"][1:3]])[0]  # at the right end of the first row of cells
    expected = {
        "logits": lambda: 255 / (1 + np.exp(-corner)),
        "classes": lambda: np.argmax(corner),
        "value": lambda: 255 * np.clip((corner - CASES[case][1].min()) / np.ptp(CASES[case][1]), 0, 1),
    }[case]()
    assert abs(cells[side - 1] - expected) <= 1
    assert len(flow.history) >= 2
    assert flow.widget().payload


def test_watching_changes_no_number(shown):
    """Neither the parameters nor the history, except the times."""
    watched, alone = train(watch=True), train()
    assert alone[0] == watched[0]
    assert alone[1]["loss"] == watched[1]["loss"]


def test_other_inputs_have_losses_only(shown):
    """Three inputs have no plane; a large network has no graph."""
    x = RANDOM.normal(size=(40, 3))
    train(x=x, watch=True)
    assert 2 == len(shown)
    assert "cells" not in json.loads(shown[0].now)
    shown.clear()
    fit(MLP(3, [60, 60, 1], seed=0), x, 2 * YES - 1, "hinge", epochs=1, watch=True, jit=False)
    assert 1 == len(shown)


def test_pictures_take_at_most_a_tenth_of_the_time(shown, monkeypatch):
    """With a clock on which every picture takes 0.07 s and every look 1 ms."""
    now, drawn = [0.0], []

    def clock():
        now[0] += 1e-3
        return now[0]

    def slow(self, training):
        now[0] += 0.07
        drawn.append(now[0])

    monkeypatch.setattr(time, "perf_counter", clock)
    for name in ("_show_panel", "_show_flow"):
        monkeypatch.setattr(watching.Watcher, name, slow)
    train(watch=True, epochs=1000)
    drawn, first = drawn[1:-2], drawn[0]  # the first picture of the graph, and the last two, come once
    assert len(drawn) > 4
    assert 0.07 * len(drawn) <= 0.1 * (now[0] - first) + 0.14


def test_pictures_are_at_least_a_tenth_of_a_second_apart():
    """However quickly they are drawn."""
    assert 5.1 == pytest.approx(watching.next_time(5.0, 5.001))
    assert 25.0 == pytest.approx(watching.next_time(5.0, 6.0))


def test_outside_a_notebook_there_is_nothing_to_watch():
    """The error comes before the training."""
    with pytest.raises(RuntimeError, match="watch=True shows the network in a Jupyter notebook"):
        train(watch=True)


@pytest.fixture(scope="module")
def page():
    """A page of a browser, for one panel after the other."""
    playwright = pytest.importorskip("playwright.sync_api")
    with playwright.sync_playwright() as started:
        try:
            browser = started.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox"])
        except playwright.Error:
            browser = started.chromium.launch()
        yield browser.new_page()
        browser.close()


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES)
def test_the_panel_draws_in_a_browser(case, shown, page):
    """The plane has the colours of the answers, the curve ends at the last loss, and updates are followed."""
    train(case, watch=True)
    panel = shown[0]
    script = panel._esm.replace("export default { render };", "")
    data = json.dumps({"fixed": panel.fixed, "now": panel.now})
    page_text = f"""<div id="place"></div><script type="module">{script}
        window.data = {data};
        window.listeners = [];
        render({{ model: {{ get: (name) => data[name], on: (_, call) => listeners.push(call) }}, el: place }});
    </script>"""
    errors = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto("about:blank")  # nothing is left of the panel before
    page.set_content(page_text)
    page.locator(".losses .line").wait_for()
    colours = page.evaluate("""() => {
        const canvas = document.querySelector("canvas");
        const pixels = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
        return new Set(Array.from({ length: 400 }, (_, i) => pixels.slice(400 * i, 400 * i + 3).join())).size;
    }""")
    assert colours > 5
    last = f"{json.loads(panel.now)['history']['loss']['y'][-1]:.3g}"
    assert f"loss {last}" in page.locator(".losses").text_content()
    now = json.dumps(json.dumps({**json.loads(panel.now), "text": "epoch 6 of 5"}))
    page.evaluate(f"() => {{ data.now = {now}; listeners.forEach((call) => call()); }}")
    assert "epoch 6 of 5" == page.locator("figcaption").last.text_content()
    assert [] == errors
