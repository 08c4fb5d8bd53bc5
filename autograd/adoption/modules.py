"""Private copies of modules: an import system of its own, in which some modules have other answers."""

from __future__ import annotations

import ast
import builtins
import importlib.util
import marshal
import sys
import warnings
from collections.abc import Iterable, Sequence
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

from autograd import storage
from autograd.adoption import answers
from autograd.adoption.errors import AdoptionError
from autograd.adoption.rewrite import rewritten
from autograd.adoption.stand_ins import is_answered, over_statistics, stand_in
from autograd.modes import caller

SOURCES_OF_PYTHON = frozenset({"colorsys", "statistics"})  # pure Python, and adopted wherever they are imported


class Adopted:
    """Private copies of all modules of some packages; each is made when it is first imported."""

    def __init__(self, packages: Iterable[str], without: Iterable[str], keep: Iterable[str]) -> None:
        self.packages = frozenset(packages) | SOURCES_OF_PYTHON
        self.without, self.keep = tuple(without), tuple(keep)
        self.modules: dict[str, ModuleType] = {}
        self.builtins = {**answers.namespace(), "__import__": self.import_}

    def import_(
        self,
        name: str,
        globals: Any = None,  # noqa: A002  # the names of `__import__`
        locals: Any = None,  # noqa: A002
        fromlist: Sequence[str] | None = (),
        level: int = 0,
    ) -> Any:
        """The `__import__` of adopted code."""
        full = importlib.util.resolve_name("." * level + name, (globals or {}).get("__package__")) if level else name
        if _is_below(full, self.without):
            raise ModuleNotFoundError(f"No module named {full!r}: it is adopted without it", name=full)
        if not self.takes(full):
            return builtins.__import__(name, globals, locals, fromlist or (), level)
        module = self.load(full)
        if not fromlist:
            return module if level and not name else self.load(full.partition(".")[0]) if not level else module
        self.load_named(module, fromlist)
        return module

    def takes(self, name: str) -> bool:
        """Whether a module is answered here, and not by Python."""
        if is_answered(name):
            return True
        return name.partition(".")[0] in self.packages and not _is_below(name, self.keep)

    def load_named(self, module: ModuleType, names: Sequence[str]) -> None:
        """Load those of the names that are modules of a package: ``from package import name``."""
        if not hasattr(module, "__path__"):
            return
        if "*" in names:
            names = [*[name for name in names if name != "*"], *getattr(module, "__all__", ())]
        for name in names:
            full = f"{module.__name__}.{name}"
            if not hasattr(module, name) and not _is_below(full, self.without):
                if _is_below(full, self.keep):
                    setattr(module, name, importlib.import_module(full))
                elif self.find(full, module.__path__) is not None:
                    self.load(full)

    def load(self, name: str) -> ModuleType:
        """The private copy of a module, and of the packages around it."""
        if is_answered(name):
            answered: ModuleType = stand_in(name)
            return answered
        if name in self.modules:
            return self.modules[name]
        package, _, own = name.rpartition(".")
        parent = self.load(package) if package else None
        if name in self.modules:  # the package has imported it
            return self.modules[name]
        if _is_below(name, self.keep):
            return importlib.import_module(name)
        if parent is not None and not hasattr(parent, "__path__"):
            raise ModuleNotFoundError(f"No module named {name!r}; {package!r} is not a package", name=name)
        spec = self.find(name, None if parent is None else parent.__path__)
        if spec is None:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        module = self.execute(spec, parent, own)
        if name == "statistics":
            vars(module).update(over_statistics())
        return module

    def find(self, name: str, path: Any) -> ModuleSpec | None:
        """Where a module is, found without importing anything."""
        for finder in sys.meta_path:
            spec = finder.find_spec(name, path, None) if hasattr(finder, "find_spec") else None
            if spec is not None:
                return spec
        return None

    def execute(self, spec: ModuleSpec, parent: ModuleType | None, own: str) -> ModuleType:
        """Run the source of a module in a new namespace."""
        module = ModuleType(spec.name)
        names = {
            "__builtins__": self.builtins,
            "__spec__": spec,
            "__loader__": spec.loader,
            "__package__": spec.name if spec.submodule_search_locations is not None else spec.parent,
        }
        vars(module).update(names)
        if spec.submodule_search_locations is not None:
            module.__path__ = list(spec.submodule_search_locations)
        if spec.has_location:
            module.__file__ = spec.origin
        namespace = spec.loader is None or spec.origin is None
        code = None if namespace else compiled(spec)
        self.modules[spec.name] = module
        if parent is not None:
            setattr(parent, own, module)  # before it is complete: circular imports find it here, not in sys.modules
        try:
            if code is not None:
                exec(code, vars(module))
        except BaseException:
            self.modules.pop(spec.name, None)
            if parent is not None:
                vars(parent).pop(own, None)
            raise
        return self.modules[spec.name]


def compiled(spec: ModuleSpec) -> Any:
    """The rewritten code of a module, from its source."""
    loader: Any = spec.loader
    source = loader.get_source(spec.name) if hasattr(loader, "get_source") else None
    if source is None:
        line = caller(source=True)
        raise AdoptionError(
            f"{spec.name} ({spec.origin}), imported at {line}, is compiled or built in, and has no Python source that "
            f"could be adopted: if the package works without it, pass without=({spec.name!r},); to use it as it is, on "
            f"plain numbers only, keep=({spec.name!r},)",
            name=spec.name,
        )
    file = spec.origin or f"<{spec.name}>"
    key = "adopted", source, file, sys.version, str(sys.flags.optimize)
    entry = storage.entry(*key, made_by=("adoption/rewrite", "refusals"))
    kept = None if entry is None else storage.read(entry)
    if kept is not None:
        return marshal.loads(kept)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of old escapes in texts: the package's own matter
        code = compile(rewritten(ast.parse(source, file)), file, "exec", dont_inherit=True)
    if entry is not None:
        storage.write(entry, marshal.dumps(code))
    return code


def _is_below(name: str, packages: Iterable[str]) -> bool:
    """Whether a module is one of these packages, or inside one."""
    return any(name == package or name.startswith(f"{package}.") for package in packages)
