"""Settings for all tests: how Hypothesis runs them, and where the programs are that some of them run."""

import sys
from pathlib import Path

import hypothesis

sys.path += [str(Path(__file__).parents[1] / folder) for folder in ("benchmarks", "notebooks")]

# No deadlines: a timing is never a test, and on a shared machine it would fail at random. The same examples
# are drawn in every run, so that results change only with the code; `--hypothesis-profile=fresh` draws new ones.
hypothesis.settings.register_profile("scalar-autograd", deadline=None, derandomize=True)
hypothesis.settings.register_profile("fresh", deadline=None, print_blob=True)
hypothesis.settings.load_profile("scalar-autograd")
