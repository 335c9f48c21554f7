"""The table of configs against Kafka's words, and the way from text to values."""

from __future__ import annotations

import json
from dataclasses import fields
from pathlib import Path

import pytest

from kstore.configs import (
    BROKER_CONFIGS,
    TOPIC_CONFIGS,
    ConfigError,
    ConfigSource,
    GroupConfig,
    Listener,
    LogConfig,
    NetworkConfig,
    TopicDefaults,
    advertised_listeners,
    check_topic_configs,
    data_directories,
    describe_topic_configs,
    group_config,
    listeners,
    load,
    log_config,
    network_config,
    parse_properties,
    topic_defaults,
)
from kstore.errors import ErrorCode, KafkaError

GOLDEN = json.loads(
    (Path(__file__).parents[1] / "golden" / "topic-configs.json").read_text(encoding="utf-8")
)


def refusal(overrides: dict[str, str | None]) -> str | None:
    """Why a topic may not have these configs, None if it may."""
    try:
        check_topic_configs(overrides)
    except KafkaError as error:
        return error.message
    return None


class TestTopicConfigs:
    def test_the_table_holds_exactly_the_names_kafka_knows_and_ours(self):
        ours = {name for name in TOPIC_CONFIGS if name.startswith("kstore.")}
        assert set(GOLDEN["refused"]) - set(TOPIC_CONFIGS) == {"", "no.such.config"}
        assert set(TOPIC_CONFIGS) - ours <= set(GOLDEN["refused"])

    @pytest.mark.parametrize("name", sorted(GOLDEN["refused"]))
    def test_each_value_is_judged_in_kafkas_words(self, name):
        expected = dict.fromkeys(GOLDEN["values"])
        for template, values in GOLDEN["refused"][name].items():
            for value in values:
                expected[value] = template.replace("{name}", name).replace("{value}", value)
        for value, message in expected.items():
            ours = refusal({name: value})
            if message is not None and "E" in message.split(" for ")[0]:
                # Java writes large doubles its own way; what counts is the refusal.
                assert ours is not None
                continue
            assert ours == message, value

    def test_a_refusal_has_kafkas_code(self):
        with pytest.raises(KafkaError) as caught:
            check_topic_configs({"segment.bytes": "abc"})
        assert caught.value.code is ErrorCode.INVALID_CONFIG

    def test_defaults_are_accepted_as_text(self):
        for config in TOPIC_CONFIGS.values():
            text = config.format(config.default)
            if text is not None:
                assert config.parse(text) == config.default

    def test_missing_values_are_named(self):
        message = refusal({"retention.ms": None, "flush.ms": "1", "segment.ms": None})
        assert message == "Null value not supported for topic configs: retention.ms,segment.ms"

    def test_contradicting_lags(self):
        message = refusal({"min.compaction.lag.ms": "5", "max.compaction.lag.ms": "4"})
        assert message == (
            "conflict topic config setting min.compaction.lag.ms (5) > max.compaction.lag.ms (4)"
        )

    def test_a_value_longer_than_kafka_keeps(self):
        assert refusal({"cleanup.policy": "," * 32_768}) == (
            "The configuration value cannot be added because it exceeds the maximum value size of "
            "32767 bytes."
        )

    def test_a_very_long_number_is_refused_without_reading_it(self):
        message = refusal({"retention.ms": "9" * 30_000})
        assert message is not None
        assert message.endswith("Not a number of type LONG")


