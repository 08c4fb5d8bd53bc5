"""Installation: the right files, the right extras, and a core that needs nothing else."""

import ast
import configparser
import os
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest
from packaging.requirements import Requirement

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[1]
PACKAGES = ("autograd", "nn")
ABOVE_THE_CORE = {"__main__", "compiler", "distributed", "testing"}  # parts of autograd that need an extra …
DRAWING = "autograd.view.drawing"  # … and this module

SETUP = configparser.ConfigParser()
SETUP.read(ROOT / "setup.cfg", encoding="utf-8")
EXTRAS = {
    name: [Requirement(line) for line in lines.split("\n") if line]
    for name, lines in SETUP["options.extras_require"].items()
}


def distributions(extra):
    """Return the names of the distributions in an extra, with the project's own extras expanded."""
    names = set()
    for requirement in EXTRAS[extra]:
        if requirement.name == SETUP["metadata"]["name"]:
            names = names.union(*map(distributions, requirement.extras))
        else:
            names.add(requirement.name)
    return names


def core_modules():
    """Return the dotted names of all modules of autograd that work without an extra."""
    files = (path.relative_to(ROOT).with_suffix("") for path in (ROOT / "autograd").rglob("*.py"))
    parts = [file.parts for file in files if file.parts[1] not in ABOVE_THE_CORE]
    return sorted({".".join(part for part in names if part != "__init__") for names in parts} - {DRAWING})


def statements(tree):
    """All statements of a module, in functions and branches too; `ast.walk` also goes through every expression."""
    found = [*tree.body]
    for node in found:  # it grows
        for block in ("body", "orelse", "finalbody", "handlers", "cases"):
            found += getattr(node, block, [])
    return found


