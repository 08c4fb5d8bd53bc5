"""The reference of every public name: a page for each package that lists its names in `__all__`.

A new name, or a new package, is in the reference as soon as it is in an `__all__`.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import re
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

from docutils.nodes import Element
from sphinx.application import Sphinx
from sphinx.domains.python import PyXRefRole
from sphinx.environment import BuildEnvironment

PACKAGES = ("autograd", "nn")
FOLDER = Path("reference") / "api"
REEXPORTED = {"autograd.transforms"}  # all its names are names of autograd, and described there
BRIDGES = {  # modules that users import by name, and what they import from them
    "nn.c": ["to_c"],
    "nn.onnx": ["to_onnx"],
    "nn.sklearn": ["MLPClassifier", "MLPRegressor"],
    "nn.torch": ["from_torch", "to_torch"],
}


def public_modules() -> Iterator[ModuleType]:
    """Yield every module that says which of its names are public."""
    for package in PACKAGES:
        top = importlib.import_module(package)
        found = sorted(m.name for m in pkgutil.walk_packages(top.__path__, f"{package}."))
        names = [package, *[name for name in found if "._" not in name]]  # `autograd._value` is of the C build
        for name in names:
            if name.endswith("__main__") or name in REEXPORTED:
                continue
            module = importlib.import_module(name)
            if hasattr(module, "__all__") or name in BRIDGES:
                yield module


def names_of(module: ModuleType) -> list[str]:
    """The public names of a module, in its order."""
    return list(getattr(module, "__all__", ())) or BRIDGES[module.__name__]


def kind_of(module: ModuleType, name: str) -> str:
    """The autodoc directive that describes a name."""
    thing = getattr(module, name)
    if isinstance(thing, type):
        return "autoexception" if issubclass(thing, BaseException) else "autoclass"
    if isinstance(thing, ModuleType):
        return "automodule"
    return "autofunction" if callable(thing) else "autodata"


def summary(thing: Any) -> str:
    """The first sentence of a docstring."""
    doc = inspect.getdoc(thing) if callable(thing) or isinstance(thing, ModuleType) else None
    return " ".join((doc or "").split("\n\n")[0].split())


def home_of(module: ModuleType, name: str) -> str | None:
    """The other public module that describes a name as its own, if there is one."""
    thing = getattr(module, name)
    home = getattr(thing, "__module__", module.__name__) or module.__name__
    if module.__name__ == "autograd" or not home.startswith(PACKAGES):
        return None
    top = importlib.import_module("autograd")
    return "autograd" if getattr(top, name, None) is thing and name in top.__all__ else None


def page(module: ModuleType) -> str:
    """The page of one module, in reStructuredText, as its docstrings are."""
    title = module.__name__
    lines = [title, "=" * len(title), "", f".. automodule:: {title}", "   :no-members:", ""]
    rows = []
    described = []
    for name in names_of(module):
        kind = kind_of(module, name)
        if kind == "automodule":
            continue
        home = home_of(module, name)
        thing = getattr(module, name)
        value = f"``{thing!r}``" if kind == "autodata" else prose(summary(thing))
        rows += [f"   * - `{name} <{home or title}.{name}>`", f"     - {value}"]
        if home is None:
            inherited = [] if module.__name__ in BRIDGES else ["   :inherited-members: object"]
            members = ["   :members:", *inherited] if kind == "autoclass" else []
            described += [f".. {kind}:: {title}.{name}", *members, ""]
    table = [".. list-table::", "   :class: names", "   :widths: 25 75", "", *rows, ""]
    return "\n".join([*lines, *table, *described])


def write_pages(app: Sphinx) -> None:
    """Write a page for each public module, and remove those of modules that are gone."""
    folder = Path(app.srcdir) / FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    wanted = {}
    for module in public_modules():
        wanted[folder / f"{module.__name__}.rst"] = page(module)
    for path in set(folder.glob("*.rst")) - wanted.keys():
        path.unlink()
    for path, text in wanted.items():
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")


class Name(PyXRefRole):
    """What stands in single backticks in a docstring: a link if it is the name of something described, else code."""

    def process_link(
        self, env: BuildEnvironment, refnode: Element, has_explicit_title: bool, title: str, target: str
    ) -> tuple[str, str]:
        """Look for the whole name only: `.grad` is an attribute of many classes."""
        refnode["py:module"] = env.ref_context.get("py:module")
        refnode["py:class"] = env.ref_context.get("py:class")
        return title, target if re.fullmatch(r"[\w.]+", target) else " "


def prose(line: str) -> str:
    """A line of a docstring with |x| and *args as they are written; what is in backticks stays."""
    parts = re.split(r"(``[^`]*``|`[^`]*`)", line)
    parts[::2] = [re.sub(r"(?<!\\)\||(?<![\\*\w])\*(?=\w+[),])", r"\\\g<0>", part) for part in parts[::2]]
    return "".join(parts)


def keep_formulas(app: Sphinx, what: str, name: str, thing: Any, options: Any, lines: list[str]) -> None:
    """Keep indented formulas line by line, and bars and stars as they are written."""
    found: list[str] = []
    formulas = False
    for line in lines:
        if not formulas and re.match(r"    +(y = |∂y/∂)", line) and not (found and found[-1].strip()):
            found += ["::", ""]
            formulas = True
        formulas = formulas and (not line.strip() or line.startswith("    "))
        plain = formulas or line.lstrip().startswith((">>>", "..."))
        found.append(line if plain else prose(line))
    lines[:] = found


def skip_others(app: Sphinx, what: str, name: str, thing: Any, skip: bool, options: Any) -> bool | None:
    """Leave out the methods that scikit-learn adds to its estimators by itself."""
    return True if re.fullmatch(r"set_\w+_request", name) else None


def setup(app: Sphinx) -> dict[str, Any]:
    """Write the pages before Sphinx looks for them."""
    app.connect("builder-inited", write_pages)
    app.connect("autodoc-skip-member", skip_others)
    app.connect("autodoc-process-docstring", keep_formulas)
    app.add_role_to_domain("py", "name", Name())
    return {"parallel_read_safe": True, "parallel_write_safe": True}
