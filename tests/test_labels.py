"""Labels and source lines are text or None in both builds, so only operands can keep a graph alive."""

import pickle
import subprocess
import sys

import numpy as np
import pytest

from autograd import Value, record_sources, rules
from autograd.graphs import restore_graph


class Text(str):
    """Text with attributes."""

    __slots__ = ("node",)


class Sub(Value):
    """A subclass."""


WRONG = [5, 2.0, b"x", ["x"], Value(1.0, label="inner"), object()]


@pytest.mark.parametrize("kind", [Value, Sub])
@pytest.mark.parametrize("wrong", WRONG, ids=lambda x: type(x).__name__)
def test_anything_else_is_refused(kind, wrong):
    """The constructor, assignment and unpickling refuse it by name and change nothing."""
    refused = pytest.raises(TypeError, match=rf"label of a Value is text or None, not .*{type(wrong).__name__}.*str\(")
    with refused:
        kind(1.0, wrong)
    with refused:
        kind(1.0, label=wrong)
    node = kind(1.0, label="x")
    with refused:
        node.label = wrong
    with refused:
        kind.restore(2.0, None, (), (), wrong)
    with refused:
        node.__init__(2.0, wrong)
    assert ("x", 1.0) == (node.label, node.data)
    with pytest.raises(TypeError, match="source of a Value is text or None"):
        node.source = wrong
    with pytest.raises(TypeError, match="source of a Value is text or None"):
        kind.restore(2.0, None, (), (), None, 0.0, wrong)


def test_unpickling_refuses_it():
    """The records of a pickled graph are checked too, and so is the operation in them."""
    leaf, record = Value(1.0), [2.0, rules.exp, [0], (2.0,), None, 0.0, None]
    assert 2.0 == restore_graph(Value, [leaf], [tuple(record)]).data
    for at, wrong, message in ((4, leaf, "label"), (6, leaf, "source"), (1, leaf, "op must be a row")):
        with pytest.raises(TypeError, match=message):
            restore_graph(Value, [leaf], [(*record[:at], wrong, *record[at + 1 :])])
    with pytest.raises(TypeError, match="op must be a row"):
        Value.restore(1.0, leaf, (), ())


def test_text_and_none():
    """Any subclass of str is stored as plain text; None removes the label; `del` does not."""
    decorated = Text("π \N{ROCKET} \ud800\0")
    decorated.node = Value(1.0)
    for text in (decorated, np.str_("w"), ""):
        node = Value(1.0, text)
        assert (text, str) == (node.label, type(node.label))
        node.label = None
        assert node.label is None
        node.label = text
        assert (text, str) == (node.label, type(node.label))
    with pytest.raises(AttributeError):
        del node.label
    with pytest.raises(AttributeError):
        del node.source
    with record_sources():
        made = node * 2.0
    assert "test_labels" in made.source
    assert made.source == pickle.loads(pickle.dumps(made)).source
    assert made.label is None


CHAINS = """
import threading
from autograd import Value, rules, checkpoint
class Free(Value):
    pass
class Slots(Value):
    __slots__ = ("before",)
def attributes(x): y = Free(1.0); y.before = x; return y
def nested(x): y = Free(1.0); y.before = [{"a": (x * 2.0,)}]; return y
def slots(x): y = Slots(1.0); y.before = x; return y
def both(x): y = Free.restore(1.0, rules.pos, (x,), (1.0,)); y.before = x; return y * 1.0
def operands(x): return Free.restore(1.0, rules.pos, (x,), (1.0,))
def work():
    for link in (attributes, nested, slots, both, operands):
        x = Value(1.0)
        for _ in range(20_000):
            x = link(x)
        del x
    print("freed")
threading.stack_size(256 * 1024)
threading.Thread(target=work).start()
"""


@pytest.mark.slow
def test_long_chains_are_freed():
    """Chains by attributes of subclasses, by operands or by both are freed with a stack of 13 bytes for each node."""
    ran = subprocess.run([sys.executable, "-c", CHAINS], capture_output=True, text=True, check=False)
    assert (0, "freed\n") == (ran.returncode, ran.stdout), ran.stderr
