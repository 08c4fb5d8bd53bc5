"""`adopt`: what other people wrote computes on Values, with the numbers and the errors of plain Python."""

from __future__ import annotations

import builtins
import cmath
import functools
import importlib
import linecache
import math
import operator
import statistics
import sys
import textwrap
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from autograd import AdoptionError, Value, adopt, grad, hessian, jacobian, jit, value_and_grad, vmap
from autograd.adoption.stand_ins import MATH, MODULES, RAISING
from autograd.testing import check_grads

Package = Callable[..., Any]


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Package]:
    """Writes the modules of a package, which can be imported from then on; returns its folder."""
    monkeypatch.syspath_prepend(tmp_path)

    def write(**files: str) -> Path:
        folder = tmp_path / "geo"
        for name, text in {"__init__": "", **files}.items():
            path = folder / f"{name.replace('__of__', '/')}.py"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(textwrap.dedent(text))
        return folder

    yield write
    for name in [name for name in sys.modules if name.partition(".")[0] in ("geo", "rocks")]:
        del sys.modules[name]


def outcome(function: Callable[..., Any], *arguments: Any) -> Any:
    """The result of a function, or its exception: type and message."""
    try:
        result = function(*arguments)
    except Exception as error:
        return type(error), str(error)
    return result


def plain(result: Any) -> Any:
    """The same with numbers in place of Values."""
    if isinstance(result, tuple):
        return tuple(map(plain, result))
    return result.data if isinstance(result, Value) else result


# ---- modules -------------------------------------------------------------------------------------------------------


def test_a_module_is_private(package: Package) -> None:
    """The original is not imported, and each copy has its own globals."""
    package(core="import math\nN = 1\ndef f(x):\n    return N * math.exp(x)")
    one, other = adopt("geo.core"), adopt("geo.core")
    assert not [name for name in sys.modules if name.startswith("geo")]
    one.N = 2
    assert (one.f(0.0), other.f(0.0)) == (2.0, 1.0)
    original = importlib.import_module("geo.core")

    assert original.math is math
    assert original is not other
    assert grad(one.f)(0.0) == 2.0


def test_modules_of_a_package_come_along(package: Package) -> None:
    """Absolute and relative imports, of modules and names, also inside functions, lead to the private copies."""
    package(
        __init__="from .one import *\nfrom . import two",
        one="from math import *\n__all__ = ['f']\ndef f(x):\n    from .sub import deep\n    return deep.g(sin(x))",
        two="import geo.one as o\nimport geo.sub.deep\ndef h(x):\n    return o.f(x) + geo.sub.deep.g(x)",
        sub__of____init__="",
        sub__of__deep="from .. import two\nfrom ..two import o\nimport math\ndef g(x):\n    return math.cos(x) * o.pi",
    )
    geo = adopt("geo")
    assert geo.f(0.3) == math.cos(math.sin(0.3)) * math.pi
    check_grads(geo.two.h, [0.3])
    assert not [name for name in sys.modules if name.startswith("geo")]
    assert adopt("geo.sub.deep").two.h(0.3) == geo.two.h(0.3)


def test_circular_imports_find_the_private_copies(package: Package) -> None:
    """Even if the originals are loaded, from which `from . import b` would take them."""
    package(
        a="from . import b\ndef f(x):\n    return b.g(x)", b="from . import a\nimport math\ng = lambda x: math.exp(x)"
    )
    original = importlib.import_module("geo.a")

    assert grad(adopt("geo.a").f)(0.0) == 1.0
    with pytest.raises(TypeError, match=r"geo computes with|use autograd.math.exp"):
        original.f(Value(0.0))


def test_other_packages_are_adopted_if_named(package: Package, tmp_path: Path) -> None:
    """Without `also`, a package that it imports is the plain one, and the error says what to do."""
    (tmp_path / "rocks.py").write_text("import math\ndef weigh(x):\n    return math.sqrt(x)\n")
    package(core="import rocks\ndef f(x):\n    return 2.0 * rocks.weigh(x)")
    with pytest.raises(TypeError, match=r"'math.sqrt\(x\)' at .*rocks.py:3 in weigh"):
        adopt("geo.core").f(Value(4.0))
    assert grad(adopt("geo.core", also=("rocks",)).f)(4.0) == 0.5
    assert adopt("geo.core", also="rocks").f(4.0) == 4.0


def test_an_import_fails_without(package: Package) -> None:
    """A package with two ways takes the other one."""
    package(
        core="""
        try:
            import numpy.linalg as m
        except ImportError:
            import math as m
        def f(x):
            return m.sqrt(x)
        """
    )
    assert grad(adopt("geo.core", without=("numpy",)).f)(4.0) == 0.25
    package(core="from . import fast")
    with pytest.raises(ImportError, match="fast"):
        adopt("geo.core", without=("geo.fast",))


def test_a_compiled_extension_is_named(package: Package) -> None:
    """With the line that imports it. As an ImportError it leads a package to its other way; it may be kept as it is."""
    folder = package(
        core="from . import fast\ndef f(x):\n    return fast.f(x)",
        both="try:\n    from .fast import f\nexcept ImportError:\n    from math import exp as f",
    )
    (folder / "fast.cpython-311.so").write_bytes(b"")
    import importlib.machinery as machinery

    (folder / f"fast{machinery.EXTENSION_SUFFIXES[0]}").write_bytes(b"")
    with pytest.raises(
        AdoptionError, match=r"geo\.fast .*imported at .*core.py:1 in <module>.*without=\('geo.fast',\)"
    ):
        adopt("geo.core")
    assert grad(adopt("geo.both").f)(0.0) == 1.0
    with pytest.raises(ImportError, match=r"(?i)file too short|invalid|not a valid|truncated"):
        adopt("geo.core", keep=("geo.fast",))


