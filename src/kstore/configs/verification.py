"""The broker configs of what stands between a transaction's first batch and the log (KIP-890)."""

from __future__ import annotations

from collections.abc import Iterable

from kstore.configs.definitions import Config, ConfigType, at_least

__all__ = ["verification"]


def verification() -> Iterable[Config]:
    yield Config(
        "transaction.partition.verification.enable",
        ConfigType.BOOLEAN,
        True,
        "Before the first batch of a transaction is written, its coordinator is asked whether the "
        "partition is part of the transaction.",
        dynamic=True,
    )
    yield Config(
        "add.partitions.to.txn.retry.backoff.ms",
        ConfigType.INT,
        20,
        "The pause before a produce asks again to be added to a transaction, while the producer's "
        "last one is still being ended.",
        at_least(1),
    )
    yield Config(
        "add.partitions.to.txn.retry.backoff.max.ms",
        ConfigType.INT,
        100,
        "For how long a produce asks again.",
        at_least(0),
    )
