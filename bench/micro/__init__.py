"""What single steps of the engine cost, for asv: `make bench-history` measures commits in turn.

Each class is one case; a `time_` method does what it names `count` times or on `count` records.
tests/quality/test_bench.py calls each of them once with a small `count`.
"""
