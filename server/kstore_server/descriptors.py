"""File descriptors, which connections and the log's files share.

At start the limit rises to what the system allows, as a JVM does for Kafka. Its last tenth, and at
least MIN_KEPT, is for files: a crowd of clients is turned away before no segment can be opened.
Thread: any.
"""

from __future__ import annotations

import logging
import resource

__all__ = ["kept_for_files", "raise_limit"]

MIN_KEPT = 128

log = logging.getLogger("kstore.descriptors")


def raise_limit() -> None:
    """Raises the soft limit of open files to the hard one. If it can't, the old one stays."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == hard:
        return
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    except (OSError, ValueError) as error:
        log.warning("limit of open files not raised limit=%d reason=%s", soft, error)
        return
    log.info("limit of open files raised from=%d to=%d", soft, hard)


def kept_for_files(descriptor: int) -> bool:
    """Whether a descriptor just opened is beyond what connections may take.

    The system gives the lowest free number, so all below it are in use.
    """
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    kept = max(limit // 10, min(MIN_KEPT, limit // 2))
    return limit != resource.RLIM_INFINITY and descriptor >= limit - kept
