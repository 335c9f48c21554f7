"""Other people's test suites, run against `kstore serve`: who wrote them never heard of us.

`python -m tests.conformance.suites` fetches each suite once, at a pinned version, into the judges'
cache, runs it against a broker of its own, and judges every test by two lists: `allowed/<suite>`
(must pass; the list only grows) and the table of FINDINGS.md (cannot pass, and what outside kstore
it needs). Only tests that reach a broker count, and nothing is rerun until it passes.
"""
