"""Requests out of a stream of bytes, and their headers.

A frame is a 4-byte size and that many bytes:

    | size int32 | api_key int16 | api_version int16 | correlation_id int32 | client_id … | body …

`FrameReader` owns no memory while its connection is idle: all connections of a loop receive into
one shared buffer, and only a request that has not arrived whole is moved into a buffer of its own,
of exactly its size. A frame handed out is a view into one of the two and is valid until the loop
runs again. Thread: the loop.
"""

from cpython.buffer cimport PyBUF_SIMPLE, PyBuffer_Release, PyObject_GetBuffer
from cpython.bytearray cimport PyByteArray_AS_STRING, PyByteArray_FromStringAndSize
from libc.stdint cimport int32_t
from libc.string cimport memcpy

from kstore._native.big_endian cimport load32
from kstore._native.cursor cimport (
    Cursor, cursor_over, read_int16, read_int32, read_nullable_string, skip_tags,
)

from kstore._native.codec import DecodeError


cdef class FrameReader:
    """Cuts what a socket receives into frames.

    The connection asks `buffer()` for room, says `received(size)`, takes frames with `next()`
    until it gives None or the connection wants no more for now, and ends with `park()`.
    """

    cdef readonly Py_ssize_t max_size
    cdef object _shared_owner
    cdef object _shared
    cdef object _own_owner
    cdef object _own
    cdef object _source
    cdef const unsigned char *_data
    cdef Py_ssize_t _position
    cdef Py_ssize_t _end

    def __cinit__(self, bytearray shared, Py_ssize_t max_size):
        """`shared`: the loop's receive buffer. `max_size`: socket.request.max.bytes."""
        self.max_size = max_size
        self._shared_owner = shared
        self._shared = memoryview(shared)
        self._own_owner = None
        self._own = None
        self._position = 0
        self._end = 0

    def buffer(self):
        """Where the socket may write next; never empty."""
        if self._own is None:
            return self._shared
        return self._own[self._end:]

    def received(self, Py_ssize_t size):
        """Takes note that `size` bytes were written into `buffer()`."""
        cdef Py_ssize_t room
        if self._own is None:
            room = len(<bytearray>self._shared_owner)
        else:
            room = len(<bytearray>self._own_owner) - self._end
        if size < 0 or size > room:
            raise ValueError(f"{size} bytes can't have been written into {room}")
        if self._own is None:
            self._source = self._shared
            self._data = <const unsigned char *>PyByteArray_AS_STRING(self._shared_owner)
            self._position = 0
            self._end = size
        else:
            self._source = self._own
            self._data = <const unsigned char *>PyByteArray_AS_STRING(self._own_owner)
            self._end += size

    cdef Py_ssize_t _frame_size(self) except -2:
        """The size of the frame at the position, or -1 if its size is not there yet."""
        cdef int32_t size
        if self._end - self._position < 4:
            return -1
        size = load32(self._data + self._position)
        if size < 0 or size > self.max_size:
            raise DecodeError(
                f"a request of {size} bytes; socket.request.max.bytes is {self.max_size}", 0
            )
        return size

    def next(self):
        """The next whole frame without its size, as a view; None if there is none."""
        cdef Py_ssize_t size = self._frame_size()
        cdef Py_ssize_t start = self._position + 4
        if size < 0 or self._end - start < size:
            return None
        self._position = start + size
        return self._source[start:start + size]

    def park(self):
        """Keeps what was not taken, in a buffer of its own with room for the frame it begins."""
        cdef Py_ssize_t left = self._end - self._position
        cdef Py_ssize_t size
        cdef object owner
        if left == 0:
            self._own = self._own_owner = self._source = None
            self._position = self._end = 0
            return
        size = self._frame_size()
        if self._own is not None and self._position == 0 and self._end < len(self._own):
            return  # the same frame, still arriving
        size = 4 + size if 4 + size > left else left + 1
        owner = PyByteArray_FromStringAndSize(NULL, max(size, 4))
        memcpy(PyByteArray_AS_STRING(owner), self._data + self._position, left)
        self._own_owner = owner
        self._own = self._source = memoryview(owner)
        self._data = <const unsigned char *>PyByteArray_AS_STRING(owner)
        self._position = 0
        self._end = left


def parse_prefix(frame):
    """`(api_key, api_version, correlation_id)` of a frame."""
    cdef Py_buffer buffer
    cdef Cursor cursor
    PyObject_GetBuffer(frame, &buffer, PyBUF_SIMPLE)
    try:
        cursor = cursor_over(&buffer, 0, False)
        key = read_int16(&cursor)
        version = read_int16(&cursor)
        correlation_id = read_int32(&cursor)
    finally:
        PyBuffer_Release(&buffer)
    if cursor.failed:
        raise DecodeError("a request shorter than its header", cursor.position)
    return key, version, correlation_id


def parse_client_id(frame, bint flexible):
    """`(client_id, position of the body)` of a frame; header version 1, or 2 if `flexible`."""
    cdef Py_buffer buffer
    cdef Cursor cursor
    PyObject_GetBuffer(frame, &buffer, PyBUF_SIMPLE)
    try:
        cursor = cursor_over(&buffer, 8, False)
        client_id = read_nullable_string(&cursor)  # never compact: KIP-482
        cursor.flexible = flexible
        skip_tags(&cursor)
    finally:
        PyBuffer_Release(&buffer)
    if cursor.failed:
        raise DecodeError("a malformed request header", cursor.position)
    return client_id, cursor.position
