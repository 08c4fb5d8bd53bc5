"""Settings for all tests: how Hypothesis runs them."""

import hypothesis

# A timing is never a test, and a shared machine would make it a random one.
hypothesis.settings.register_profile("scalar-autograd", deadline=None, print_blob=True)
hypothesis.settings.load_profile("scalar-autograd")
