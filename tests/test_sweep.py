"""Topological order, reverse sweeps, seeds, and the recorded sweep."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import autograd.math as am
from autograd import Message, Value, backward, record_sweep, topological_order
from autograd.testing.strategies import expressions


def test_every_node_once_after_its_parents():
    """The order of a graph with shared nodes."""
    x, y = Value(2.0), Value(3.0)
    a = x * y
    b = a + x
    c = a * b
    assert [x, y, a, b, c] == topological_order(c)


@given(expressions(max_steps=20))
@settings(max_examples=50)
def test_order_of_random_graphs(expression):
    """Each node once, parents first, the output last."""
    output = expression(*map(Value, expression.leaves))
    order = topological_order(output)
    place = {node: i for i, node in enumerate(order)}
    assert len(order) == len(place)
    assert order[-1] is output
    assert all(place[parent] < place[node] for node in order for parent in node.parents)


def test_order_of_several_outputs():
    """Outputs may depend on one another, repeat, or be leaves."""
    x = Value(2.0)
    a = x * x
    b = a + 1
    lone = Value(1.0)
    order = topological_order(b, a, lone, b)
    assert {x, a, b, lone} == set(order)
    assert 4 == len(order)
    assert order.index(a) < order.index(b)
    assert [] == topological_order()


def test_order_up_to_given_leaves():
    """Nodes above the leaves are left out."""
    x = Value(2.0)
    a = x.sin()
    b = a * a
    assert [a, b] == topological_order(b, leaves=[a])


def test_backward_twice_doubles_everything():
    """Accumulation is exact: a second sweep adds the same again, also at inner nodes (48, where micrograd has 72)."""
    x = Value(2.0)
    a = x * x
    b = a * a * 3.0
    b.backward()
    first = [node.grad for node in topological_order(b)]
    assert 96.0 == x.grad
    b.backward()
    assert [2.0 * g for g in first] == [node.grad for node in topological_order(b)]


@given(expressions(), st.integers(2, 4))
@settings(max_examples=40)
def test_backward_n_times_on_random_graphs(expression, times):
    """n sweeps give n times the gradient, except for n - 1 roundings."""
    output = expression(*map(Value, expression.leaves))
    output.backward()
    once = [node.grad for node in topological_order(output)]
    for _ in range(times - 1):
        output.backward()
    for expected, node in zip(once, topological_order(output), strict=True):
        assert math.isclose(times * expected, node.grad, rel_tol=1e-15)


def test_the_square_has_two_edges():
    """x * x sends two messages to x."""
    x = Value(3.0)
    (x * x).backward()
    assert 6.0 == x.grad


def test_a_leaf_is_its_own_output():
    """∂x/∂x = 1."""
    x = Value(3.0)
    x.backward()
    assert 1.0 == x.grad


def test_seeds():
    """A seed scales the gradient, several outputs add up, an output given twice has the sum of its seeds."""
    x = Value(3.0)
    a, b = x * x, 2 * x
    a.backward(10.0)
    assert 60.0 == x.grad
    x.zero_grad()
    backward([a, b, a], [1.0, 10.0, 0.5])
    assert 1.5 * 6.0 + 20.0 == x.grad
    x.zero_grad()
    backward(a, 2)
    assert 12.0 == x.grad
    x.zero_grad()
    backward(v for v in (a, b))
    assert 8.0 == x.grad


def test_an_output_that_another_depends_on():
    """An inner node may be an output too: its seed and the messages add up."""
    x = Value(3.0)
    a = x * x
    b = a * 5
    backward([a, b], [1.0, 1.0])
    assert (6.0, 6.0 * 6.0) == (a.grad, x.grad)


def test_zero_grad_of_a_whole_graph():
    """v.zero_grad() sets the gradient of every node it depends on to 0, and of no other."""
    x, y = Value(2.0), Value(3.0)
    a = x * y
    b = a + x
    beside = a * 2
    backward([b, beside])
    b.zero_grad()
    assert [0.0] * 4 == [node.grad for node in topological_order(b)]
    assert 1.0 == beside.grad


@pytest.mark.parametrize(
    ("outputs", "seeds", "error", "message"),
    [
        ([Value(1.0)], [1.0, 2.0], ValueError, "1 outputs need as many seeds, not 2"),
        ([Value(1.0), Value(2.0)], 1.0, ValueError, "2 outputs need as many seeds, not 1"),
        ([3.0], None, TypeError, "an output must be a Value, not 3.0 of type float"),
        ([None], None, TypeError, "an output must be a Value, not None of type NoneType"),
        (Value(1.0), "x", TypeError, "is text"),
    ],
)
def test_errors_of_backward_and_record_sweep(outputs, seeds, error, message):
    """The errors name wrong outputs and seeds."""
    for function in (backward, record_sweep):
        with pytest.raises(error, match=message):
            function(outputs, seeds)


def test_record_sweep_lists_every_message():
    """Node, slot, operand, adjoint, local derivative, message and running sum, in order; gradients stay."""
    x, y = Value(2.0), Value(3.0)
    a = x * y
    b = a + x
    expected = [
        Message(b, 0, a, 1.0, 1.0, 1.0, 1.0),
        Message(b, 1, x, 1.0, 1.0, 1.0, 1.0),
        Message(a, 0, x, 1.0, 3.0, 3.0, 4.0),
        Message(a, 1, y, 1.0, 2.0, 2.0, 2.0),
    ]
    assert expected == record_sweep(b)
    assert [10.0 * m.message for m in expected] == [m.message for m in record_sweep(b, 10.0)]
    assert 0.0 == x.grad
    assert [] == record_sweep(x)


def test_constants_and_unselected_branches_send_nothing():
    """Only a slot with a selected Value has a message."""
    x, y = Value(2.0), Value(3.0)
    assert [1] == [m.slot for m in record_sweep(2.0 * x)]
    assert [y] == [m.operand for m in record_sweep(am.max(x, y))]
    backward(am.where(1.0, x, y))
    assert (1.0, 0.0) == (x.grad, y.grad)


def test_gradients_are_those_of_the_data_at_the_time():
    """Local derivatives are fixed when a node is made: data assigned later does not change them."""
    x = Value(3.0)
    y = x * x
    x.data = 100.0
    y.backward()
    assert 6.0 == x.grad
