"""What can be configured: the one table of configs, and the small values made from it.

`load` turns the text of a `server.properties` into `Settings`; the builders (`log_config`,
`group_config`, ...) turn those into frozen values, which is all that the other rooms see of
configuration. Names, types, ranges and messages are Kafka's (4.3).

Two rules: `BROKER_CONFIGS` lists only what some code reads, so a config that would do nothing is
warned about and not silently taken; `TOPIC_CONFIGS` lists every topic config that Kafka knows,
because a client may set it on a topic and expects to find it again.

Everything here is immutable and may be used from any thread.
"""

from __future__ import annotations

from kstore.configs.broker import BROKER_CONFIGS
from kstore.configs.changes import (
    ConfigOperation,
    ConfigOperationType,
    change_broker_configs,
    change_topic_configs,
    replace_broker_configs,
    replace_topic_configs,
)
from kstore.configs.definitions import Config, ConfigError, ConfigType, ConfigValue, Synonym
from kstore.configs.describe import (
    ConfigEntry,
    ConfigSource,
    ConfigSynonym,
    describe_broker_configs,
    describe_cluster_defaults,
    describe_topic_configs,
)
from kstore.configs.listeners import Listener, advertised_listeners, listeners
from kstore.configs.properties import parse_properties
from kstore.configs.settings import (
    Settings,
    data_directories,
    group_config,
    load,
    log_config,
    network_config,
    topic_defaults,
    transaction_config,
)
from kstore.configs.topic import TOPIC_CONFIGS, check_topic_configs
from kstore.configs.values import (
    GroupConfig,
    LogConfig,
    NetworkConfig,
    TopicDefaults,
    TransactionConfig,
)

__all__ = [
    "BROKER_CONFIGS",
    "TOPIC_CONFIGS",
    "Config",
    "ConfigEntry",
    "ConfigError",
    "ConfigOperation",
    "ConfigOperationType",
    "ConfigSource",
    "ConfigSynonym",
    "ConfigType",
    "ConfigValue",
    "GroupConfig",
    "Listener",
    "LogConfig",
    "NetworkConfig",
    "Settings",
    "Synonym",
    "TopicDefaults",
    "TransactionConfig",
    "advertised_listeners",
    "change_broker_configs",
    "change_topic_configs",
    "check_topic_configs",
    "data_directories",
    "describe_broker_configs",
    "describe_cluster_defaults",
    "describe_topic_configs",
    "group_config",
    "listeners",
    "load",
    "log_config",
    "network_config",
    "parse_properties",
    "replace_broker_configs",
    "replace_topic_configs",
    "topic_defaults",
    "transaction_config",
]
