"""Makes `tests.…` importable, so that the rooms of the tests can share their support code."""
