"""A script in the style of microgpt runs with this Value instead of its own and gives the same losses."""

import random

import gpt
import plain_value
import pytest

import autograd

STEPS = 3


@pytest.fixture(scope="module")
def trained():
    """Losses and model after a few steps, with this engine and with the one that such scripts contain."""
    results = []
    for value in (autograd.Value, plain_value.Value):
        models, losses = zip(*gpt.train(value, STEPS), strict=True)
        results.append((losses, models[-1]))
    return results


def test_size():
    """There are 4,192 parameters; a step on one name makes tens of thousands of nodes."""
    model = gpt.matrices(autograd.Value, random.Random(0))
    assert 4192 == sum(len(row) for matrix in model.values() for row in matrix)
    nodes = autograd.topological_order(gpt.surprise(model, "alexandra"))
    assert 50_000 < len(nodes) < 100_000


@pytest.mark.slow
def test_losses_are_the_same(trained):
    """The two engines agree on every loss; the first is that of a guess among 27 characters."""
    (ours, _), (plain, _) = trained
    assert plain == pytest.approx(ours, rel=1e-9)
    assert pytest.approx(3.3, abs=0.3) == ours[0]  # log 27
    assert len(set(ours)) == STEPS


def test_parameters_are_the_same(trained):
    """After Adam's steps every parameter agrees, and has moved."""
    (_, ours), (_, plain) = trained
    generator = random.Random(42)  # the state at the start of train
    generator.shuffle(gpt.first_names())
    start = gpt.matrices(float, generator)
    for name, matrix in start.items():
        mine, theirs = ([p.data for row in model[name] for p in row] for model in (ours, plain))
        assert theirs == pytest.approx(mine, rel=1e-6, abs=1e-9), name
        assert mine != [p for row in matrix for p in row]
    assert all(p.grad == 0.0 for matrix in ours.values() for row in matrix for p in row)


@pytest.mark.slow
def test_samples_are_the_same(trained):
    """The same random numbers give the same names, made of letters only."""
    (_, ours), (_, plain) = trained
    with autograd.no_grad():
        mine = [gpt.invent(ours, random.Random(seed)) for seed in range(5)]
    assert [gpt.invent(plain, random.Random(seed)) for seed in range(5)] == mine
    assert any(mine)
    assert set("".join(mine)) <= set(gpt.LETTERS)


def test_it_learns():
    """The loss falls over twelve steps on the same name."""
    model = gpt.matrices(autograd.Value, random.Random(0))
    optimiser = gpt.Adam([p for matrix in model.values() for row in matrix for p in row])
    losses = []
    for _ in range(12):
        loss = gpt.surprise(model, "anna")
        loss.backward()
        optimiser.step(rate=0.01)
        losses.append(loss.data)
    assert losses[-1] < 0.5 * losses[0]
