"""The C that tools/generate_rules.py writes for formulas."""

import importlib.util
from pathlib import Path

import pytest

from autograd import rules
from autograd.ir.block import NUMBER, Program
from autograd.ir.verify import verify
from autograd.rules import TABLE, select

SCRIPT = Path(__file__).resolve().parents[1] / "tools" / "generate_rules.py"


@pytest.fixture(scope="module")
def generator():
    """The script as a module."""
    spec = importlib.util.spec_from_file_location("generate_rules", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def body(formula):
    """The statements for a value."""
    return formula.statements(formula.value, "return {};")


def test_conditions_are_combined_in_c(generator):
    """A formula may combine comparisons by & and |, as the compiler allows it."""
    inside = generator.Formula(["x"], lambda x: select((x > 0.0) & (x < 1.0), x, 1.0))
    assert ["return (((x > 0.0) && (x < 1.0)) ? x : 1.0);"] == body(inside)
    outside = generator.Formula(["x"], lambda x: select((x < 0.0) | (x != x), 0.0, x))
    assert ["return (((x < 0.0) || (x != x)) ? 0.0 : x);"] == body(outside)


def test_a_part_that_comes_up_twice_is_computed_once(generator):
    """Equal parts get one name, even if the formula writes them twice."""
    twice = generator.Formula(["x"], lambda x: rules.exp(x) * (1.0 + rules.exp(x)))
    assert ["const double t0 = value_exp(x);", "return (t0 * (1.0 + t0));"] == body(twice)


def test_only_the_side_that_is_taken_computes_its_repeated_parts(generator):
    """A select with a repeated part in one side becomes an if."""
    formula = generator.Formula(["x"], lambda x: select(x > 0.0, rules.exp(x) * rules.exp(x), x))
    lines = ["if (x > 0.0) {", "    const double t0 = value_exp(x);", "    return (t0 * t0);"]
    assert [*lines, "} else {", "    return x;", "}"] == body(formula)


def test_a_side_that_has_a_name_is_not_computed_again(generator):
    """What the condition has computed is used in the sides."""

    def formula(x):
        part = select(x > 0.0, rules.exp(x) * rules.exp(x), x)
        return select(part < 9.0, part, rules.sin(x) * rules.sin(x))

    lines = ["const double t0 = value_exp(x);", "const double t1 = ((x > 0.0) ? (t0 * t0) : x);"]
    lines += ["if (t1 < 9.0) {", "    return t1;", "} else {", "    const double t2 = value_sin(x);"]
    assert [*lines, "    return (t2 * t2);", "}"] == body(generator.Formula(["x"], formula))


def test_an_operand_without_a_derivative(generator):
    """None is the number 0, and the C condition tells where it stands."""
    derivative = generator.Formula(["x"], lambda x: select(x < 0.0, None, select(x > 1.0, None, 2.0)))
    assert "((x < 0.0) ? 0.0 : ((x > 1.0) ? 0.0 : 2.0))" == derivative.text(derivative.value)
    assert "((x < 0.0) ? false : ((x > 1.0) ? false : true))" == derivative.selected
    assert "false" == generator.Formula(["x"], lambda x: None).selected


@pytest.mark.parametrize("name", [name for name, rule in TABLE.items() if rule.arity is not None])
def test_every_formula_is_a_program(generator, name):
    """The programs from which the header is written keep the rules of the form."""
    rule = TABLE[name]
    for formula in [*generator.derivatives(rule), *([generator.value(rule)] if rule.formula else [])]:
        verify(Program(formula.code, [formula.value], (NUMBER,) * len(formula.inputs)))
