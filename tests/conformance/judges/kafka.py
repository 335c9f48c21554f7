"""Apache Kafka itself, as the judge: its tools run against our broker, and its broker in our place.

The jars come from Maven, once, into `${XDG_CACHE_HOME:-~/.cache}/kstore/judges/<version>`, outside
the checkout. With `KSTORE_TEST_BROKER=kafka` the conformance tests run against Kafka's broker: what
fails there is a fault of the test, not of kstore.
"""

from __future__ import annotations

import fcntl
import hashlib
import re
import shutil
import socket
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

from tests.conformance.suites.cache import build, cache_directory, cached
from tests.conformance.support.broker import BrokerProcess

VERSION = "4.3.1"
OLDEST_JAVA = 17
CLUSTER_ID = "a3N0b3JlLWp1ZGdlLWthZg"
HERE = Path(__file__).parent

TOOLS = {
    "topics": "org.apache.kafka.tools.TopicCommand",
    "console-producer": "org.apache.kafka.tools.ConsoleProducer",
    "console-consumer": "org.apache.kafka.tools.consumer.ConsoleConsumer",
    "consumer-groups": "org.apache.kafka.tools.consumer.group.ConsumerGroupCommand",
    "get-offsets": "org.apache.kafka.tools.GetOffsetShell",
    "delete-records": "org.apache.kafka.tools.DeleteRecordsCommand",
    "configs": "kafka.admin.ConfigCommand",
    "log-dirs": "org.apache.kafka.tools.LogDirsCommand",
    "broker-api-versions": "org.apache.kafka.tools.BrokerApiVersionsCommand",
    "features": "org.apache.kafka.tools.FeatureCommand",
    "verifiable-producer": "org.apache.kafka.tools.VerifiableProducer",
    "verifiable-consumer": "org.apache.kafka.tools.VerifiableConsumer",
    "dump-log": "org.apache.kafka.tools.DumpLogSegments",
    "storage": "kafka.tools.StorageTool",
    "producer-perf": "org.apache.kafka.tools.ProducerPerformance",
    "consumer-perf": "org.apache.kafka.tools.ConsumerPerformance",
    "e2e-latency": "org.apache.kafka.tools.EndToEndLatency",
    "transactions": "org.apache.kafka.tools.TransactionsCommand",
    "log-compaction-tester": "org.apache.kafka.tools.LogCompactionTester",
    "broker": "kafka.Kafka",
    "connect-distributed": "org.apache.kafka.connect.cli.ConnectDistributed",
    "transactional-message-copier": "org.apache.kafka.tools.TransactionalMessageCopier",
}


def why_unavailable() -> str | None:
    """Why Kafka's tools cannot run on this machine; None if they can."""
    java = shutil.which("java")
    if java is None:
        return f"needs a JDK {OLDEST_JAVA}: no java on the PATH"
    banner = subprocess.run([java, "-version"], capture_output=True, text=True).stderr
    found = re.search(r'version "(\d+)', banner)
    if found is None or int(found[1]) < OLDEST_JAVA:
        return f"needs a JDK {OLDEST_JAVA}: {banner.splitlines()[0]}"
    if not jar_dir().exists() and shutil.which("mvn") is None:
        return "needs Maven to fetch Kafka's tools: no mvn on the PATH"
    return None


def java_command(tool: str, *options: str) -> list[str]:
    """The command line that runs `tool`; fetches the jars on first use."""
    return [*_java(f"{fetch_jars()}/*", *options), TOOLS[tool]]


def program_command(name: str) -> list[str]:
    """The command line of one of the programs in `java/`, compiled on first use."""
    source = HERE / "java" / f"{name}.java"
    digest = hashlib.sha256(source.read_bytes()).hexdigest()[:16]
    jars = fetch_jars()

    def compile_into(directory: Path) -> None:
        build(["javac", "-cp", f"{jars}/*", "-d", str(directory), str(source)], HERE)

    classes = cached(f"{VERSION}-{name}-{digest}", compile_into)
    return [*_java(f"{classes}:{jars}/*"), name]


def _java(class_path: str, *options: str) -> list[str]:
    command = ["java", "-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"]
    command += [f"-Dlog4j2.configurationFile={HERE / 'log4j2.xml'}", *options]
    return [*command, "-cp", class_path]


