"""What groups and transactions share: stored records, partitioning, and the runtime of decisions.

`records` (groups) and `transaction_records` are the only places that know versions of stored
records, `runtime` the only one that appends them; `shards` knows which partitions are loaded. None
knows what a group or a transaction is.
"""