class TestLoad:
    def test_without_settings_every_value_is_the_default_of_its_class(self):
        settings = load({})
        assert log_config(settings) == LogConfig()
        assert group_config(settings) == GroupConfig()
        assert network_config(settings) == NetworkConfig()
        assert topic_defaults(settings) == TopicDefaults()
        assert settings.unknown == ()
        assert set(settings) == set(BROKER_CONFIGS)

    def test_values_are_typed(self):
        settings = load(
            {
                "num.partitions": " 7 ",
                "auto.create.topics.enable": "False",
                "log.cleanup.policy": "compact, delete",
                "broker.rack": "west",
            }
        )
        assert settings["num.partitions"] == 7
        assert settings["auto.create.topics.enable"] is False
        assert settings["log.cleanup.policy"] == ("compact", "delete")
        assert settings["broker.rack"] == "west"
        assert settings.given["num.partitions"] == " 7 "

    def test_unknown_names_are_collected(self):
        settings = load({"num.network.threads": "8", "num.partitions": "2", "nonsense": ""})
        assert settings.unknown == ("num.network.threads", "nonsense")

    @pytest.mark.parametrize(
        ("name", "text", "reason"),
        [
            ("num.partitions", "0", "Value must be at least 1"),
            ("log.segment.bytes", "1000", "Value must be at least 1048576"),
            ("group.max.size", "many", "Not a number of type INT"),
            ("offsets.topic.replication.factor", "32768", "Not a number of type SHORT"),
            ("delete.topic.enable", "yes", "Expected value to be either true or false"),
            ("listeners", "host:9092", "Unable to parse host:9092 to a broker endpoint"),
            ("listeners", "SSL://host:1", "Security protocol SSL is not served yet"),
            ("listeners", "X://host:1", "No security protocol defined for listener X"),
            ("listeners", "PLAINTEXT://:65536", "Port must be between 0 and 65535"),
            ("listeners", "PLAINTEXT://a:1,PLAINTEXT://b:2", "One listener for clients is served"),
        ],
    )
    def test_a_bad_value_is_one_line_that_names_the_setting(self, name, text, reason):
        with pytest.raises(ConfigError) as caught:
            load({name: text})
        assert str(caught.value) == f"Invalid value {text} for configuration {name}: {reason}"
        assert caught.value.name == name

    def test_a_list_that_needs_an_item(self):
        with pytest.raises(ConfigError, match=r"'log\.dirs' must not be empty"):
            load({"log.dirs": ""})

    @pytest.mark.parametrize("host", ["0.0.0.0", "[::]"])
    def test_clients_can_not_connect_to_every_address(self, host):
        with pytest.raises(ConfigError, match="cannot use the nonroutable meta-address"):
            load({"advertised.listeners": f"PLAINTEXT://{host}:9092"})

    def test_listening_everywhere_needs_an_advertised_address(self):
        everywhere = {"listeners": "PLAINTEXT://0.0.0.0:9092"}
        with pytest.raises(ConfigError, match="nonroutable meta-address"):
            load(everywhere)
        settings = load({**everywhere, "advertised.listeners": "PLAINTEXT://db.example:9093"})
        assert listeners(settings) == (Listener("PLAINTEXT", "0.0.0.0", 9092),)
        assert advertised_listeners(settings) == (Listener("PLAINTEXT", "db.example", 9093),)

    def test_the_listeners_of_kafkas_own_file(self):
        settings = load(
            {
                "listeners": "CLIENTS://:9092,CONTROLLER://:9093",
                "advertised.listeners": "CLIENTS://localhost:9092,CONTROLLER://localhost:9093",
                "controller.listener.names": "CONTROLLER",
                "listener.security.protocol.map": "CONTROLLER:PLAINTEXT,CLIENTS:PLAINTEXT",
            }
        )
        assert listeners(settings) == (Listener("CLIENTS", "", 9092),)
        assert advertised_listeners(settings) == (Listener("CLIENTS", "localhost", 9092),)

    def test_an_ipv6_listener_keeps_its_brackets_in_text(self):
        (listener,) = listeners(load({"listeners": "plaintext://[::1]:0"}))
        assert listener == Listener("PLAINTEXT", "::1", 0)
        assert str(listener) == "PLAINTEXT://[::1]:0"

    def test_broker_id_is_the_older_name_of_node_id(self):
        assert load({})["node.id"] == 1
        assert load({"broker.id": "5"})["node.id"] == 5
        assert load({"broker.id": "5", "node.id": "5"})["node.id"] == 5
        with pytest.raises(ConfigError, match="to the same value as"):
            load({"broker.id": "5", "node.id": "6"})

    def test_log_dirs_go_before_log_dir(self):
        assert data_directories(load({"log.dir": "one"})) == ("one",)
        several = load({"log.dir": "one", "log.dirs": "two, three"})
        assert data_directories(several) == ("two", "three")

    @pytest.mark.parametrize("config", BROKER_CONFIGS.values(), ids=lambda config: config.name)
    def test_defaults_pass_their_own_check(self, config):
        text = config.format(config.default)
        if text is not None:
            assert config.parse(text) == config.default