class KafkaTools:
    """Kafka's command-line tools, one Java process a call."""

    def run(
        self,
        tool: str,
        *arguments: str,
        java_options: Sequence[str] = (),
        stdin: str = "",
        timeout_s: float = 90,
    ) -> subprocess.CompletedProcess[str]:
        """Runs a tool that must end with status 0; what it printed is in the result."""
        done = subprocess.run(
            [*java_command(tool, *java_options), *arguments],
            input=stdin,
            capture_output=True,
            text=True,
            timeout=timeout_s,
        )
        assert done.returncode == 0, (
            f"{tool} {arguments}: status {done.returncode}\n"
            f"{done.stdout[-4000:]}{done.stderr[-4000:]}"
        )
        return done


class KafkaProcess(BrokerProcess):
    """Kafka's broker in kstore's place: one node, KRaft, the same settings."""

    clean_status = 143  # of a JVM that SIGTERM ended in good order

    def __init__(self, directory: Path, settings: dict[str, object] | None = None) -> None:
        super().__init__(directory, settings)
        self.controller_port = 0

    def _prepare(self) -> None:
        if self.port:
            return
        self.port, self.controller_port = free_ports(2)
        settings = {
            "process.roles": "broker,controller",
            "node.id": 1,
            "controller.quorum.voters": f"1@127.0.0.1:{self.controller_port}",
            "listeners": f"PLAINTEXT://{self.bootstrap_servers},"
            f"CONTROLLER://127.0.0.1:{self.controller_port}",
            "controller.listener.names": "CONTROLLER",
            "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
            "log.dirs": ",".join(map(str, self.data_dirs)),
            "offsets.topic.replication.factor": 1,
            "transaction.state.log.replication.factor": 1,
            "transaction.state.log.min.isr": 1,
            "share.coordinator.state.topic.replication.factor": 1,
            "share.coordinator.state.topic.min.isr": 1,
            **self.settings,
        }
        if self.advertised_host:
            advertised = f"PLAINTEXT://{self.advertised_host}:{self.port}"
            settings["advertised.listeners"] = advertised
        properties = "".join(f"{name}={value}\n" for name, value in settings.items())
        self._properties_file.write_text(properties)
        format_command = [*java_command("storage"), "format", "-t", CLUSTER_ID]
        subprocess.run(
            [*format_command, "-c", str(self._properties_file)], check=True, capture_output=True
        )

    @property
    def _properties_file(self) -> Path:
        return self.directory / "server.properties"

    def _command(self) -> list[str]:
        return [*java_command("broker"), str(self._properties_file)]

    def _is_ready(self) -> bool:
        with socket.socket() as client:
            return client.connect_ex(("127.0.0.1", self.port)) == 0


def fetch_jars() -> Path:
    """The directory of Kafka's jars; fetched by Maven if they are not there yet."""
    jars = jar_dir()
    if jars.exists():
        return jars
    jars.parent.mkdir(parents=True, exist_ok=True)
    with (jars.parent / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not jars.exists():
            _download(jars)
    return jars


def _download(jars: Path) -> None:
    partial = jars.with_name(f"{jars.name}.partial")
    command = ["mvn", "-B", "-q", "-f", str(HERE / "pom.xml"), f"-Dkafka.version={VERSION}"]
    command += ["dependency:copy-dependencies", f"-DoutputDirectory={partial}"]
    failures = []
    for pause_s in (3, 10, 30, 0):
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True)
        if done.returncode == 0:
            partial.rename(jars)
            return
        failures.append(done.stdout[-2000:])
        time.sleep(pause_s)
    raise RuntimeError(f"Maven could not fetch Kafka {VERSION}:\n" + "\n".join(failures))


def jar_dir() -> Path:
    """Where the jars lie once they were fetched: another list of them has another place."""
    digest = hashlib.sha256((HERE / "pom.xml").read_bytes()).hexdigest()[:16]
    return cache_directory() / VERSION / f"jars-{digest}"


def free_ports(count: int) -> list[int]:
    """Different ports of the loopback that nothing listens on."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]
    finally:
        for one in sockets:
            one.close()
