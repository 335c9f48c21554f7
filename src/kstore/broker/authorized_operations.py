"""What clients are told they may do: everything, as in Kafka where there is no authorizer.

Bits by the codes of Kafka's `AclOperation`.
"""

from __future__ import annotations

__all__ = ["ALL_CLUSTER_OPERATIONS", "ALL_TOPIC_OPERATIONS"]

ALL_TOPIC_OPERATIONS = 0b1101_1111_1000
"""read 3, write 4, create 5, delete 6, alter 7, describe 8, describe_configs 10,
alter_configs 11."""
ALL_CLUSTER_OPERATIONS = 0b1_1111_1010_0000
"""create 5, alter 7, describe 8, cluster_action 9, describe_configs 10, alter_configs 11,
idempotent_write 12."""
