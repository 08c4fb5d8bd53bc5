"""Build the optional C extensions if their sources and a compiler are there; setup.cfg holds the rest."""

import os
import re
import sysconfig
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

SOURCES = {"autograd._value": "autograd/_c/module.c", "autograd.compiler.run._call": "autograd/compiler/run/_call.c"}
if sysconfig.get_config_var("Py_GIL_DISABLED"):
    SOURCES = {}  # free-threaded Python: the C relies on the GIL, and autograd.native.why_python says so
# a * b + c keeps both roundings, as in Python; errno is never read.
FLAGS = {"msvc": ["/std:c11", "/fp:precise"], "unix": ["-ffp-contract=off", "-fno-math-errno"]}
if not re.search(r"(^|\s)-O", os.environ.get("CFLAGS", "")):  # flags from here come last: they would win
    FLAGS["unix"].append("-O3")


class OptionalBuild(build_ext):
    """Build the extensions if possible; otherwise say so and install without them."""

    def run(self) -> None:
        """Build all extensions and report those that could not be built."""
        super().run()
        for extension in self.extensions:
            if not Path(self.get_ext_fullpath(extension.name)).exists():
                self.warn(
                    f"{extension.name} was not built, so scalar-autograd runs in pure Python: the "
                    "same results, more slowly. Install a C compiler and Python's headers (Debian: "
                    "apt-get install gcc python3-dev) and install again to get it."
                )

    def build_extension(self, extension: Extension) -> None:
        """Build one extension, with the flags for this compiler."""
        extension.extra_compile_args = FLAGS.get(self.compiler.compiler_type, FLAGS["unix"])
        super().build_extension(extension)


setup(
    ext_modules=[
        Extension(name, [source], depends=list(map(str, Path(source).parent.glob("*.h"))), optional=True)
        for name, source in SOURCES.items()
        if Path(source).exists()
    ],
    cmdclass={"build_ext": OptionalBuild},
)
