"""Bytes at C speed: batches, records, segments, indexes, frames and messages.

No policy, no system call and no version number in here; each module tells its invariants.
"""