class TestLogConfig:
    def test_the_broker_gives_the_defaults_of_topics(self):
        settings = load({"log.segment.bytes": "2000000", "message.max.bytes": "77"})
        config = log_config(settings)
        assert config.segment_bytes == 2_000_000
        assert config.max_message_bytes == 77

    def test_a_topic_overrides_them(self):
        settings = load({"log.segment.bytes": "2000000"})
        overrides = {"segment.bytes": "3000000", "cleanup.policy": "compact", "retention.ms": "5"}
        config = log_config(settings, overrides)
        assert config.segment_bytes == 3_000_000
        assert config.cleanup_policy == frozenset({"compact"})

    def test_milliseconds_go_before_hours(self):
        assert log_config(load({"log.roll.hours": "2"})).segment_ms == 7_200_000
        assert log_config(load({"log.roll.hours": "2", "log.roll.ms": "9"})).segment_ms == 9
        assert log_config(load({"log.roll.jitter.hours": "1"})).segment_jitter_ms == 3_600_000
        assert log_config(load({"log.flush.scheduler.interval.ms": "8"})).flush_ms == 8

    def test_retention_comes_in_three_units(self):
        assert log_config(load({})).retention_ms == 168 * 3_600_000
        given = {"log.retention.hours": "2"}
        assert log_config(load(given)).retention_ms == 7_200_000
        given["log.retention.minutes"] = "3"
        assert log_config(load(given)).retention_ms == 180_000
        given["log.retention.ms"] = "4"
        assert log_config(load(given)).retention_ms == 4
        assert log_config(load({"log.retention.hours": "-1"})).retention_ms == -1
        assert log_config(load(given), {"retention.ms": "0"}).retention_ms == 0

    @pytest.mark.parametrize("unit", ["ms", "minutes", "hours"])
    def test_a_broker_keeps_records_for_some_time(self, unit: str):
        with pytest.raises(ConfigError, match="greater than or equal to 1"):
            load({f"log.retention.{unit}": "0"})

    def test_a_unit_that_does_not_count_may_be_zero(self):
        settings = load({"log.retention.hours": "0", "log.retention.ms": "4"})
        assert log_config(settings).retention_ms == 4

    def test_small_segments_are_for_tests_only(self):
        with pytest.raises(ConfigError):
            load({"log.segment.bytes": "4096"})
        settings = load({"internal.segment.bytes": "4096"})
        assert log_config(settings).segment_bytes == 4096
        assert log_config(load({}), {"internal.segment.bytes": "64"}).segment_bytes == 64

    def test_every_field_is_a_config(self):
        for field in fields(LogConfig):
            name = field.name.replace("_", ".")
            assert name in TOPIC_CONFIGS or name in BROKER_CONFIGS

    def test_a_description_says_where_each_value_comes_from(self):
        settings = load({"log.roll.ms": "7200000"})
        entries = {
            entry.name: (entry.value, entry.source)
            for entry in describe_topic_configs(settings, {"retention.ms": "5"})
        }
        assert entries["retention.ms"] == ("5", ConfigSource.TOPIC)
        assert entries["segment.ms"] == ("7200000", ConfigSource.STATIC_BROKER)
        assert entries["cleanup.policy"] == ("delete", ConfigSource.DEFAULT)
        assert entries["min.cleanable.dirty.ratio"] == ("0.5", ConfigSource.DEFAULT)
        assert entries["preallocate"] == ("false", ConfigSource.DEFAULT)
        assert set(entries) == set(TOPIC_CONFIGS) - {"internal.segment.bytes"}
        assert list(entries) == sorted(entries)


class TestParseProperties:
    def test_separators_comments_and_blank_lines(self):
        text = "# c\n! d\n\n a = 1\nb:2\nc 3\nd\t=\t4 5 \ne\n=x\n  f==g\n"
        assert parse_properties(text) == {
            "a": "1",
            "b": "2",
            "c": "3",
            "d": "4 5 ",
            "e": "",
            "": "x",
            "f": "=g",
        }

    def test_the_later_value_wins(self):
        assert parse_properties("a=1\r\na=2\rb=3") == {"a": "2", "b": "3"}

    def test_lines_joined_by_a_backslash(self):
        text = "log.dirs=/a,\\\n    /b\nnext=\\\\\n# not joined\nlast=x\\"
        assert parse_properties(text) == {"log.dirs": "/a,/b", "next": "\\", "last": "x"}

    def test_a_joined_line_may_look_like_a_comment(self):
        assert parse_properties("a=1\\\n#2\\\n\nb=3") == {"a": "1#2", "b": "3"}

    def test_escapes(self):
        text = r"a\ b\=c\:=\u0041\t\n\q\\ "
        assert parse_properties(text) == {"a b=c:": "A\t\nq\\ "}

    def test_a_broken_escape_is_an_error(self):
        with pytest.raises(ConfigError, match="Malformed"):
            parse_properties(r"a=\u00g1")
