"""Where logs and partitions begin and end, as C values."""

from libc.stdint cimport int32_t, int64_t


cdef class LogEnds:
    cdef public int64_t log_start_offset
    cdef public int64_t log_end_offset
    cdef public object failed
    cdef public bint closed


cdef class PartitionEnds:
    cdef LogEnds ends
    cdef public int32_t leader_epoch
    cdef public int64_t high_watermark
    cdef public int64_t last_stable_offset
    cdef readonly set watchers
