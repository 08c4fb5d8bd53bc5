"""Settings for all tests: how Hypothesis runs them, and where the programs lie that some of them run."""

import sys
from pathlib import Path

import hypothesis

sys.path += [str(Path(__file__).parents[1] / folder) for folder in ("benchmarks", "notebooks")]

# A timing is never a test, and a shared machine would make it a random one: there is no deadline. The same examples
# are drawn in every run, so that a change is judged by the change; `--hypothesis-profile=fresh` draws new ones.
hypothesis.settings.register_profile("scalar-autograd", deadline=None, derandomize=True)
hypothesis.settings.register_profile("fresh", deadline=None, print_blob=True)
hypothesis.settings.load_profile("scalar-autograd")
