"""ES modules as one module: a page and a widget take the viewer's JavaScript in one piece."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

_STATEMENT = re.compile(r"^[ \t]*(?:import|export)\b.*$", re.MULTILINE)
_IMPORT = re.compile(r'import \{([\w$\s,]+)\} from "\./(\w+\.js)";[ \t]*$', re.MULTILINE)
_EXPORT = re.compile(r"export (?=(?:class|function|const) ([\w$]+))")
_DYNAMIC = re.compile(r"\bimport\s*[.(]")
_ENDS_A_SCRIPT = re.compile(r"</script|<!--", re.IGNORECASE)
KNOWN = 'import { names } from "./file.js"; export class, function or const; and in the first module export default'


@dataclass
class _Module:
    """One file: its code without imports and exports, and what these said."""

    path: Path
    code: str
    imports: dict[Path, list[str]]
    exports: list[str]

    @property
    def name(self) -> str:
        """What the module is called in the bundle."""
        return f"${self.path.stem}"


def bundle(entry: Path) -> str:
    """A module and all that it imports, as one module with the same exports.

    Every imported module becomes a function that is called once and returns its exports. So modules have scopes of
    their own, and two of them may use the same name.

    Parameters
    ----------
    entry : Path
        The first module. Modules that it imports lie in the same folder.

    Returns
    -------
    str
        JavaScript that may stand in a script element of a page.

    Raises
    ------
    ValueError
        If an import or export has another form than `KNOWN` says, a module or an imported name does not exist,
        modules import one another in a circle, or the code could end the script element.
    """
    modules = _in_order(entry)
    parts = []
    for module in modules.values():
        lines = [f"const {{ {', '.join(names)} }} = {modules[path].name};" for path, names in module.imports.items()]
        code = "\n".join([*lines, module.code.strip()])
        if module.path != entry:
            code = f"const {module.name} = (() => {{\n{code}\nreturn {{ {', '.join(module.exports)} }};\n}})();"
        parts.append(code)
    text = "\n\n".join(parts) + "\n"
    if found := _ENDS_A_SCRIPT.search(text):
        raise ValueError(f"{found[0]!r} in the JavaScript could end the script element of a page: split the string")
    return text


def _in_order(entry: Path) -> dict[Path, _Module]:
    """The module and all that it imports, each after those that it imports."""
    done: dict[Path, _Module] = {}

    def visit(path: Path, users: tuple[Path, ...]) -> None:
        if path in users:
            circle = " → ".join([p.name for p in (*users[users.index(path) :], path)])
            raise ValueError(f"modules import one another in a circle: {circle}")
        if path in done:
            return
        module = _read(path, is_entry=not users)
        for imported, names in module.imports.items():
            if not imported.is_file():
                raise ValueError(f"{path.name} imports {imported.name}, and there is no such file")
            visit(imported, (*users, path))
            if missing := [name for name in names if name not in done[imported].exports]:
                raise ValueError(f"{path.name} imports {', '.join(missing)}, which {imported.name} does not export")
        done[path] = module

    visit(entry, ())
    return done


def _read(path: Path, is_entry: bool) -> _Module:
    """Take imports and exports out of a module; the entry's exports stay, for they are those of the bundle."""
    text = path.read_text(encoding="utf-8")
    imports: dict[Path, list[str]] = {}
    exports: list[str] = []
    code, end = [], 0
    for statement in _STATEMENT.finditer(text):
        start = statement.start()
        if start < end:  # a line within an import
            continue
        if found := _IMPORT.match(text, start):
            imported = path.with_name(found[2])
            imports.setdefault(imported, []).extend(name.strip() for name in found[1].split(",") if name.strip())
            code.append(text[end:start])
            end = found.end()
        elif found := _EXPORT.match(text, start):
            exports.append(found[1])
            code.append(text[end:start])
            end = start if is_entry else found.end()
        elif not (is_entry and statement[0].startswith("export default ")):
            raise _unknown(path, text, start)
    if found := _DYNAMIC.search(text):
        raise _unknown(path, text, found.start())
    return _Module(path, "".join([*code, text[end:]]), imports, exports)


def _unknown(path: Path, text: str, at: int) -> ValueError:
    number = text.count("\n", 0, at) + 1
    line = text.splitlines()[number - 1].strip()
    return ValueError(f"{path.name}, line {number}: {line!r} is not bundled; what is known: {KNOWN}")