def third_party_imports(folder):
    """Return the top-level names of third-party libraries that the code in a folder imports."""
    folders = ("tests", "benchmarks", "notebooks", "tools", "docs/extensions", "docs/playground")
    scripts = [path for each in folders for path in (ROOT / each).rglob("*.py")]
    scripts += (ROOT / "tests").rglob("*.c")  # a test builds them
    own = {*PACKAGES, "net", *(path.stem for path in scripts)}  # tests/net is a package
    names = set()
    for path in (ROOT / folder).rglob("*.py"):
        for node in statements(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                names.update(alias.name.partition(".")[0] for alias in node.names)
            elif isinstance(node, ast.ImportFrom) and not node.level:
                names.add(node.module.partition(".")[0])
    return names - own - sys.stdlib_module_names


# Imported only for what a user has from there: a notebook, a table to convert to, layers, a type checker.
BROUGHT_BY_USERS = {"IPython", "pandas", "torch", "typing_extensions"}


def run_python(*arguments, **environment):
    """Run another interpreter and return its output, or its errors if it failed."""
    done = subprocess.run(
        [sys.executable, *arguments], capture_output=True, text=True, cwd=ROOT, env={**os.environ, **environment}
    )
    assert 0 == done.returncode, done.stderr
    return done.stdout


def test_all_brings_every_extra_for_users():
    """`pip install .[all]` installs the dependencies of every feature."""
    for_users = EXTRAS.keys() - {"adopted", "all", "dev", "docs", "test"}
    assert {"distributed", "jit", "nn", "onnx", "sparse", "special", "testing", "view"} == for_users
    assert set().union(*map(distributions, for_users)) == distributions("all")


def test_test_brings_everything_in_all():
    """The tests can reach every feature of the library."""
    assert distributions("all") <= distributions("test")


@pytest.mark.parametrize(("folder", "extra"), [("autograd", "all"), ("nn", "all"), ("tests", "test")])
def test_every_third_party_import_is_declared(folder, extra):
    """Every imported library is installed by the extra for it."""
    declared = {{"scikit-learn": "sklearn"}.get(name, name) for name in distributions(extra)}
    assert set() == third_party_imports(folder) - declared - BROUGHT_BY_USERS


def modules_in(folder):
    """The names of the modules and packages in a package."""
    found = {path.stem for path in folder.glob("*.py")} - {"__init__"}
    return found | {path.parent.name for path in folder.glob("*/__init__.py")}


def large_rooms():
    """The packages of more than five modules. The layers of `autograd` itself are in docs/design.md."""
    folders = [path.parent for package in PACKAGES for path in sorted((ROOT / package).glob("**/__init__.py"))]
    return [folder for folder in folders if folder != ROOT / "autograd" and len(modules_in(folder)) > 5]


@pytest.mark.parametrize("room", large_rooms(), ids=lambda room: room.name)
def test_maps_of_rooms_are_complete(room):
    """A package of more than five modules says in its first lines what each of them does."""
    text = ast.get_docstring(ast.parse((room / "__init__.py").read_text(encoding="utf-8")))
    assert set() == modules_in(room) - set(re.findall(r"`(\w+)`", text))


def test_core_imports_and_works_without_site_packages():
    """The core computes a gradient on an interpreter that has the standard library only."""
    program = (
        f"import sys, importlib; sys.path.insert(0, {str(ROOT)!r})\n"
        f"for name in {core_modules()}: importlib.import_module(name)\n"
        "from autograd import Value\n"
        "x = Value(3.0); (x * x).backward(); print(x.grad)"
    )
    assert "6.0\n" == run_python("-I", "-S", "-c", program)


def test_importing_the_core_loads_no_third_party_library():
    """If NumPy and the others are installed, `import autograd` does not load them."""
    program = (
        f"import sys, importlib; sys.path.insert(0, {str(ROOT)!r}); before = set(sys.modules)\n"
        f"for name in {core_modules()}: importlib.import_module(name)\n"
        "loaded = {name.partition('.')[0] for name in set(sys.modules) - before}\n"
        "print(sorted(loaded - sys.stdlib_module_names))"
    )
    assert "['autograd']\n" == run_python("-c", program)


def test_sdist_and_wheel_hold_the_packages_and_nothing_else(tmp_path):
    """A wheel built from the sdist has every source, type marker and static file, and no tests."""
    checkout = tmp_path / "checkout"
    ignored = shutil.ignore_patterns(".*", "__pycache__", "build", "dist", "*.egg-info", "*.so")
    shutil.copytree(ROOT, checkout, ignore=ignored)
    command = ("-m", "build", "--no-isolation", "--outdir", str(tmp_path / "dist"), str(checkout))
    built = run_python(*command, CFLAGS="-O0")  # in a seventh of the time
    assert not shutil.which("cc") or re.search(r"-O0(?!.* -O[1-3])", built)
    assert bool(shutil.which("cc")) == ("was not built" not in built)

    (sdist,) = (tmp_path / "dist").glob("scalar_autograd-*.tar.gz")
    with tarfile.open(sdist) as archive:
        in_sdist = {Path(*Path(name).parts[1:]).as_posix() for name in archive.getnames()}
    needed = {
        "LICENSE",
        "README.md",
        "CHANGELOG.md",
        "SECURITY.md",
        "tests/test_packaging.py",
        "autograd/_c/module.c",
        "autograd/_c/rules.h",
        "autograd/compiler/run/_call.c",
        "autograd/compiler/run/_ndarray.h",
    }
    assert needed <= in_sdist

    (wheel,) = (tmp_path / "dist").glob("scalar_autograd-*.whl")
    in_wheel = set(zipfile.ZipFile(wheel).namelist())
    expected = {
        path.relative_to(checkout).as_posix()
        for package in PACKAGES
        for path in (checkout / package).rglob("*")
        if path.suffix in {".py", ".typed", ".js", ".css", ".html"}
    }
    assert {"autograd/py.typed", "nn/py.typed"} <= expected
    built = {name for name in in_wheel if name.endswith((".so", ".pyd"))}
    if shutil.which("cc"):
        assert {"autograd/_value", "autograd/compiler/run/_call"} == {name.partition(".")[0] for name in built}
    assert expected == {name for name in in_wheel - built if ".dist-info/" not in name}
    assert any(name.endswith(".dist-info/licenses/LICENSE") for name in in_wheel)

    distributions = [str(path) for path in (tmp_path / "dist").iterdir()]
    assert run_python("-m", "twine", "check", "--strict", *distributions).count("PASSED") == 2
    installed = tmp_path / "installed"
    pip = ["-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--target", str(installed)]
    run_python(*pip, str(wheel))
    program = (
        f"import sys; sys.path.insert(0, {str(installed)!r})\n"
        "import autograd, nn\n"
        "x = autograd.Value(3.0, label='x'); y = x * x; y.backward()\n"
        "print(autograd.__file__, autograd.backend(), x.grad, autograd.view.explain(y, x))"
    )
    build = "c" if shutil.which("cc") and os.environ.get("AUTOGRAD_PURE_PYTHON", "0") == "0" else "python"
    expected = f"{installed / 'autograd' / '__init__.py'} {build} 6.0 ∂v1/∂x = 6,"
    assert run_python("-I", "-S", "-c", program).startswith(expected)


def test_the_c_build_is_optional(tmp_path):
    """Building without a compiler succeeds, says what is missing and leaves a package that works."""
    checkout = tmp_path / "checkout"
    shutil.copytree(
        ROOT, checkout, ignore=shutil.ignore_patterns(".*", "__pycache__", "build", "dist", "*.so", "*.pyd")
    )
    environment = {**os.environ, "PYTHONPATH": str(checkout), "AUTOGRAD_PURE_PYTHON": "0"}
    environment |= {"CC": "/no/compiler/here", "CXX": "/no/compiler/here"}
    build = [sys.executable, "setup.py", "build_ext", "--inplace"]
    done = subprocess.run(build, capture_output=True, text=True, cwd=checkout, env=environment)
    assert 0 == done.returncode, done.stderr
    assert "was not built, so scalar-autograd runs in pure Python" in done.stderr + done.stdout
    assert [] == [path for path in (checkout / "autograd").rglob("_*") if path.suffix in {".so", ".pyd"}]
    program = "import autograd; x = autograd.Value(3.0); (x * x).backward(); print(autograd.backend(), x.grad)"
    # -S: else the copy would use the C build of an editable install
    printed = subprocess.check_output([sys.executable, "-S", "-c", program], cwd=checkout, env=environment, text=True)
    assert "python 6.0\n" == printed