def test_what_is_kept_is_the_original(package: Package) -> None:
    """A module that is kept is imported as ever."""
    package(core="from . import plain\nfrom .plain import f", plain="import math\ndef f(x):\n    return math.exp(x)")
    adopted = adopt("geo.core", keep=("geo.plain",))
    assert adopted.plain is sys.modules["geo.plain"]
    with pytest.raises(TypeError, match=r"'math.exp\(x\)' at .*plain.py:3 in f"):
        adopted.f(Value(1.0))


def test_tracebacks_show_the_source(package: Package) -> None:
    """Lines, columns and text are those of the file, also where an operator became a call."""
    folder = package(core="def f(x):\n    y = x + 1\n    return (y *\n        2.0 / x)")
    try:
        adopt("geo.core").f(Value(0.0))
    except ZeroDivisionError as error:
        frames = traceback.extract_tb(error.__traceback__)
        text = "".join(traceback.format_exception(error))
    frame = next(frame for frame in frames if frame.name == "f")
    assert (frame.filename, frame.lineno, frame.line) == (str(folder / "core.py"), 3, "return (y *")
    assert "float division by zero" in text or "division by zero" in text
    assert linecache.getline(frame.filename, 4) == "        2.0 / x)\n"


def test_module_attributes_are_those_of_the_original(package: Package) -> None:
    """`__name__`, `__file__`, `__package__`, `__spec__`, `__path__` and `__doc__`; data files are found beside it."""
    names = "__name__ __file__ __package__ __doc__"
    folder = package(
        core="""
        '''Words.'''
        import os, pkgutil, importlib.resources
        with open(os.path.join(os.path.dirname(__file__), 'table.txt')) as file:
            here = file.read()
        there = pkgutil.get_data(__package__, 'table.txt').decode()
        ran = __name__ == '__main__'
        if __name__ == '__main__':
            raise SystemExit
        """
    )
    (folder / "table.txt").write_text("1.5")
    adopted = adopt("geo.core")
    original = importlib.import_module("geo.core")

    for name in names.split():
        assert getattr(adopted, name) == getattr(original, name), name
    assert adopted.__spec__.name == original.__spec__.name
    assert (adopted.here, adopted.there, adopted.ran) == ("1.5", "1.5", False)
    assert list(adopt("geo").__path__) == list(importlib.import_module("geo").__path__)


def test_a_module_that_fails_can_be_adopted_later(package: Package) -> None:
    """The error is the module's own, and leaves nothing half made."""
    package(core="import geo.other", other="raise RuntimeError('not today')")
    with pytest.raises(RuntimeError, match="not today"):
        adopt("geo.core")
    package(core="import geo.other", other="x = 1")
    sys.path_importer_cache.clear()
    assert adopt("geo.core").geo.other.x == 1


def test_classes_of_the_standard_library(package: Package) -> None:
    """Dataclasses, enums, named tuples, cached functions, properties and tables made when the module is loaded."""
    package(
        core="""
        from __future__ import annotations
        import enum, functools, math
        from collections import namedtuple
        from dataclasses import dataclass, field
        from typing import ClassVar, NamedTuple

        class Unit(enum.Enum):
            KM = 1.0
            M = 1e3

        class Point(NamedTuple):
            x: float
            y: float = 0.0

        Pair = namedtuple("Pair", "a b")
        TABLE = [math.sin(0.1 * k) for k in range(8)]

        @dataclass
        class Ball:
            radius: float
            unit: Unit = Unit.KM
            names: list[str] = field(default_factory=list)
            made: ClassVar[int] = 0
            def __post_init__(self):
                self.radius = float(self.radius)
            @functools.cached_property
            def volume(self):
                return 4.0 / 3.0 * math.pi * self.radius ** 3 * self.unit.value

        @functools.lru_cache(maxsize=None)
        def area(r):
            return math.pi * r ** 2

        @functools.cache
        def half(r):
            return r / 2

        def f(x):
            p = Point(x, TABLE[2])
            return Ball(p.x).volume + area(x) + Pair(half(x), p._asdict()["y"]).a + abs(p.y)
        """
    )
    adopted = adopt("geo.core")
    original = importlib.import_module("geo.core")

    assert adopted.f(1.5) == original.f(1.5)
    check_grads(adopted.f, [1.5])
    x = Value(1.0)
    assert adopted.area(x).data == math.pi
    x.data = 2.0
    assert adopted.area(x).data == 4.0 * math.pi  # not from the cache
    assert adopted.area(3.0) == adopted.area(3.0)
    assert adopted.area.cache_info().hits >= 1
    assert jit(grad(adopted.f))(1.5) == pytest.approx(grad(adopted.f)(1.5), rel=1e-15)


