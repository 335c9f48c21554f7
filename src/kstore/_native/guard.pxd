"""Work on a file map that a failing disk can't end the process with: the C of guard.h as a call.

Each module that cimports this has a handler of its own, which hands on what is not for it.
"""

from libc.errno cimport EINVAL, EIO

cdef extern from "guard.h" nogil:
    int kstore_guard_install()
    int kstore_guarded(void (*work)(void *) noexcept nogil, void *arguments)


cdef inline int guarded(void (*work)(void *) noexcept nogil, void *arguments) except -1:
    """Runs `work`, which is plain C on borrowed bytes. OSError if it met bytes that are not there."""
    if kstore_guard_install() != 0:
        raise OSError(EINVAL, "no handler for SIGBUS could be installed")
    if kstore_guarded(work, arguments) != 0:
        raise OSError(EIO, "the disk failed under a mapped file")
    return 0
