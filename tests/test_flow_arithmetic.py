"""The viewer's JavaScript computes every primitive as Python does: the same bits, but for functions of the browser."""

import json
import math
import random
import shutil
import struct
import subprocess

import pytest
from generated import generator

from autograd.rules import TABLE
from autograd.view.page import STATIC

NODE = shutil.which("node")
needs_node = pytest.mark.skipif(NODE is None, reason="node is not installed (on Debian: apt-get install nodejs)")
SPECIAL = [0.0, 1.0, 0.5, 2.0, 2.5, 3.0, math.inf, 1e308, 5e-324, 1e-300, 20.0, 170.5, 710.0]
SPECIAL = [*SPECIAL, *[-x for x in SPECIAL], math.nan]
# Values and derivatives of these rows use exp, log, sin and their like, which JavaScript leaves to the browser.
LIBM = {
    "pow", "cbrt", "exp", "exp2", "expm1", "log", "log2", "log10", "log1p", "sin", "cos", "tan", "asin", "acos",
    "atan", "atan2", "sinh", "cosh", "tanh", "asinh", "acosh", "atanh", "erf", "erfc", "elu", "sigmoid", "silu", "gelu",
    "softplus", "logaddexp", "logsumexp",
}  # fmt: skip  # a list of words
SPECIAL_FUNCTIONS = {"gamma", "lgamma", "digamma", "polygamma"}  # Python's own, and SciPy's
UNITS = 4  # in the last place, between two good libraries of functions
PROGRAM = """
import { readFileSync } from "fs";
import { evaluate, localDerivatives } from "%s";
const view = new DataView(new ArrayBuffer(8));
const read = (h) => (view.setBigUint64(0, BigInt("0x" + h)), view.getFloat64(0));
const write = (x) => (view.setFloat64(0, x), view.getBigUint64(0).toString(16).padStart(16, "0"));
const answers = JSON.parse(readFileSync(0)).map(([name, operands, y]) => {
  const xs = operands.map(read);
  return [write(evaluate(name, xs)), localDerivatives(name, xs, read(y)).map((d) => d === null ? null : write(d))];
});
console.log(JSON.stringify(answers));
"""


def to_hex(x):
    """The bits of a float."""
    return struct.pack(">d", x).hex()


def from_hex(text):
    """The float with these bits."""
    return struct.unpack(">d", bytes.fromhex(text))[0]


def number(generator):
    """A number of any size, often small or whole."""
    kind = generator.random()
    if kind < 0.4:
        return generator.gauss(0.0, 1.0)
    if kind < 0.7:
        return generator.uniform(-30.0, 30.0)
    return (
        float(generator.randint(-30, 30))
        if kind < 0.8
        else generator.choice([-1, 1]) * 10 ** generator.uniform(-12, 12)
    )


def operands(rule, generator):
    """Operands of a row: corners, special numbers, random numbers."""
    arity = rule.arity or generator.choice([1, 2, 4, 6])
    arity += arity % 2 if rule.name == "dot" else 0
    found = [number(generator) if generator.random() < 0.7 else generator.choice(SPECIAL) for _ in range(arity)]
    if rule.name == "polygamma":
        found[0] = float(generator.randint(0, 6))
    if rule.name == "round":
        found[1] = float(generator.randint(-3, 16))
    if rule.name == "take":
        found[0] = generator.uniform(-1.0, len(found))
    return found


@pytest.fixture(scope="module")
def answers():
    """For every row: operands, and what Python and JavaScript make of them."""
    generator = random.Random(0)
    cases = []
    for rule in TABLE.values():
        points = [list(corner) for corner in rule.corners] + [operands(rule, generator) for _ in range(300)]
        if rule.name == "round":  # ties, and numbers that only look like ties
            points += [[x, float(n)] for x in (0.125, 2.5, 0.375, 1e22, 12345.675, 2.675, -0.5) for n in range(-3, 6)]
        for point in points:
            y = rule.evaluate(point)
            cases.append((rule.name, point, y, rule.local_derivatives(point, y)))
    asked = json.dumps([(name, [*map(to_hex, point)], to_hex(y)) for name, point, y, _ in cases])
    program = PROGRAM % (STATIC / "flow" / "arithmetic.js").as_uri()
    command = [NODE, "--experimental-default-type=module", "--input-type=module", "-e", program]
    done = subprocess.run(command, input=asked, capture_output=True, text=True, check=True, timeout=60)
    found = {name: [] for name in TABLE}
    for (name, point, y, slopes), (value, derivatives) in zip(cases, json.loads(done.stdout), strict=True):
        theirs = [None if d is None else from_hex(d) for d in derivatives]
        found[name].append((point, [y, *slopes], [from_hex(value), *theirs]))
    return found


def alike(name, ours, theirs):
    """Whether a number of JavaScript is what Python has, as far as the row allows."""
    if ours is None or theirs is None:
        return ours is theirs
    if math.isnan(ours) or to_hex(ours) == to_hex(theirs):
        return math.isnan(ours) == math.isnan(theirs)
    if not (math.isfinite(ours) and math.isfinite(theirs)):
        return False
    if name in LIBM:
        terms = 0.25 if name == "gelu" else 0.0  # its derivative is a sum, which is 0 in one place
        return abs(ours - theirs) <= UNITS * math.ulp(max(abs(ours), terms))
    return name in SPECIAL_FUNCTIONS and math.isclose(ours, theirs, rel_tol=2e-14, abs_tol=1e-14)


@needs_node
@pytest.mark.parametrize("name", TABLE)
def test_values_and_derivatives_are_those_of_python(name, answers):
    """Bit for bit, nan and signs of zero included; where libm has a part in it, to a few units in the last place."""
    assert len(answers[name]) >= 300
    for point, ours, theirs in answers[name]:
        assert all(map(alike, [name] * len(ours), ours, theirs)), (point, ours, theirs)


def test_the_generated_javascript_is_current():
    """The committed file is what the script writes from the table."""
    script = generator("generate_javascript")
    assert script.FILE.read_text(encoding="utf-8") == script.module()