def test_values_pass_for_floats(package: Package) -> None:
    """`isinstance`, `type`, `float`, `int`, `round`, texts and what is kept to be called later."""
    package(
        core="""
        import numbers
        convert = float
        kinds = {"number": float, "count": int}
        def tell(x):
            return [
                isinstance(x, float), isinstance(x, (int, float)), isinstance(x, int), isinstance(x, float | int),
                isinstance(x, numbers.Real), type(x) is float, type(x) in (int, float), type(x) == float,
                x.is_integer(), f"{x:.2f} {x}", "%.3f|%s" % (x, x), "%g" % x, str(x), repr(x), format(x, ".1f"),
                int(x), round(x), round(x, 1) == 2.5, x in {2.5, 3}, x in (2.5,), x not in {1: 2}, bool(x), int("7"),
                float("1.5"), list(map(int, [x, x])), kinds["count"](x), isinstance(x, kinds["number"]),
                divmod(x, 1.0), pow(x, 2), pow(5, 2, 3), max(x, 1), min([x, 7.0]), max([1, x], key=abs), sum([x, x]),
                max((), default=x), x.real, x.imag, x.conjugate(), x.hex(), x.as_integer_ratio(), complex(1.0, 2.0),
            ]
        def same(x):
            return convert(float(x)) is x, kinds["number"](x) is x, sorted([x], key=float)[0] is x
        def fraction(x):
            x /= 2
            x **= 2
            x //= 0.5
            x %= 1.75
            return x
        """
    )
    adopted = adopt("geo.core")
    original = importlib.import_module("geo.core")

    expected, found = original.tell(2.5), adopted.tell(Value(2.5))
    assert expected == [plain(x) for x in found]
    assert [type(x) for x in expected] == [type(plain(x)) for x in found]
    assert adopted.tell(2.5) == expected
    assert adopted.same(Value(2.5)) == (True, True, True)
    assert adopted.fraction(Value(2.5)).data == adopted.fraction(2.5) == original.fraction(2.5)


def test_in_place_operators_keep_arrays_and_raise(package: Package) -> None:
    """`a /= b` changes an array in place, evaluates its target once, and raises for a Value divided by 0."""
    package(
        core="""
        class Box: pass
        def arrays(a, b):
            c = a
            a /= b
            a **= 2
            return c is a
        def elements(xs, b):
            k = iter(range(9))
            xs[next(k)] /= b
            box = Box()
            box.x = xs[1]
            box.x /= b
            xs[1] = box.x
            return next(k)
        def raises(x, b):
            x /= b
            return x
        def text(s, x):
            s %= x
            return s
        """
    )
    m = adopt("geo.core")
    array = np.array([2.0, 4.0])
    assert m.arrays(array, 2.0)
    assert array.tolist() == [1.0, 4.0]
    xs = [Value(6.0), 4.0]
    assert m.elements(xs, Value(2.0)) == 1
    assert [plain(x) for x in xs] == [3.0, 2.0]
    for x, b in [(Value(1.0), 0.0), (1.0, Value(0.0)), (Value(1.0), Value(0.0)), (Value(1.0), 0), (1.0, 0.0)]:
        with pytest.raises(ZeroDivisionError):
            m.raises(x, b)
    assert m.text("%.1f", Value(2.0)) == "2.0"


# ---- errors of Python ------------------------------------------------------------------------------------------------

NUMBERS = [
    0.0,
    -0.0,
    1.0,
    -1.0,
    0.5,
    -2.5,
    3.0,
    170.7,
    -171.5,
    710.0,
    -745.2,
    1e200,
    -1e200,
    math.inf,
    -math.inf,
    math.nan,
]


def same(expected: Any, found: Any) -> bool:
    """Whether two outcomes are equal, bit for bit."""
    if isinstance(expected, float) and isinstance(found, float):
        return (math.isnan(expected) and math.isnan(found)) or expected.hex() == found.hex()
    return type(expected) is type(found) and (
        len(expected) == len(found) and all(map(same, expected, found))
        if isinstance(expected, tuple)
        else expected == found
    )


@pytest.mark.parametrize("name", sorted({*RAISING, "floor", "ceil", "trunc", "frexp"} & set(dir(math))))
def test_math_of_values_is_that_of_floats(name: str) -> None:
    """Numbers bit for bit, and exceptions with their messages, at poles, overflows, infinities and nan; also floats."""
    function, own = getattr(math, name), getattr(MATH, name)
    two = name in ("atan2", "copysign", "fmod", "hypot", "isclose", "ldexp", "log", "pow", "remainder")
    cases: list[tuple[Any, ...]] = [] if two and name not in ("log", "hypot") else [(x,) for x in NUMBERS]
    if two:
        cases += [(x, y) for x in NUMBERS for y in (3, -1, 2000) if name == "ldexp"]
        cases += [(x, y) for x in NUMBERS for y in NUMBERS if name != "ldexp"]
    if name == "dist":
        cases = [((x, 1.0), (y, 2.0)) for x in NUMBERS for y in NUMBERS]
    if name == "fma":  # of Python 3.13
        cases = [(x, y, z) for x in NUMBERS for y in NUMBERS for z in NUMBERS]
    for case in cases:
        expected = outcome(function, *case)
        assert same(expected, outcome(own, *case)), case
        wrapped = [
            tuple(map(Value, x)) if isinstance(x, tuple) else Value(x) if isinstance(x, float) else x for x in case
        ]
        assert same(expected, plain(outcome(own, *wrapped))), case


@pytest.mark.parametrize("name", ["divide", "floor_divide", "modulo", "power"])
def test_operators_of_values_raise_as_those_of_floats(name: str) -> None:
    """Division by 0, 0 to a negative power and overflow; a complex result is refused by name."""
    from autograd.adoption import answers

    function = {
        "divide": operator.truediv,
        "floor_divide": operator.floordiv,
        "modulo": operator.mod,
        "power": operator.pow,
    }[name]
    own = getattr(answers, name)
    for x in NUMBERS:
        for y in NUMBERS:
            expected = outcome(function, x, y)
            for pair in [(Value(x), Value(y)), (Value(x), y), (x, Value(y)), (x, y)]:
                found = plain(outcome(own, *pair))
                if isinstance(expected, complex) and any(isinstance(z, Value) for z in pair):
                    assert found[0] is TypeError
                    assert "is complex" in found[1]
                else:
                    assert same(expected, found), (x, y)


