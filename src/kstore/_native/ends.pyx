"""What a fetch asks about a partition before it reads anything: where it begins and ends.

A log and a partition *are* these values (they inherit them), so that a request for a thousand
partitions, of which most have nothing new, looks at them in one native loop. Owned and changed by
`log/` and `broker/partition.py`; no rule stands here. Thread: the loop.
"""

__all__ = ["LogEnds", "PartitionEnds"]


cdef class LogEnds:
    """Offsets of a log, and whether it can be read at all: it has not `failed` and is not `closed`."""


cdef class PartitionEnds:
    """How far a partition may be read, by whom, and who waits for that to change (`watchers`)."""

    def __cinit__(self):
        self.watchers = set()

    def __init__(self, LogEnds log not None):
        self.ends = log
