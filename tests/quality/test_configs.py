"""Every broker config in the table is read by code: none is taken and then does nothing."""

from __future__ import annotations

import ast
from dataclasses import fields

import pytest

from kstore.configs import (
    BROKER_CONFIGS,
    TOPIC_CONFIGS,
    GroupConfig,
    LogConfig,
    NetworkConfig,
    TopicDefaults,
)
from tests.quality.tree import ROOT, code_files, parse

CONFIGS = ROOT / "src" / "kstore" / "configs"
TABLES = (CONFIGS / "broker.py", CONFIGS / "topic.py")
VALUE_CLASSES = (GroupConfig, LogConfig, NetworkConfig, TopicDefaults)

SOURCES = [
    path
    for path in code_files(".py")
    if path.is_relative_to(ROOT / "src") or path.is_relative_to(ROOT / "server")
]
STRINGS = {
    node.value
    for path in SOURCES
    if path not in TABLES
    for node in ast.walk(parse(path))
    if isinstance(node, ast.Constant) and isinstance(node.value, str)
}
ATTRIBUTES = {
    node.attr
    for path in SOURCES
    if not path.is_relative_to(CONFIGS)
    for node in ast.walk(parse(path))
    if isinstance(node, ast.Attribute)
}
FIELDS = {field.name for one in VALUE_CLASSES for field in fields(one)}


def is_read(name: str) -> bool:
    """By its own name, as a field of a value, or as the default of such a topic config."""
    if name in STRINGS or is_field_read(name):
        return True
    return any(
        name in (synonym.name for synonym in topic.synonyms)
        and (topic.name in STRINGS or is_field_read(topic.name))
        for topic in TOPIC_CONFIGS.values()
    )


def is_field_read(name: str) -> bool:
    field = name.replace(".", "_")
    return field in FIELDS and field in ATTRIBUTES


@pytest.mark.parametrize("name", sorted(BROKER_CONFIGS))
def test_a_config_is_read(name: str) -> None:
    assert is_read(name)


@pytest.mark.parametrize("name", sorted(FIELDS))
def test_a_field_of_a_value_is_read(name: str) -> None:
    assert name in ATTRIBUTES


def test_a_config_that_nothing_reads_is_caught() -> None:
    assert not is_read("num.partitions.of.the.moon")
    assert not is_field_read("errors")