def test_errors_of_python_are_caught_in_compiled_code(package: Package) -> None:
    """Which way a package takes is a guard: each row of a batch has the result of plain Python."""
    package(
        core="""
        import math
        def f(x):
            try:
                y = math.log(x)
            except ValueError:
                y = -1.0
            try:
                return y + 1 / (x - 2.0)
            except ZeroDivisionError:
                return 7.0
        """
    )
    adopted = adopt("geo.core")
    original = importlib.import_module("geo.core")

    xs = np.array([1.0, -3.0, 0.0, 2.0, 5.0, 2.0, -1.0])
    expected = [original.f(x) for x in xs.tolist()]
    compiled = jit(vmap(adopted.f))
    assert compiled(xs).tolist() == expected
    assert [plain(adopted.f(Value(x))) for x in xs] == expected
    one = jit(adopted.f)
    assert [one(x) for x in xs.tolist()] == expected
    raising = jit(vmap(adopt("geo.core").math.sqrt))
    with pytest.raises(ValueError, match=r"math domain error|nonnegative"):
        raising(xs)


ERRORS = """
import math
def of_one(x, f):
    try:
        return f(x)
    except ValueError:
        return -7.0
    except OverflowError:
        return -8.0
    except ZeroDivisionError:
        return -9.0
"""


@pytest.mark.parametrize("name", ["sqrt", "log", "exp", "gamma", "lgamma", "sin", "acosh", "log1p", "cosh", "power"])
def test_compiled_code_tells_all_errors_apart(package: Package, name: str) -> None:
    """Whatever number came first: nan, infinities, poles and overflows each take the way that plain Python takes."""
    function = "power" if name == "power" else f"math.{name}"
    power = "def power(x):\n    return (x - 2.0) ** -301.0"
    package(core=f"{ERRORS}\n{power}\ndef f(x):\n    return of_one(x, {function})")
    numbers = [math.nan, -1.0, 0.0, math.inf, 2.0, -math.inf, 800.0, -2.5, -0.0, 1.0, 1e-3, 1.999, math.nan, -1.0]
    original, adopted = importlib.import_module("geo.core").f, adopt("geo.core").f
    for order in (numbers, numbers[::-1]):
        compiled = jit(adopted)
        for x in order:
            expected = original(x)
            assert plain(adopted(Value(x))) == pytest.approx(expected, rel=1e-14, nan_ok=True), x
            assert compiled(x) == pytest.approx(expected, rel=1e-14, nan_ok=True), (x, order)


def test_whole_numbers_are_guarded(package: Package) -> None:
    """int, round and floor give ints that may be an index, a key or a count; other numbers make other paths."""
    package(
        core="""
        import math
        table = [1.0, 2.0, 4.0, 8.0]
        def f(x):
            total = 0.0
            for k in range(int(x)):
                total = total + x * table[k]
            return total + {0: x, 1: 2 * x, 2: 3 * x, 3: x * x}[round(x)] + math.floor(x) * x
        """
    )
    adopted = adopt("geo.core")
    original = importlib.import_module("geo.core")

    xs = [0.2, 1.3, 1.7, 2.2, 2.9, 0.4, -0.3]
    assert [plain(adopted.f(Value(x))) for x in xs] == [original.f(x) for x in xs]
    compiled = jit(value_and_grad(adopted.f))
    assert [compiled(x) for x in xs] == [value_and_grad(adopted.f)(x) for x in xs]
    rows = jit(vmap(adopted.f))
    for _ in range(2):
        assert rows(np.array(xs)).tolist() == [original.f(x) for x in xs]
        assert len(compiled.paths()) == len({(int(x), round(x), math.floor(x)) for x in xs})
        assert len(rows.paths()) == len({(int(x), round(x)) for x in xs})  # what is only computed with is no guard
        assert not any(path.options.accurate for path in rows.paths())  # other numbers are no rounding differences
    for x in (math.nan, math.inf):
        for function in (lambda x: adopted.f(Value(x)), adopted.f, original.f, compiled):
            with pytest.raises((ValueError, OverflowError), match="cannot convert float"):
                function(x)


def test_exponents_are_guarded(package: Package) -> None:
    """The exponent of frexp is an int: compiled code for another exponent, for 0 or for infinity is not used."""
    package(core="import math\ndef f(x):\n    m, e = math.frexp(x)\n    return m * (e + 3) + (e if x < 1e9 else 0)")
    f = adopt("geo.core").f
    compiled = jit(value_and_grad(f))
    for x in (0.0, 3.0, 0.7, 3.5, 1e-3, -10.0, 1e-320, 0.0, 5e8, -1e-300):
        assert compiled(x) == value_and_grad(f)(x), x
        assert compiled(x)[0] == f(x), x
    assert compiled(math.inf)[0] == math.inf
    assert compiled(7.0) == value_and_grad(f)(7.0)


def test_numbers_that_pass_through_texts_are_guarded(package: Package) -> None:
    """A text may be read again: compiled, each number takes a path of its own, and none is that of an earlier call."""
    package(
        core="def f(x):\n    return x * float(f'{x:.1f}') + float('%.2f' % x) + len(str(x)) + float(format(x, '.1f'))"
    )
    f, original = adopt("geo.core").f, importlib.import_module("geo.core").f
    compiled = jit(f)
    for x in (1.26, 2.125, 1.26, math.inf, 0.5):
        assert compiled(x) == original(x)
        assert plain(f(Value(x))) == original(x)


