"""Producers of one partition: sequences, epochs, open transactions and their snapshots."""

from kstore.log.producers.entry import ProducerEntry
from kstore.log.producers.snapshot import CorruptSnapshotError, decode_snapshot, encode_snapshot
from kstore.log.producers.states import Duplicate, ProducerStates
from kstore.log.producers.transactions import CompletedTransaction
from kstore.log.producers.verification import Verification

__all__ = [
    "CompletedTransaction",
    "CorruptSnapshotError",
    "Duplicate",
    "ProducerEntry",
    "ProducerStates",
    "Verification",
    "decode_snapshot",
    "encode_snapshot",
]
