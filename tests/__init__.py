"""Makes `tests.…` importable, so that the rooms of the tests can share their support code."""

import pytest

pytest.register_assert_rewrite(
    "tests.conformance.support", "tests.conformance.judges", "tests.faults"
)