OF_CLASSES = """
import dataclasses, math
class C:
    def __init__(self, v): self.v = v
    def root(self): return math.sqrt(self.v)
    def __eq__(self, other): return type(self) is type(other) and self.v == other.v
    __hash__ = None
class D(C):
    def root(self): return 2.0 * math.sqrt(self.v)
@dataclasses.dataclass(order=True, frozen=True)
class P:
    x: float
    y: float = 0.0
POINT, TABLE = P(1.0, 2.0), {C: 1.0, D: 2.0}
def of_types(c, x):
    return [type(c) is C, type(c) == D, type(c) in (C, P), type(c) is type(C(x)), C(c.v) == c, c == D(c.v),
        TABLE[type(c)], TABLE[type(C(x))], TABLE[c.__class__], c.__class__ is C, C is c.__class__, type(c).__name__,
        type(c)(x).root(), c.__class__(x).root(), x.__class__ is float, x.__class__ in (int, float),
        x.__class__.__name__]
def of_points(c, x):
    return [P(1.0, 2.0) == POINT, POINT == P(1.0, 2.0), POINT != P(x), P(1.0, 1.0) < POINT, POINT >= P(1.0, 2.0),
        {POINT: 7.0}.get(P(1.0, 2.0)), P(1.0, 2.0) in {POINT}, POINT == (1.0, 2.0),
        dataclasses.replace(POINT, x=x) == POINT]
"""


@pytest.mark.parametrize("name", ["of_types", "of_points"])
@pytest.mark.parametrize("kind", ["C", "D"])
def test_classes_that_are_asked_for(package: Package, name: str, kind: str) -> None:
    """What asks for the very class of an object, or of a number, has the answers of the original code."""
    package(core=OF_CLASSES)
    original, module = importlib.import_module("geo.core"), adopt("geo.core")
    thing, own = (getattr(place, kind)(4.0) for place in (original, module))
    expected = getattr(original, name)(thing, 0.75)
    for x in (0.75, Value(0.75)):
        assert expected == [plain(found) for found in adopt(getattr(original, name))(thing, x)]
        assert expected == [plain(found) for found in getattr(module, name)(own, x)]


def test_generated_methods_where_a_text_has_their_name(package: Package, monkeypatch: pytest.MonkeyPatch) -> None:
    """The methods of dataclasses are in "<string>". Since Python 3.13, so is the text of ``python -c``."""
    text = ["def __hash__(self):\n", "    return 1\n", "other = 2\n"] * 40
    monkeypatch.setitem(linecache.cache, "<string>", (1, None, text, "<string>"))
    package(core=OF_CLASSES)
    expected = importlib.import_module("geo.core").of_points(None, 0.75)
    assert expected == [plain(found) for found in adopt("geo.core").of_points(None, Value(0.75))]


def test_sums_are_those_of_the_builtin() -> None:
    """From Python 3.12 on it compensates rounding errors; that sum is checked here with fsum on every version."""
    from autograd.adoption.answers import compensated

    numbers = [1e16, 1.0, -1e16, 3.0, 1e-3, -7.5]
    values = list(map(Value, numbers))
    found = compensated(values, 0)
    assert found.data == math.fsum(numbers)
    found.backward()
    assert {x.grad for x in values} == {1.0}
    compiled = jit(lambda xs: compensated(xs, 0))
    assert compiled(numbers) == found.data
    assert compensated([Value(math.inf), 1.0], 0).data == math.inf


def test_statistics_have_derivatives() -> None:
    """Exact sums lead through fractions; these functions are rows instead, and their values those of the library."""
    s = adopt("statistics")
    data = [1.5, 2.25, 0.1, 7.0, 3.3]
    means = ["mean", "fmean", "geometric_mean", "harmonic_mean", "median", "median_low"]
    for name in [*means, "variance", "pvariance", "stdev", "pstdev"]:
        function, own = getattr(statistics, name), getattr(s, name)
        assert own(data) == function(data), name
        assert own(list(map(Value, data))).data == function(data), name
        check_grads(lambda xs, own=own: own(xs), [data], order=1 if "median" in name else 2)
    check_grads(lambda xs: s.NormalDist.from_samples(xs).cdf(2.0), [data], order=1)
    check_grads(lambda xs: list(s.linear_regression(xs, [1.0, 2.0, 4.0, 5.0, 3.0])), [data], order=1)
    with pytest.raises(TypeError, match=r"computes with fractions, at .*statistics.py"):
        s.covariance([Value(1.0), 2.0], [1.0, 2.0]) if sys.version_info < (3, 11) else s._sum([Value(1.0)])
    with pytest.raises(statistics.StatisticsError):
        s.stdev([Value(1.0)])
    with pytest.raises(TypeError, match=r"statistics.variance of Values takes the data alone, at .*test_adopt"):
        s.variance(list(map(Value, data)), 2.0)


@pytest.mark.parametrize("name", ["mean", "variance", "stdev", "harmonic_mean", "fmean"])
def test_statistics_that_are_not_adopted_refuse_values(name: str) -> None:
    """Their fractions would lose the gradient, and derivatives would be 0."""
    with pytest.raises(TypeError, match=r"would be lost .*: statistics computes .*adopt\('statistics'\)"):
        grad(getattr(statistics, name))([2.0, 3.0, 7.0])
    with pytest.raises(TypeError, match=r"freeze it|gradient would be lost"):
        jit(getattr(statistics, name))([2.0, 3.0, 7.0])


def test_cmath_is_real_or_refuses() -> None:
    """Functions of a Value that stay real are real; the others name what is complex."""
    c = MODULES["cmath"]
    assert c.sqrt(-1.0) == 1j
    assert c.sqrt(Value(4.0)).data == 2.0
    assert c.log(Value(1.0)).real.data == cmath.log(1.0).real
    for function, x in [(c.sqrt, -1.0), (c.log, -1.0), (c.phase, 1.0), (c.acos, 2.0)]:
        with pytest.raises(TypeError, match=rf"cmath.{function.__name__}\({x}\) at .*test_adopt.*is complex"):
            function(Value(x))


