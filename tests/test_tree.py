"""Arguments and results as trees of every container."""

import collections
import dataclasses
from fractions import Fraction

import numpy as np
import pytest

from autograd import Value, grad, value_and_grad, vjp
from autograd.tree import flatten, to_floats

Point = collections.namedtuple("Point", "x y")


@dataclasses.dataclass(frozen=True)
class Line:
    """A dataclass with a field that its constructor does not take."""

    start: Point
    slope: float
    name: None = None
    length: float = dataclasses.field(default=0.0, init=False)


class Module:
    """A class that defines its own children."""

    def __init__(self, weights):
        self.weights = weights

    def tree_flatten(self):
        """Children by name, and how to rebuild."""
        return [(".weights", self.weights)], lambda new: Module(new[0])


TREES = [
    (3, [3.0]),
    ([1, 2.0, True], [1.0, 2.0, 1.0]),
    ((1.0, [2.0, (3.0,)]), [1.0, 2.0, 3.0]),
    ({"b": 1.0, "a": {"c": 2.0}}, [1.0, 2.0]),
    (collections.OrderedDict(z=1.0, a=2.0), [1.0, 2.0]),
    (collections.defaultdict(float, z=1.0), [1.0]),
    (Point(1.0, Fraction(1, 2)), [1.0, 0.5]),
    (Line(Point(1.0, 2.0), 3.0), [1.0, 2.0, 3.0, 0.0]),
    (np.array([[1.0, 2.0], [3.0, 4.0]]), [1.0, 2.0, 3.0, 4.0]),
    ({"w": np.arange(3), "b": [np.float32(0.5)]}, [0.0, 1.0, 2.0, 0.5]),
    ([None, (), [], {}], []),
    (np.zeros((0, 3)), []),
]
SHAPES = pytest.mark.parametrize(("tree", "leaves"), TREES, ids=lambda t: type(t).__name__)


@SHAPES
def test_leaves_and_back(tree, leaves):
    """The leaves are floats, in order; rebuilt containers keep their types."""
    found, rebuild = flatten(tree)
    assert leaves == found
    assert all(type(x) is float for x in found)
    again = rebuild([x + 1.0 for x in found])
    assert type(tree) is type(again) or isinstance(tree, int)
    assert [x + 1.0 for x in leaves] == flatten(again)[0]


@SHAPES
def test_gradients_have_the_shape_of_the_argument(tree, leaves):
    """The gradient of Σ c·x² by a container is the same kind of container."""

    def function(argument):
        total = 0.0
        for i, x in enumerate(flatten(argument)[0]):
            total = total + (i + 1.0) * x * x
        return total

    expected = [2.0 * (i + 1.0) * x for i, x in enumerate(leaves)]
    value, gradient = value_and_grad(function)(tree)
    assert sum((i + 1.0) * x * x for i, x in enumerate(leaves)) == value
    assert expected == flatten(gradient)[0]
    assert type(gradient) is (type(tree) if not isinstance(tree, int) else float)
    if isinstance(tree, np.ndarray):
        assert (tree.shape, np.dtype(float)) == (gradient.shape, gradient.dtype)


def test_a_class_may_say_how_it_is_taken_apart():
    """An object with tree_flatten is a container, and so is the gradient."""
    gradient = grad(lambda m: m.weights[0] * m.weights[1])(Module([2.0, 3.0]))
    assert isinstance(gradient, Module)
    assert [3.0, 2.0] == gradient.weights


def test_values_stay_values():
    """A tree of Values has Values as leaves, and `to_floats` makes them floats; anything that is not a number stays."""
    x = Value(1.0)
    assert [x] == flatten({"a": [x]})[0]
    assert {"a": [1.0, "text"]} == to_floats({"a": [x, "text"]})
    assert [1.0, 2.0] == to_floats(np.array([x, 2.0], dtype=object)).tolist()
    assert 3.0 == to_floats(Value(3.0))


def test_nested_arrays_stay_whole_on_request():
    """With arrays=True an ndarray is one leaf."""
    array = np.array([1.0, 2.0])
    (first, second), rebuild = flatten((array, 3.0), arrays=True)
    assert array is first
    assert 3.0 == second
    assert (4.0, 5.0) == rebuild([4.0, 5.0])


@pytest.mark.parametrize(
    ("tree", "path"),
    [
        ({"w": [1.0, "two"]}, r"p\['w'\]\[1\]: 'two' of type str is text"),
        (Point(1.0, 1j), r"p\.y: 1j of type complex is complex"),
        (Line(Point(0.0, "a"), 1.0), r"p\.start\.y: 'a'"),
        (np.array([1.0, None], dtype=object), r"p\[1\]: None is not a number"),
        ([object()], r"p\[0\]: <object"),
        ({1.0}, r"p: \{1.0\} of type set is not a real number"),
    ],
)
def test_errors_have_the_path(tree, path):
    """The error for a leaf that is not a real number names its place in the tree."""
    with pytest.raises(TypeError, match=path):
        flatten(tree, "p")


def test_errors_of_transforms_name_the_argument():
    """The place begins with the argument and the function."""

    def model(x, y):
        return x

    with pytest.raises(TypeError, match=r"argument 1 of model\['w'\]: 'a' of type str"):
        grad(model, argnums=1)(1.0, {"w": "a"})
    with pytest.raises(TypeError, match=r"the result of <lambda>\[1\]: 'b' of type str"):
        vjp(lambda x: [x, "b"], 1.0)
