"""Settings shared by all tests: double precision by default and reproducible property tests in CI."""

import os

import hypothesis
import jax

jax.config.update("jax_enable_x64", True)  # tests of float32 ask for that dtype themselves

# The first example of a test compiles, so a deadline would measure the compiler.
hypothesis.settings.register_profile("default", deadline=None)
hypothesis.settings.register_profile("ci", deadline=None, derandomize=True, print_blob=True)
hypothesis.settings.load_profile("ci" if os.environ.get("CI") else "default")