def test_operator_and_random() -> None:
    """`operator.truediv` raises; samples are those of the same generator, and have derivatives by their parameters."""
    import random

    o, r = MODULES["operator"], MODULES["random"]
    with pytest.raises(ZeroDivisionError):
        o.truediv(Value(1.0), 0.0)
    assert o.add is operator.add
    random.seed(3)
    expected = random.lognormvariate(0.5, 0.1)
    random.seed(3)
    mu = Value(0.5)
    sample = r.lognormvariate(mu, 0.1)
    assert sample.data == expected
    sample.backward()
    assert mu.grad == pytest.approx(expected)


# ---- what cannot be adopted ------------------------------------------------------------------------------------------


def test_compiled_code_and_classes_on_float_are_named(package: Package) -> None:
    """With the expression, the line and what to do."""
    package(
        core="""
        import datetime, struct, time
        class Angle(float):
            def turned(self):
                return Angle(self + 1)
        def angle(x):
            return Angle(x)
        def packed(x):
            return struct.pack("d", x)
        """
    )
    m = adopt("geo.core")
    assert m.Angle(1.0).turned() == 2.0
    with pytest.raises(TypeError, match=r"\('Angle\(x\)' at .*core.py:7 in angle\): Angle is a class built on float"):
        m.angle(Value(1.0))
    with pytest.raises((TypeError, Exception), match=r"struct.pack|required argument is not a float"):
        m.packed(Value(1.0))


@pytest.mark.parametrize(
    ("what", "error", "message"),
    [
        (math.gcd, AdoptionError, r"gcd \(builtin_function_or_method of math\) has no Python source"),
        (3.0, TypeError, "adopt takes the name of a module, a module, a function or a class, not 3.0"),
        ("no_such_package.at_all", ModuleNotFoundError, "No module named 'no_such_package'"),
        ("colorsys.nothing", ModuleNotFoundError, "'colorsys' is not a package"),
        ("_struct", AdoptionError, r"_struct .*is compiled or built in"),
    ],
)
def test_errors(what: Any, error: type[Exception], message: str) -> None:
    """What is no Python code is refused by name."""
    with pytest.raises(error, match=message):
        adopt(what)


def test_bad_names_are_refused() -> None:
    """The lists of modules hold names."""
    with pytest.raises(TypeError, match="without= takes names of modules"):
        adopt("colorsys", without=[math])  # type: ignore[list-item]
    with pytest.raises(TypeError, match="without= and keep= are for modules"):
        adopt(lambda x: x, without=("numpy",))


# ---- functions -------------------------------------------------------------------------------------------------------

SCALE = 2.0


def helper(x: float, power: float = 2.0) -> float:
    """Reads a global."""
    return math.pow(x, power) * SCALE


@functools.lru_cache
def cached(x: float) -> float:
    """Has a cache."""
    return math.exp(x)


class Model:
    """A class whose methods use `math`."""

    offset = 0.5

    def __init__(self, k: float) -> None:
        self.k = float(k)

    def __call__(self, x: float) -> float:
        """Uses a private method, an attribute of the class and a static method."""
        return self.__scaled(x) + self.offset + self.shape(x)

    def __scaled(self, x: float) -> float:
        return math.sin(self.k * x)

    @staticmethod
    def shape(x: float) -> float:
        """A static method."""
        return math.tanh(x)

    @property
    def log(self) -> float:
        """A property."""
        return math.log(self.k)


class Child(Model):
    """Calls the method of the class before it."""

    def __call__(self, x: float) -> float:
        """Twice as much."""
        return super().__call__(x) * 2


def user(x: float, *, n: int = 3) -> float:
    """Uses all of these."""
    import math as m
    from math import cosh

    total = sum(helper(x, power=float(k)) for k in range(n))
    if not isinstance(x, float) or x in {77.0}:
        raise AssertionError
    return total + cached(x) / Child(x)(0.5) + m.sqrt(x) + cosh(x) + max(x, 0.25) + Model(x).log + int(x) * x


class Doubled(Model):
    """Calls the method of the class before it, which it names, as code for Python 2 did."""

    def __call__(self, x: float) -> float:
        """Twice as much."""
        return super(Doubled, self).__call__(x) * 2  # noqa: UP008  # what is tested


class Raised(Doubled):
    """The same once more."""

    def __call__(self, x: float) -> float:
        """One more."""
        return super(Raised, self).__call__(x) + 1  # noqa: UP008  # what is tested


def named_bases(x: float) -> float:
    """Objects of classes that name one another."""
    model: Any = Raised(x)
    known = isinstance(model, Doubled) and issubclass(Raised, Model) and isinstance(model, Child | Doubled)
    return model(0.5) * (3.0 if known and not isinstance(model, (Child, int)) else 1.0)


def test_classes_that_name_one_another() -> None:
    """`super(Class, self)`, `isinstance` and `issubclass` mean the classes of the source."""
    adopted = adopt(named_bases)
    assert adopted(2.5) == named_bases(2.5)
    check_grads(adopted, [2.5])


def test_a_function_comes_with_what_it_refers_to() -> None:
    """Functions, classes and cached functions of its module, and imports inside; values bit for bit."""
    adopted = adopt(user)
    assert adopted(2.5) == user(2.5)
    assert adopted(Value(2.5)).data == user(2.5)
    assert adopted(2.5, n=2) == user(2.5, n=2)
    check_grads(adopted, [2.5])
    compiled = jit(value_and_grad(adopted))
    assert compiled(2.5) == pytest.approx(value_and_grad(adopted)(2.5), rel=1e-14)
    assert (adopted.__name__, adopted.__doc__, adopted.__module__) == (user.__name__, user.__doc__, __name__)
    assert adopted.__code__.co_firstlineno == user.__code__.co_firstlineno


