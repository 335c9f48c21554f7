"""What groups and transactions share: stored records, partitioning, and the runtime of decisions.

`records` is the only place that knows versions of stored records, `runtime` the only one that
appends them. Neither knows what a group or a transaction is.
"""
