"""Writes docs/configs.md: the configs of topics and brokers, and where they differ from Kafka's.

    python tools/generate_configs_page.py [--check]

Made from the tables in `kstore.configs` and from tests/golden/kafka-configs.json, which is what a
real Kafka 4.3.1 tells through DescribeConfigs (tests/conformance/test_described_configs.py holds
both together). Every difference has a reason, in the table itself or below; without one, this tool
fails. `--check` writes nothing and fails if the page is out of date.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterable
from pathlib import Path

from generated_page import finish

from kstore.configs import BROKER_CONFIGS, TOPIC_CONFIGS, Config, LogConfig

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "configs.md"
KAFKA = ROOT / "tests" / "golden" / "kafka-configs.json"

TYPES = {1: "boolean", 2: "string", 3: "int", 4: "short", 5: "long", 6: "double", 7: "list"}
"""The protocol's numbers of types (`DescribeConfigsResponse.ConfigType`)."""

ABSENT = {
    "there is no authentication, encryption or authorization yet": (
        r"sasl\.|ssl\.|security\.|authorizer\.|delegation\.|principal\."
        r"|connections\.max\.reauth|connection\.failed\.auth"
    ),
    "no segment moves to remote storage": r"remote\.|log\.local\.|follower\.fetch\.last",
    "the topic of transactions is read a segment at a time": r"transaction\.state\.log\.load",
    "there is no two-phase commit yet, as in what Kafka 4.3 speaks": r"transaction\.two\.phase",
    "batches of transactions are not verified yet": (
        r"transaction\.partition\.verification|add\.partitions\.to\.txn"
    ),
    "the classic protocol of groups is the one served, on the broker's own loop": (
        r"group\.(consumer|coordinator|share|streams)\.|share\."
    ),
    "metadata lies in a tree that one node keeps, without a KRaft quorum": (
        r"controller\.|metadata\.|process\.roles|broker\.(heartbeat|session)|initial\.broker"
        r"|early\.start|cordoned\.|log\.dir\.failure|leader\.imbalance|auto\.leader"
        r"|controlled\.|unclean\.leader"
    ),
    "there is one node, and no traffic between brokers": (
        r"replica|num\.replica|alter\.log\.dirs|inter\.broker|request\.timeout"
        r"|socket\.connection"
    ),
    "there are no quotas yet": r"quota|client\.quota|max\.connection\.creation",
    "there are no metrics yet": r"metric|kafka\.metrics|telemetry",
    "one event loop serves all connections, and limits what each has in flight": (
        r"num\.(io|network)\.threads|background\.threads|queued\.|socket\."
    ),
    "what waits is freed at once, so there is nothing to purge": r".*purgatory",
    "there are no plugins of Java classes": r".*policy\.class|config\.providers",
    "compaction reads and writes in pieces of a megabyte, and nine tenths of its map are used": (
        r"log\.cleaner\.io\.buffer"
    ),
    "committed offsets do not expire yet": r"offsets\.retention",
    "nothing here would read it": (
        r"log\.preallocate|log\.flush\.start|log\.segment\.delete\.delay|offsets\."
        r"|max\.connections\.per\.ip\.overrides"
    ),
}
"""Why a broker config of Kafka's is not here: the first pattern that begins its name counts."""

READ_ONLY = {
    "listeners": "listeners are bound once, at the start",
    "listener.security.protocol.map": "listeners are bound once, at the start",
    "num.recovery.threads.per.data.dir": "it is read at the start only, before the stored configs",
}
"""Why a broker config can't be changed while the broker runs, where Kafka's can."""

TYPE_OR_DEFAULT = {
    "broker.id": "not set means the value of node.id",
    "listener.security.protocol.map": "the same pairs; Kafka has them as a text in another order",
    "controller.listener.names": "Kafka demands it in KRaft mode; there is no controller's "
    "listener here",
}
"""Why type or default differ, where the table does not say it."""


def reason(config: Config) -> str:
    return config.differs or TYPE_OR_DEFAULT[config.name]


def cell(text: str | None) -> str:
    return "" if not text else f"`{text}`"