def test_globals_stay_live(monkeypatch: pytest.MonkeyPatch) -> None:
    """A global or a function that is defined again is seen, eager and compiled."""
    adopted = adopt(helper)
    compiled = jit(grad(adopted))
    assert compiled(3.0) == 12.0
    monkeypatch.setattr(sys.modules[__name__], "SCALE", 5.0)
    assert grad(adopted)(3.0) == 30.0
    assert compiled(3.0) == 30.0
    outer = adopt(calls_helper)
    compiled = jit(grad(outer))
    assert compiled(3.0) == 30.0
    monkeypatch.setattr(sys.modules[__name__], "helper", lambda x: math.exp(x) * 0.0 + x)
    assert grad(outer)(3.0) == 1.0
    assert compiled(3.0) == 1.0


def calls_helper(x: float) -> float:
    """Calls another function of the module."""
    return helper(x)


def test_closures_lambdas_methods_and_nested_functions() -> None:
    """Cells are shared with the original, so their changes are seen too."""
    rate = 2.0

    def inner(x: float) -> float:
        def deeper(y: float) -> float:
            return math.exp(rate * y)

        return deeper(x) + sum(math.sin(t) for t in [x, 2 * x])

    adopted, shorter = adopt(inner), adopt(lambda x: math.log(x) / rate)
    assert adopted(0.5) == inner(0.5)
    check_grads(adopted, [0.5])
    rate = 3.0
    assert adopted(0.5) == inner(0.5)
    assert grad(shorter)(2.0) == pytest.approx(1 / 6)
    check_grads(adopt(Model(2.0).__call__), [0.5])  # methods of its plain object are adopted where they are called
    own = adopt(Child)
    assert issubclass(own, Child)
    check_grads(lambda k, x: own(k)(x), [2.0, 0.5])
    assert isinstance(own(2.0), Model)
    both = [adopt(f) for f in (lambda x: math.sin(x), lambda x: math.cos(x))]
    assert [grad(f)(0.0) for f in both] == [1.0, -0.0]


def test_source_that_is_not_there() -> None:
    """A function made by exec, or whose file has changed, is refused by name."""
    namespace: dict[str, Any] = {"__name__": __name__}
    exec("def made(x):\n    return x", namespace)
    with pytest.raises(AdoptionError, match=r"made \(function of .*\) has no Python source"):
        adopt(namespace["made"])


SHAPES_OF_CODE = """
import math, functools
from math import sqrt as root
COUNT = 0
TABLE = {1: math.sin, 2: math.cos}
class Meta(type):
    def __call__(cls, *a): return super().__call__(*a)
class Thing(metaclass=Meta):
    K = math.pi
    def __init__(self, x): self.x = x
    @classmethod
    def make(cls, x): return cls(x)
    def val(self):
        def inner(y, z=self.x): return math.exp(y) + z
        return inner(self.x)
    def __add__(self, o): return Thing(self.x + o.x)
def deco(n):
    def wrap(f):
        @functools.wraps(f)
        def inner(*a, **k): return n * f(*a, **k)
        return inner
    return wrap
@deco(3.0)
def decorated(x): return math.log(x)
def gen(x):
    for k in range(3):
        yield math.sin(k * x)
def glob(x):
    global COUNT
    COUNT += 1
    return math.exp(x)
def wal(x):
    if (y := math.sin(x)) > 0: return y
    return -y
def mat(x):
    match int(x):
        case 0: return math.exp(x)
        case 1 | 2: return math.sin(x)
        case _: return x
@functools.singledispatch
def dispatched(x, k=1.0): return 7.0
@dispatched.register(int)
def _(x, k=1.0): return x * k
@dispatched.register(float)
def _(x, k=1.0): return math.cos(x) * k
class Dispatching:
    @functools.singledispatchmethod
    def square(self, x): return 7.0
    @square.register
    def _(self, x: float): return x * x
def dispatch(x): return dispatched(x, k=2.0) + dispatched(3) + Dispatching().square(x)
class Pair:
    __match_args__ = ("first", "second")
    def __init__(self, first, second): self.first, self.second = first, second
def kinds(x):
    found = []
    for thing in (x, 3, math.pi, Pair(x, 2.0), Pair(1, x), [x, 1.0], {"rate": x}, {math.e: x}, "text"):
        match thing:
            case math.pi: found.append(x)
            case float() as v: found.append(v * x)
            case int(n): found.append(n * x)
            case Pair(float(a), second=b): found.append(a * b)
            case Pair(): found.append(thing.second ** 2)
            case [float(a), *rest]: found.append(math.sin(a) * len(rest))
            case {"rate": float(a)}: found.append(math.exp(a))
            case {math.e: a}: found.append(a / 3)
            case _: found.append(7.0)
    return sum(found)
def comp(x):
    class Local:
        v = [math.sin(x) for _ in range(2)]
        def f(self): return self.v[0] + math.cos(x)
    return Local().f() + sum({k: math.exp(k * x) for k in (0.1, 0.2)}.values()) + next(t for t in [root(x)])
def defaults(x, f=math.exp, g=lambda t: math.sin(t), *, h=math.cos): return f(x) + g(x) + h(x)
def table(x): return TABLE[1](x) + TABLE[2](x)
def fact(n, x): return x if n == 0 else math.sin(x) * fact(n - 1, x)
def tryx(x):
    try: return math.sqrt(x)
    except ValueError as e: return math.sqrt(-x) if "domain" in str(e) or "nonneg" in str(e) else 0.0
    finally: pass
def star(*xs, **kw): return math.hypot(*xs) + math.fsum(kw.values())
def all_(x):
    t = Thing.make(x) + Thing(x)
    total = decorated(x) + sum(gen(x)) + glob(x) + wal(x) + mat(x) + comp(x) + fact(3, x)
    return total + tryx(x) + tryx(-x) + star(x, 1.0, a=x, b=2.0) + t.val() + Thing.K * x
"""


