"""Broker configs of transactions and of the topic of their states.

A part of the table in `broker`; see there. Kafka's `TransactionStateManagerConfig` and
`TransactionLogConfig`.
"""

from __future__ import annotations

from collections.abc import Iterable

from kstore.configs.definitions import Config, ConfigType, at_least

__all__ = ["transactions"]

_INT = ConfigType.INT


def transactions() -> Iterable[Config]:
    """Transactions, and `__transaction_state`."""
    yield Config(
        "transaction.max.timeout.ms",
        _INT,
        900_000,
        "The longest timeout that a transactional producer may ask for.",
        at_least(1),
    )
    yield Config(
        "transactional.id.expiration.ms",
        _INT,
        604_800_000,
        "A transactional id that had no transaction for so long is forgotten.",
        at_least(1),
    )
    yield Config(
        "transaction.abort.timed.out.transaction.cleanup.interval.ms",
        _INT,
        10_000,
        "How often transactions are looked through for those that timed out.",
        at_least(1),
    )
    yield Config(
        "transaction.remove.expired.transaction.cleanup.interval.ms",
        _INT,
        3_600_000,
        "How often transactional ids are looked through for those that expired.",
        at_least(1),
    )
    yield Config(
        "transaction.state.log.num.partitions",
        _INT,
        50,
        "Partitions of __transaction_state. Not to be changed once it exists.",
        at_least(1),
    )
    yield Config(
        "transaction.state.log.replication.factor",
        ConfigType.SHORT,
        3,
        "Replicas of __transaction_state; no more than there are brokers.",
        at_least(1),
    )
    yield Config(
        "transaction.state.log.min.isr",
        _INT,
        2,
        "How many replicas of __transaction_state must have what is written to it; no more than "
        "there are.",
        at_least(1),
    )
    yield Config(
        "transaction.state.log.segment.bytes",
        _INT,
        100 << 20,
        "Segment size of __transaction_state.",
        at_least(1),
    )
