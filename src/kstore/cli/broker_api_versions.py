"""`kstore broker-api-versions`: Kafka's kafka-broker-api-versions (`BrokerApiVersionsCommand`).

Each broker's APIs, with the newest version that Kafka 4.3's clients could use there.
"""

from __future__ import annotations

from kstore.cli import output
from kstore.cli.kafka_apis import CLIENT_APIS
from kstore.cli.options import BootstrapServer, CommandConfig, Json
from kstore.cli.properties import read_properties
from kstore.cli.wire_cluster import WireCluster
from kstore.wire.messages.api_versions import ApiVersion, ApiVersionsResponse
from kstore.wire.messages.metadata import MetadataResponseBroker

__all__ = ["api_text", "broker_api_versions"]


def broker_api_versions(
    bootstrap_server: BootstrapServer, command_config: CommandConfig = None, json: Json = False
) -> None:
    """Show which versions of which APIs each broker serves."""
    with WireCluster(bootstrap_server, read_properties(command_config)) as cluster:
        found = [(broker, cluster.broker(key).versions) for key, broker in cluster.brokers.items()]
    if json:
        output.print_json(
            {
                "broker": broker.node_id,
                "api_key": one.api_key,
                "name": CLIENT_APIS[one.api_key].name if one.api_key in CLIENT_APIS else None,
                "min_version": one.min_version,
                "max_version": one.max_version,
            }
            for broker, versions in found
            for one in versions.api_keys
        )
        return
    for broker, versions in found:
        print(f"{_broker_text(broker)} -> (\n\t{_apis_text(versions)}\n)")


def _broker_text(broker: MetadataResponseBroker) -> str:
    rack = "null" if broker.rack is None else broker.rack
    return f"{broker.host}:{broker.port} (id: {broker.node_id} rack: {rack} isFenced: false)"


def _apis_text(versions: ApiVersionsResponse) -> str:
    texts = {key: f"{api.name}({key}): UNSUPPORTED" for key, api in CLIENT_APIS.items()}
    texts |= {one.api_key: api_text(one) for one in versions.api_keys}
    return ",\n\t".join(text for _, text in sorted(texts.items()))


def api_text(served: ApiVersion) -> str:
    """A served API as Kafka's tool writes it: `Fetch(1): 4 to 18 [usable: 18]`."""
    known = CLIENT_APIS.get(served.api_key)
    text = f"{known.name if known else 'UNKNOWN'}({served.api_key}): {served.min_version}"
    if served.max_version != served.min_version:
        text += f" to {served.max_version}"
    if known is None:
        return text
    if known.newest < served.min_version:
        return f"{text} [unusable: node too new]"
    if served.max_version < known.oldest:
        return f"{text} [unusable: node too old]"
    return f"{text} [usable: {min(known.newest, served.max_version)}]"
