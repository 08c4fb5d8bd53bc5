"""Settings for all tests: how Hypothesis runs them, and where the programs lie that some of them run."""

import sys
from pathlib import Path

import hypothesis

sys.path += [str(Path(__file__).parents[1] / folder) for folder in ("benchmarks", "notebooks")]

# A timing is never a test, and a shared machine would make it a random one.
hypothesis.settings.register_profile("scalar-autograd", deadline=None, print_blob=True)
hypothesis.settings.load_profile("scalar-autograd")
