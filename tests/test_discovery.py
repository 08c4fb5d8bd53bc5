"""What a user finds: by name, by `help`, by `dir`, and by the messages of what does not work."""

import ast
import doctest
import importlib
import inspect
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
from generated import generator

import autograd
import autograd.math as am
from autograd import (
    Value,
    backward,
    checkpoint,
    clash,
    custom_gradient,
    grad,
    hessian,
    hvp,
    jacobian,
    jit,
    jvp,
    no_grad,
    scan,
    value_and_grad,
    vjp,
    vmap,
)
from autograd.help_text import HELP
from autograd.rules import TABLE

ROOT = Path(__file__).parents[1]
generate_help = generator("generate_help")
FUNCTIONS = [name for name in am.__all__ if callable(getattr(am, name))]
TESTS = ("isclose", "isfinite", "isinf", "isnan")  # no derivatives


def test_modules_are_there_without_importing_them():
    """`import autograd` alone gives autograd.view and the others, and loads them only then."""
    program = (
        "import sys, autograd\n"
        "names = ['math', 'view', 'testing', 'compiler', 'rules', 'tree', 'ir']\n"
        "assert not {'autograd.view', 'autograd.testing', 'autograd.compiler'} & set(sys.modules)\n"
        "assert all(getattr(autograd, n).__name__ == f'autograd.{n}' for n in names)\n"
        "print(autograd.view.explain.__name__)"
    )
    assert "explain\n" == subprocess.check_output([sys.executable, "-c", program], text=True, cwd=ROOT)
    with pytest.raises(AttributeError, match="no attribute 'viewer'"):
        _ = autograd.viewer


def test_dir_lists_what_there_is_and_nothing_else():
    """All public names and modules, loaded or not; no imported helper."""
    names = {name for name in dir(autograd) if not name.startswith("_")}
    assert {*autograd.__all__, *autograd.MODULES} == names
    assert all(hasattr(autograd, name) for name in names)


def test_help_opens_with_a_program():
    """The first lines of `help(autograd)` are a program that runs, and what to look at."""
    text = inspect.getdoc(autograd)
    assert text.index(">>> z.backward()") < text.index("grad(lambda") < text.index("autograd.view")
    for name in ("jit", "vmap", "autograd.math", "explain", "check_grads", "python -m autograd"):
        assert name in text


def test_help_of_the_table_is_current():
    """The committed help is what the generator writes from the table."""
    assert generate_help.FILE.read_text(encoding="utf-8") == generate_help.module()


@pytest.mark.parametrize("name", FUNCTIONS)
def test_help_has_derivative_domain_and_example(name):
    """Each function of autograd.math says its derivative and domain, and its example runs."""
    function = getattr(am, name)
    text = inspect.getdoc(function)
    if name in TESTS:
        assert "no derivative" in text
        return
    assert "∂" in text
    assert "domain: " in text
    assert ">>> " in text
    examples = doctest.DocTestParser().get_doctest(text, {}, name, None, None)
    assert doctest.TestResults(0, len(examples.examples)) == doctest.DocTestRunner().run(examples)


@pytest.mark.parametrize("name", [name for name, (_, formula) in generate_help.WORDS.items() if formula])
def test_formulas_in_the_help_are_those_of_the_rows(name):
    """Where the help writes a formula out, it gives the row's numbers."""
    rule, formula = TABLE[name], generate_help.WORDS[name][1]
    names = [node.id for node in ast.walk(ast.parse(formula)) if isinstance(node, ast.Name)]
    for scale in (1.0, 0.9, 1.3):
        operands = [scale * x for x in generate_help.example_operands(rule)]
        if not all(low < x < high for x, (low, high) in zip(operands, rule.domain)):
            continue
        space = {n: getattr(am, n) for n in names if hasattr(am, n)} | dict(zip(generate_help.names(rule), operands))
        assert eval(formula, space) == pytest.approx(rule(*operands), rel=1e-12)


def test_methods_have_the_same_help():
    """`help(Value.exp)` says what `help(autograd.math.exp)` says."""
    assert HELP["exp"] == Value.exp.__doc__ == am.exp.__doc__


# ---- silent surprises speak ------------------------------------------------------------------------------------------

COMPUTED = Value(3.0) * 2.0
FIRST = {
    "grad": lambda f: grad(f, COMPUTED),
    "value_and_grad": value_and_grad,
    "jacobian": jacobian,
    "hessian": hessian,
    "hvp": hvp,
    "jvp": lambda f: jvp(f, (1.0,), (1.0,)),
    "vjp": lambda f: vjp(f, 1.0),
    "vmap": vmap,
    "scan": lambda f: scan(f, 1.0, length=1),
    "checkpoint": checkpoint,
    "jit": jit,
}


@pytest.mark.parametrize("name", FIRST)
def test_a_value_in_place_of_a_function(name):
    """`grad(y, x)`, as in PyTorch, is refused at once, with what to write instead."""
    with pytest.raises(TypeError, match=rf"{name} takes a function, not Value.*\.backward\(\).*{name}\(f\)"):
        FIRST[name](COMPUTED)
    with pytest.raises(TypeError, match=rf"{name} takes a function, not 3 of type int: pass the function itself"):
        FIRST[name](3)


@pytest.mark.parametrize("sweep", [lambda y: y.backward(), backward, lambda y: backward([y, y])])
def test_backward_of_what_was_not_recorded(sweep):
    """Under no_grad there is no graph: backward() says so, and no gradient changes."""
    x = Value(3.0)
    with no_grad():
        y = x * x
        with pytest.raises(RuntimeError, match=r"under no_grad\(\) nothing is recorded"):
            sweep(y)
    assert (0.0, 0.0) == (x.grad, y.grad)