@pytest.mark.parametrize("name", ["all_", "defaults", "table", "comp", "mat", "kinds", "dispatch", "tryx", "fact"])
def test_all_shapes_of_code(package: Package, name: str) -> None:
    """Metaclasses, decorators, generators, globals, match, comprehensions, defaults: as module and as function."""
    package(core=SHAPES_OF_CODE)
    original = getattr(importlib.import_module("geo.core"), name)
    arguments = (3, 1.3) if name == "fact" else (1.3,)
    for adopted in (adopt(original), getattr(adopt("geo.core"), name)):
        assert adopted(*arguments) == original(*arguments)
        check_grads(lambda x, adopted=adopted: adopted(*arguments[:-1], x), [1.3], order=1)


# ---- Values have what floats have ------------------------------------------------------------------------------------


def test_values_have_what_floats_have() -> None:
    """The attributes and methods of floats, and the place among the numbers."""
    import numbers

    x = Value(2.5)
    assert isinstance(x, numbers.Real)
    assert x.real is x
    assert x.imag == 0.0
    assert x.conjugate().data == 2.5
    assert (x.is_integer(), Value(2.0).is_integer(), Value(math.inf).is_integer()) == (False, True, False)
    with pytest.raises(
        TypeError, match=r"x.as_integer_ratio\(\).*: use its .data for the number"
    ):  # of adopted code has it
        x.as_integer_ratio()
    assert x.hex() == (2.5).hex()
    assert f"{x:.1f} {x:>6.2f}" == "2.5   2.50"
    compiled = jit(lambda x: x * 2 if x.is_integer() else x * x)
    assert [compiled(v) for v in (2.0, 2.5, 3.0)] == [4.0, 6.25, 6.0]
    with pytest.raises(TypeError, match="as_integer_ratio"):
        jit(lambda x: x * x.as_integer_ratio()[0])(2.5)


def test_the_error_of_a_conversion_names_expression_and_line() -> None:
    """Everywhere, not only in adopted code."""
    x = Value(1.0)
    with pytest.raises(
        TypeError, match=r"\('math.exp\(x\)' at .*test_adopt.py:\d+ in .*\): use autograd.math.exp, or its .data"
    ):
        math.exp(x)
    with pytest.raises(TypeError, match="does not turn into a float"):
        builtins.float(x)


def test_adopted_code_composes_with_transforms(package: Package) -> None:
    """grad, jacobian, hessian, vmap and jit, of one number and of rows."""
    package(core="import math\ndef f(x, y):\n    return math.atan2(y, x) * (x ** 2 + y ** 2) ** 0.5 / (1 + x)")
    f = adopt("geo.core").f
    check_grads(f, [1.5, 0.5])
    rows = np.random.default_rng(1).uniform(0.5, 2.0, (50, 2))
    both = jit(vmap(lambda r: (f(r[0], r[1]), grad(lambda r: f(r[0], r[1]))(r), hessian(lambda r: f(r[0], r[1]))(r))))
    value, first, second = both(rows)
    for row, y, g, h in zip(rows, value, first, second):
        assert y == pytest.approx(f(*row.tolist()), rel=1e-15)  # atan2 of machine code has other last digits
        np.testing.assert_allclose(g, grad(lambda r: f(r[0], r[1]))(row), rtol=1e-13)
        np.testing.assert_allclose(h, hessian(lambda r: f(r[0], r[1]))(row), rtol=1e-12, atol=1e-14)
    assert jacobian(lambda r: [f(r[0], r[1])])(rows[0])[0].shape == (2,)


def test_the_class_of_a_number_by_getattr() -> None:
    """`getattr(x, "__class__")` is what `x.__class__` is."""

    def f(x: Any) -> Any:
        same = getattr(x, "__class__") is float and getattr(x, "__class__", None).__name__ == "float"  # noqa: B009
        return 2.0 * x if same else 3.0 * x

    own = adopt(f)
    assert [2.0, 2.0, 2.0] == [own(1.0), own(Value(1.0)).data, jit(own)(1.0)]


def test_printed_texts_make_no_paths(capsys: pytest.CaptureFixture[str]) -> None:
    """What adopted code prints shows the numbers of the trace, and holds for others; a text that it reads does not."""

    def f(x: Any) -> Any:
        width, k = 8, 3
        print(f"{x:.3f} {k} {x:{width}.2f} {x!r}", "%g and %d" % (x, k), "%s" % x)  # noqa: UP031
        print(f"{x:.2f}|{k}", x)
        return x * 2.0

    f(0.25)
    plain = capsys.readouterr().out
    compiled = jit(adopt(lambda x: f(x)), quiet=True)
    assert [0.5, 3.0, 5.0] == [compiled(x) for x in (0.25, 1.5, 2.5)]
    assert plain == capsys.readouterr().out
    assert 1 == compiled.stats()["paths"]
    reading = jit(adopt(lambda x: x * len(f"{x}")), quiet=True)
    assert [1.0, 0.25 * 4] == [reading(x) for x in (0.25, 0.25)]
    assert 4.5 == reading(1.5)
    assert 2 == reading.stats()["paths"]
