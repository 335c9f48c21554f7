"""The group coordinator: classic consumer groups and their offsets.

`GroupCoordinator` (in `coordinator`) is the only door; it takes and gives the values of `values`.
Behind it stand one `Shard` per partition of `__consumer_offsets`, one `ClassicGroup` per group,
and plain functions that decide what an event leads to: `join`, `sync`, `leave`, `rebalance`,
`offsets`.
"""
