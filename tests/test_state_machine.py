"""The engine against a second, naive one, over random sequences of all operations on a graph."""

import copy
import pickle
from math import isfinite

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, initialize, invariant, multiple, rule

import autograd
from autograd import Value, no_grad, rules
from autograd.rules import TABLE
from autograd.testing.strategies import finite_points

NUMBERS = st.floats(-3.0, 3.0, allow_subnormal=False)
OPERATIONS = st.sampled_from([row for row in TABLE.values() if row.name not in ("polygamma", "round")])
LARGEST = 1e6  # of a node's data and local derivatives, so that sums in another order agree


class Naive:
    """A node of the naive engine: its data, and its operands with the local derivatives.

    An operand that was not selected has the derivative None: it gets no gradient.
    """

    def __init__(self, data, edges=()):
        self.data, self.edges, self.grad = data, edges, 0.0

    def backward(self, gradient):
        """Send a gradient along every path, one by one."""
        self.grad += gradient
        for operand, derivative in self.edges:
            if derivative is not None:
                operand.backward(gradient * derivative)

    def paths(self):
        """The number of paths; the naive engine needs a limit."""
        return 1 + sum(operand.paths() for operand, _ in self.edges)

    def everything(self):
        """All nodes that this one depends on, and itself."""
        return {self}.union(*[operand.everything() for operand, _ in self.edges])


class Engines(RuleBasedStateMachine):
    """Pairs of a Value and a naive node; after every step all of them agree."""

    nodes = Bundle("nodes")
    leaves = Bundle("leaves")

    def __init__(self):
        super().__init__()
        self.pairs = []

    def made(self, value, naive):
        """Keep a pair, which is compared after each step."""
        self.pairs.append((value, naive))
        return value, naive

    @initialize(target=leaves, numbers=st.lists(NUMBERS, min_size=2, max_size=3))
    def start(self, numbers):
        """Make the first leaves."""
        return multiple(*[self.made(Value(x), Naive(x)) for x in numbers])

    @rule(target=leaves, number=NUMBERS)
    def leaf(self, number):
        """A new leaf."""
        return self.made(Value(number), Naive(number))

    @rule(
        target=nodes,
        row=OPERATIONS,
        operands=st.lists(nodes | leaves | NUMBERS, min_size=4, max_size=4),
        count=st.integers(1, 4),
    )
    def operation(self, row, operands, count):
        """A node of any primitive, on nodes, leaves and numbers, with repeats, unless it is too large."""
        count = row.arity or (2 if row is rules.dot else count)
        chosen = operands[:count]
        values = [o[0] if isinstance(o, tuple) else o for o in chosen]
        numbers = [o[1].data if isinstance(o, tuple) else o for o in chosen]
        result = row.evaluate(numbers)
        derivatives = row.local_derivatives(numbers, result)
        found = [d for d in (result, *derivatives) if d is not None]
        edges = [(o[1], d) for o, d in zip(chosen, derivatives) if isinstance(o, tuple)]
        tame = all(isfinite(d) and abs(d) <= LARGEST for d in found)
        if not tame or sum(operand.paths() for operand, _ in edges) > 200:
            return multiple()
        value = row(*values)
        if not isinstance(value, Value):
            assert result == value
            return multiple()
        return self.made(value, Naive(result, edges))

    @rule(target=nodes, row=OPERATIONS.filter(lambda row: row.arity is not None), data=st.data())
    def operation_inside_its_domain(self, row, data):
        """A node on new leaves where its primitive is smooth, because random operands are rarely in some domains."""
        point = data.draw(finite_points(row, magnitude=3.0))
        leaves = [self.made(Value(x), Naive(x)) for x in point]
        derivatives = row.local_derivatives(point, row.evaluate(point))
        edges = [(naive, d) for (_, naive), d in zip(leaves, derivatives)]
        return self.made(row(*[value for value, _ in leaves]), Naive(row.evaluate(point), edges))

    @rule(pair=leaves, number=NUMBERS)
    def assign(self, pair, number):
        """A leaf's data changes; nodes computed from it do not."""
        value, naive = pair
        value.data = naive.data = number

    @rule(pair=nodes | leaves, seed=NUMBERS, times=st.integers(1, 2))
    def backward(self, pair, seed, times):
        """Gradients add up, sweep after sweep."""
        for _ in range(times):
            pair[0].backward(seed)
            pair[1].backward(seed)

    @rule(pairs=st.lists(nodes | leaves, min_size=1, max_size=3), seed=NUMBERS)
    def backward_from_several(self, pairs, seed):
        """Several outputs, one of them perhaps twice, in one sweep."""
        autograd.backward([value for value, _ in pairs], [seed] * len(pairs))
        for _, naive in pairs:
            naive.backward(seed)

    @rule(pair=nodes | leaves)
    def zero_grad(self, pair):
        """Every gradient of the node's graph becomes 0, also of operands that were not selected."""
        pair[0].zero_grad()
        for naive in pair[1].everything():
            naive.grad = 0.0

    @rule(target=leaves, pair=nodes | leaves)
    def detach(self, pair):
        """A new leaf with the same data."""
        return self.made(pair[0].detach(), Naive(pair[1].data))

    @rule(target=leaves, pair=nodes | leaves, factor=NUMBERS)
    def without_recording(self, pair, factor):
        """What is computed under no_grad is a leaf."""
        with no_grad():
            value = pair[0] * factor
        return self.made(value, Naive(pair[1].data * factor))

    @rule(target=nodes, pair=nodes, way=st.sampled_from([copy.deepcopy, lambda v: pickle.loads(pickle.dumps(v))]))
    def copy_of_a_graph(self, pair, way):
        """A copy has the same numbers, and from then on its own gradients."""
        value, naive = pair
        return self.made(way(value), copy.deepcopy(naive))

    @rule(target=nodes, pair=consumes(nodes))
    def copy_of_a_node(self, pair):
        """A shallow copy has the same operands."""
        value, naive = pair
        twin = Naive(naive.data, naive.edges)
        twin.grad = naive.grad
        return self.made(copy.copy(value), twin)

    @invariant()
    def agree(self):
        """Both engines have the same data and, except for rounding, the same gradients."""
        for value, naive in self.pairs:
            assert naive.data == value.data
            scale = sum(abs(other.grad) for _, other in self.pairs) + 1.0
            assert abs(naive.grad - value.grad) <= 1e-9 * scale, (naive.grad, value)


TestEngines = Engines.TestCase
TestEngines.settings = settings(max_examples=100, stateful_step_count=30)
