"""Build the site: `python tools/build_site.py`, then open build/site/index.html.

Sphinx writes the pages and treats each warning as an error. The playground's parts come from the npm registry, in the
versions of docs/playground/package-lock.json. At the end every link is followed; nothing may be loaded from elsewhere.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

from check_site import check

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "docs" / "playground"
FROM_PYODIDE = ("pyodide.mjs", "pyodide.asm.mjs", "pyodide.asm.wasm", "python_stdlib.zip", "pyodide-lock.json")
ABSENT = """<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>No playground in this copy</title>
<p>This copy of the site was built without the playground (<code>--without-playground</code>).</p>
<p><a href="../index.html">To the site</a></p>
</html>
"""


def fetch_packages(work: Path) -> Path:
    """Install the npm packages of the playground, in the locked versions; the folder that holds them."""
    npm = shutil.which("npm")
    if npm is None:
        raise SystemExit(
            "npm was not found: the playground's parts (Pyodide, Graphviz) come from the npm registry. Install it (on "
            "Debian: apt-get install npm), or leave the playground out: python tools/build_site.py --without-playground"
        )
    work.mkdir(parents=True, exist_ok=True)
    for name in ("package.json", "package-lock.json"):
        shutil.copy2(SOURCE / name, work)
    command = [npm, "ci", "--prefer-offline", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
    done = subprocess.run(command, cwd=work, check=False)
    if done.returncode != 0:
        raise SystemExit(f"npm ci failed in {work}: without a network, build with --without-playground")
    return work / "node_modules"


def write_engine(path: Path) -> None:
    """Put the engine's Python files into an archive that Pyodide unpacks."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for package in ("autograd", "nn"):
            for file in sorted((ROOT / package).rglob("*.py")):
                if "compiler" not in file.parts:  # LLVM does not run in a browser
                    archive.write(file, file.relative_to(ROOT))
        for file in sorted(SOURCE.glob("*.py")):
            archive.write(file, file.name)


def build_playground(target: Path, packages: Path) -> None:
    """Write the playground into a folder: its own files, the engine, the viewer, Pyodide and Graphviz."""
    sys.path.insert(0, str(ROOT))
    from autograd.view.page import script, style

    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    for file in SOURCE.iterdir():
        if file.suffix in (".html", ".css", ".js"):
            shutil.copy2(file, target)
    shutil.copy2(ROOT / "docs" / "static" / "icon.svg", target)
    (target / "viewer.css").write_text(style(), encoding="utf-8")
    (target / "viewer.js").write_text(script(), encoding="utf-8")
    write_engine(target / "engine.zip")
    (target / "pyodide").mkdir()
    for name in FROM_PYODIDE:
        shutil.copy2(packages / "pyodide" / name, target / "pyodide")
    shutil.copy2(packages / "@hpcc-js" / "wasm-graphviz" / "dist" / "index.js", target / "graphviz.js")
    node = shutil.which("node")
    if node is None:
        raise SystemExit("node was not found: it comes with npm (on Debian: apt-get install npm)")
    snapshot = [SOURCE / "snapshot.mjs", packages / "pyodide", target / "engine.zip", target / "snapshot.gz"]
    subprocess.run([node, *snapshot], check=True)


def build_pages(target: Path) -> None:
    """Let Sphinx write the pages; any warning ends the build."""
    command = [sys.executable, "-m", "sphinx", "-b", "html", "-E", "-a", "-n", "-W", "--keep-going", "-q"]
    done = subprocess.run(
        [*command, "-d", target.with_name(f"{target.name}-doctrees"), ROOT / "docs", target], check=False
    )
    if done.returncode != 0:
        raise SystemExit("Sphinx found mistakes: see above. Its extensions are installed by pip install -e '.[docs]'")


def main() -> None:
    """Build what the command line asks for."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--output", type=Path, default=ROOT / "build" / "site", help="the folder to write")
    parser.add_argument("--without-playground", action="store_true", help="leave out what needs npm")
    parser.add_argument("--only-playground", action="store_true", help="leave the pages as they are")
    chosen = parser.parse_args()
    target = chosen.output.resolve()
    packages = None if chosen.without_playground else fetch_packages(target.with_name(f"{target.name}-npm"))
    if not chosen.only_playground:
        shutil.rmtree(target, ignore_errors=True)
        build_pages(target)
    if packages is not None:
        build_playground(target / "playground", packages)
    else:
        (target / "playground").mkdir(exist_ok=True)
        (target / "playground" / "index.html").write_text(ABSENT, encoding="utf-8")
        print("The playground was left out, as --without-playground says.")
    if not chosen.only_playground and (mistakes := check(target)):
        raise SystemExit("\n".join([*mistakes, f"{len(mistakes)} mistakes in the links of the site"]))
    print(f"The site is in {target}: open index.html there.")
    print(f"The playground needs a server: python -m http.server --directory {target}")


if __name__ == "__main__":
    main()
