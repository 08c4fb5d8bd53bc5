"""What is in sight in the viewer: a picture that fits stays where it is, in a page of any width."""

import pytest
from graphs_for_views import training_loss

pytest.importorskip("playwright.sync_api")
from test_flow_browser import browser, load, state_of, tab

from autograd import Value
from autograd.view import flow

pytestmark = pytest.mark.slow
__all__ = ["browser", "load", "tab"]  # fixtures


@pytest.mark.parametrize("width", [400, 1280])
def test_a_picture_that_fits_is_not_moved_by_a_step(load, width):
    """Where all boxes are in sight, no step moves the camera; the equation of a step has room beside them."""
    _, loss = training_loss([2, 2, 1], 1)
    page = load(flow(loss), width=width)
    state_of(page, "open(0)")  # by layers: five boxes
    page.get_by_role("button", name="Show everything").click()
    eye = state_of(page, "camera.eye")
    for step in range(state_of(page, "view.last") + 1):
        state_of(page, f"goto({step})")
        assert eye == state_of(page, "camera.eye")
    stage = page.locator(".stage").bounding_box()
    for box in page.locator(".box").all():
        place = box.bounding_box()
        assert stage["x"] <= place["x"]
        assert place["x"] + place["width"] <= stage["x"] + stage["width"]


@pytest.mark.parametrize("width", [400, 740])
def test_what_does_not_fit_begins_at_its_inputs(load, width):
    """Before the first step only inputs have numbers, so they are in sight, and the step changes what is seen there."""
    x, w = Value(0.5, label="x"), Value(0.8, label="w")
    output = x * w
    for _ in range(12):
        output = output.tanh() + w
    page = load(flow(output), width=width)
    stage = page.locator(".stage").bounding_box()
    assert state_of(page, "camera.content[0] * gradientFlow.camera.eye.k") > stage["width"]
    for number in (0, 1, 2):  # x, w, x * w
        place = page.locator(".box").nth(number).bounding_box()
        assert stage["x"] <= place["x"]
        assert place["x"] + place["width"] <= stage["x"] + stage["width"]
