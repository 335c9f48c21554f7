"""The transaction coordinator: which transactions are open, how they end, and that they do end.

`transitions` says what may become of a transaction, functions of values; `shard` decides with them
and sees a decided outcome through to its markers; `coordinator` is the door for requests, and has
the timers.
"""