def test_backward_under_no_grad_of_an_older_graph():
    """A graph from before the block is swept there as anywhere."""
    x = Value(3.0)
    y = x * x
    with no_grad():
        y.backward()
    assert 6.0 == x.grad


@pytest.mark.parametrize("transform", [grad, value_and_grad])
def test_a_function_without_return(transform):
    """A loss that returns None is told that it lacks a return."""

    def loss(x):
        x * x

    with pytest.raises(TypeError, match=r"loss returned None.*lack a `return`"):
        transform(loss)(2.0)


class Series:
    """A table of pandas, as far as the message can see."""

    def to_numpy(self):
        """Return the numbers."""
        return np.ones(2)


class Tensor:
    """A tensor of PyTorch, as far as the messages can see."""

    requires_grad, ndim, shape = False, 1, (2,)

    def __len__(self):
        return 2

    def __getitem__(self, index):
        return 1.0

    def __setitem__(self, index, number):
        pass

    def ravel(self):
        """Return the tensor in one dimension."""
        return self


@pytest.mark.parametrize("use", [lambda x: grad(lambda s: s[0])(x), jit(lambda s: s[0]), Value])
def test_a_pandas_series(use):
    """It is no container here: the message says .to_numpy()."""
    with pytest.raises(TypeError, match=r"a Series is none of the containers known here: pass its numbers, .to_numpy"):
        use(Series())


@pytest.mark.parametrize(
    "use",
    [
        lambda t: grad(lambda s: s[0])(t),
        jit(lambda s: s[0]),
        vmap(lambda s: s),
        Value,
        lambda t: Value(1.0) * t,
        lambda t: grad(lambda x: am.sum(x * t))(1.0),
        am.exp,
        am.sum,
        lambda t: am.dot(t, t),
    ],
)
def test_a_torch_tensor(use):
    """Its operations would be recorded in the other library: the message says .detach().numpy()."""
    with pytest.raises(TypeError, match=r"a Tensor belongs to another library: pass its numbers, \.detach\(\)\.numpy"):
        use(Tensor())


def test_bare_custom_gradient():
    """Without derivatives, the first call of what was decorated says what to do."""

    @custom_gradient
    def cube(x):
        return x**3

    for x in (2.0, Value(2.0)):
        with pytest.raises(TypeError, match=r"given cube as a derivative.*@custom_gradient\(lambda x, y: derivative\)"):
            cube(x)


# ---- the other package of that name ----------------------------------------------------------------------------------


@pytest.fixture
def hips(tmp_path):
    """A folder with what identifies HIPS autograd."""
    (tmp_path / "autograd" / "numpy").mkdir(parents=True)
    (tmp_path / "autograd" / "tracer.py").write_text("")
    (tmp_path / "autograd" / "__init__.py").write_text("grad = None\n")
    return tmp_path


def test_no_clash_no_warning():
    """In this environment there is only one."""
    assert clash.other_package() is None
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        importlib.reload(autograd)


def test_hips_autograd_behind_this_one(hips):
    """If ours is found first, importing it says where the other one is."""
    program = f"import sys; sys.path.append({str(hips)!r}); import autograd; print(autograd.Value(2.0).data)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=ROOT)
    assert "2.0\n" == done.stdout
    assert "HIPS autograd is there too, in " in done.stderr
    assert "pip uninstall autograd" in done.stderr


def test_hips_autograd_before_this_one(hips):
    """If the other one is found first, importing nn says so."""
    program = f"import sys; sys.path.insert(0, {str(hips)!r}); import nn"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=ROOT)
    assert 1 == done.returncode
    assert "another package of that name (HIPS autograd), from " in done.stderr


# ---- softmax ---------------------------------------------------------------------------------------------------------


def test_softmax_of_lists_and_arrays():
    """Probabilities by rows, without overflow, in the shape that was given; logarithms keep their digits."""
    rows = np.array([[1.0, 2.0, 3.0], [-1000.0, 0.0, 1000.0]])
    expected = np.exp(rows - rows.max(axis=1, keepdims=True))
    expected /= expected.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(expected, am.softmax(rows), rtol=1e-15)
    assert [*am.softmax(rows[0])] == am.softmax(tuple(rows[0]))
    np.testing.assert_array_equal([-2000.0, -1000.0, 0.0], am.log_softmax(rows[1]))
    assert -np.exp(-40.0) == am.log_softmax([0.0, -40.0])[0]
    assert [0.5, 0.5] == am.softmax([1e6, 1e6])
    assert isinstance(am.softmax(iter([1.0, 2.0])), list)


@pytest.mark.parametrize("transform", [jacobian, lambda f: jit(jacobian(f))])
def test_softmax_derivatives(transform):
    """∂yᵢ/∂xⱼ = yᵢ (δᵢⱼ - yⱼ), eager and compiled; those of the logarithm are δᵢⱼ - yⱼ."""
    x = np.array([0.3, -1.2, 2.0])
    y = am.softmax(x)
    np.testing.assert_allclose(np.diag(y) - np.outer(y, y), transform(am.softmax)(x), atol=1e-15)
    np.testing.assert_allclose(np.eye(3) - y, transform(am.log_softmax)(x), atol=1e-15)


@pytest.mark.parametrize("function", [am.softmax, am.log_softmax])
def test_softmax_of_nothing(function):
    """No numbers, no probabilities."""
    with pytest.raises(ValueError, match="softmax of no operands"):
        function([])
    with pytest.raises(ValueError, match=r"softmax of an array without elements.*\(2, 0\)"):
        function(np.ones((2, 0)))
