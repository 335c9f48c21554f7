"""The engine: one partition's log, and the store of all logs of a data directory.

`log` is the log itself and `store` the directory; the other modules are their parts. Each log is
called on one thread.
"""