def topic_rows() -> Iterable[str]:
    fields = LogConfig.__dataclass_fields__
    for config in TOPIC_CONFIGS.values():
        if config.internal:
            continue
        read = config.name.replace(".", "_") in fields
        defaults = ", ".join(f"`{synonym.name}`" for synonym in config.synonyms)
        yield (
            f"| `{config.name}` | {config.type.value} | {cell(config.format(config.default))} "
            f"| {defaults} | {'yes' if read else 'kept only'} | {config.doc} |"
        )


def broker_rows() -> Iterable[str]:
    for config in sorted(BROKER_CONFIGS.values(), key=lambda one: one.name):
        yield (
            f"| `{config.name}` | {config.type.value} | {cell(config.format(config.default))} "
            f"| {'yes' if config.dynamic else 'no'} | {config.doc} |"
        )


def difference_rows(kafka: dict[str, dict[str, object]]) -> Iterable[str]:
    for config in sorted(BROKER_CONFIGS.values(), key=lambda one: one.name):
        theirs = kafka.get(config.name)
        if theirs is None:
            yield f"| `{config.name}` | it is not Kafka's | {reason(config)} |"
            continue
        default = config.format(config.default)
        if default != theirs["default"]:
            told = cell(str(theirs["default"])) if theirs["default"] else "not set"
            yield f"| `{config.name}` | Kafka's default: {told} | {reason(config)} |"
        if config.type.value != TYPES[int(str(theirs["type"]))]:
            yield (
                f"| `{config.name}` | Kafka's type: {TYPES[int(str(theirs['type']))]} "
                f"| {reason(config)} |"
            )
        if config.dynamic is theirs["read_only"]:
            yield f"| `{config.name}` | dynamic in Kafka | {READ_ONLY[config.name]} |"


def absent_rows(kafka: dict[str, dict[str, object]]) -> Iterable[str]:
    names: dict[str, list[str]] = {why: [] for why in ABSENT}
    for name in sorted(kafka.keys() - BROKER_CONFIGS.keys()):
        why = next((why for why, pattern in ABSENT.items() if re.match(pattern, name)), None)
        if why is None:
            raise SystemExit(f"{name}: Kafka has it, we don't, and nothing says why")
        names[why].append(name)
    for why, found in names.items():
        if found:
            yield f"- **{why}**: {', '.join(f'`{name}`' for name in found)}"


def page() -> str:
    kafka = json.loads(KAFKA.read_text())
    return "\n".join(
        [
            "# Configs",
            "",
            "Names, types, ranges, defaults and messages are those of Kafka 4.3. This page is made",
            "by `tools/generate_configs_page.py`.",
            "",
            "A broker's configs come from its `server.properties` or from `--set`. Those that are",
            "dynamic can be changed while it runs, for one broker or for all (`kafka-configs`,",
            "`AdminClient.incrementalAlterConfigs`), and so can all of a topic's; a change is in",
            "force when it is answered. What a change says goes before what the file says, one",
            "broker's before that of all.",
            "",
            "## Topics",
            "",
            "Every topic config of Kafka is taken, checked and told; ours begin with `kstore.`.",
            "*Kept only*: nothing acts on it yet. `remote.storage.enable` can't be switched on, as",
            "in a Kafka without tiered storage.",
            "",
            "| name | type | default | default by broker config | in force | what it is |",
            "|---|---|---|---|---|---|",
            *topic_rows(),
            "",
            "## Brokers",
            "",
            "| name | type | default | dynamic | what it is |",
            "|---|---|---|---|---|",
            *broker_rows(),
            "",
            "## Differences from Kafka 4.3.1",
            "",
            "A topic's configs are told as Kafka tells them, but for those of their synonyms that",
            "are not here. A broker config that is not in the table above is warned about at the",
            "start, and refused as a change; Kafka keeps names it does not know, for plugins.",
            "",
            "| broker config | difference | why |",
            "|---|---|---|",
            *difference_rows(kafka["broker"]),
            "",
            "Kafka's broker configs that are not here, as no code would read them:",
            "",
            *absent_rows(kafka["broker"]),
            "",
        ]
    )


if __name__ == "__main__":
    sys.exit(finish(PAGE, page()))
