"""`kstore profile compact | retention DIR`: what would be reclaimed; nothing is changed.

A data directory is profiled as it lies, also while a broker is using it: `.lock` is neither taken
nor asked for, no file is opened to be written, and the topics' configs come from a copy of the
broker's metadata. What the broker removes while it is looked for is looked for again.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, TypeVar

import typer

from kstore.cli import output
from kstore.cli.app import call_with_words
from kstore.cli.errors import CallError, CommandError
from kstore.cli.options import Json
from kstore.cli.output import Column
from kstore.cli.plots import check_plot
from kstore.cli.progress import Working
from kstore.configs import (
    TOPIC_CONFIGS,
    ConfigError,
    LogConfig,
    check_topic_configs,
    load,
    log_config,
)
from kstore.errors import KafkaError, StoreError
from kstore.log.checkpoints import CLEANER_OFFSETS, LOG_START_OFFSETS
from kstore.log.directory import read_offsets
from kstore.log.files import ReadOnlyFiles
from kstore.log.handles import Handles
from kstore.log.names import parse_directory
from kstore.log.profile import (
    CompactionProfile,
    PartitionView,
    SegmentProfile,
    profile_compaction,
    profile_retention,
    view_partition,
)
from kstore.metadata.image import MetadataImage
from kstore.metadata.peek import peek

__all__ = ["PROFILES", "Profiled", "run_profile"]

T = TypeVar("T")

_ATTEMPTS = 3
_HELP_WORDS = ("--help", "-h", "help")

Directory = Annotated[Path, typer.Argument(metavar="DIR", help="A data directory.")]
Partition = Annotated[
    int | None, typer.Option("--partition", min=0, help="Of these only this one.")
]
Configs = Annotated[
    list[str] | None,
    typer.Option(
        "--config", metavar="NAME=VALUE", help="A config of the topics, in place of theirs."
    ),
]
Plot = Annotated[
    Path | None, typer.Option("--plot", metavar="FILE", help="Draw it: a PNG, SVG or PDF file.")
]

_COLUMNS = (
    Column("partition", "PARTITION"),
    Column("base_offset", "BASE-OFFSET"),
    Column("verdict", "VERDICT"),
    Column("bytes", "BYTES"),
    Column("reclaimed_bytes", "RECLAIMED"),
)
_RECORD_COLUMNS = (Column("records", "RECORDS"), Column("kept_records", "KEPT"))


@dataclass(frozen=True, slots=True)
class Profiled:
    """A partition and what was found of it; `compaction` where that was asked for."""

    topic: str
    partition: int
    config: LogConfig
    segments: list[SegmentProfile]
    compaction: CompactionProfile | None = None

    @property
    def size(self) -> int:
        return sum(one.size for one in self.segments)

    @property
    def reclaimed(self) -> int:
        return sum(one.size - one.kept_size for one in self.segments)


def run_profile(words: Sequence[str]) -> int:
    """Runs `kstore profile` with the words behind it; gives its status. Raises `CommandError`."""
    if not words or words[0] in _HELP_WORDS:
        print("Usage: kstore profile WHAT DIR [OPTIONS]\n")
        print("Say what of a data directory would be reclaimed, without changing it.\n\nWhat:")
        for name, function in PROFILES.items():
            print(f"  {name:12}{(function.__doc__ or '').splitlines()[0]}")
        return 0 if words else CallError.status
    if words[0] not in PROFILES:
        raise CallError(f"nothing to profile called '{words[0]}'; there are: {', '.join(PROFILES)}")
    status = call_with_words(PROFILES[words[0]], f"profile {words[0]}", words[1:])
    return status if isinstance(status, int) else 0


def compact(
    directory: Directory,
    topic: Annotated[str, typer.Option("--topic", help="The topic to be compacted.")],
    partition: Partition = None,
    config: Configs = None,
    map_size: Annotated[
        int,
        typer.Option("--map-size", min=1024, help="Bytes for keys; fewer are taken for few keys."),
    ] = 1 << 30,
    json: Json = False,
    plot: Plot = None,
) -> None:
    """Compact a topic's partitions in mind: what would be left of each segment."""
    if plot is not None:
        check_plot(plot)
    profiled = []
    for place in _partitions(directory, topic, partition, config):
        name = f"{place.topic}-{place.partition}"
        if "compact" not in place.config.cleanup_policy:
            raise CommandError(
                f"the cleanup.policy of '{topic}' is not compact; "
                "--config cleanup.policy=compact asks what if it were"
            )
        total = 2 * sum(one.size for one in place.view().segments)
        with Working(f"reading {name}", total=total) as working:
            found = place.try_again(_compaction(place, map_size, working.done))
        profiled.append(Profiled(place.topic, place.partition, place.config, found.segments, found))
    _tell("compact", directory, profiled, json=json, plot=plot, columns=_RECORD_COLUMNS)


def retention(
    directory: Directory,
    topic: Annotated[str | None, typer.Option("--topic", help="Only of this topic.")] = None,
    partition: Partition = None,
    config: Configs = None,
    json: Json = False,
    plot: Plot = None,
) -> None:
    """Apply retention in mind: which segments would go, and why."""
    if plot is not None:
        check_plot(plot)
    profiled = []
    with Working(f"looking through {directory}"):
        for place in _partitions(directory, topic, partition, config):
            segments = place.try_again(_retention(place))
            profiled.append(Profiled(place.topic, place.partition, place.config, segments))
    _tell("retention", directory, profiled, json=json, plot=plot, columns=())


PROFILES: dict[str, Callable[..., None]] = {"compact": compact, "retention": retention}


def _compaction(
    place: _Place, map_size: int, on_bytes: Callable[[int], None]
) -> Callable[[PartitionView], CompactionProfile]:
    return lambda view: profile_compaction(view, place.config, place.now_ms, map_size, on_bytes)


def _retention(place: _Place) -> Callable[[PartitionView], list[SegmentProfile]]:
    return lambda view: profile_retention(view, place.config, place.now_ms)


# Where partitions are


@dataclass(frozen=True, slots=True)
class _Place:
    """A partition's directory, and what is to be known before it is looked at."""

    handles: Handles
    directory: Path
    topic: str
    partition: int
    config: LogConfig
    now_ms: int
    log_start_offset: int
    cleaned_offset: int

    def view(self) -> PartitionView:
        return self.try_again(lambda view: view)

    def try_again(self, work: Callable[[PartitionView], T]) -> T:
        """What `work` finds; again if files went away meanwhile. Raises `CommandError`."""
        for _ in range(_ATTEMPTS):
            try:
                return work(
                    view_partition(
                        self.handles,
                        self.directory,
                        log_start_offset=self.log_start_offset,
                        cleaned_offset=self.cleaned_offset,
                        now_ms=self.now_ms,
                    )
                )
            except FileNotFoundError:
                self.handles.clear()
        raise CommandError(
            f"{self.directory}: its files go away while they are read; a broker is at work on "
            "them, try again later"
        )


def _partitions(
    directory: Path, topic: str | None, partition: int | None, config: list[str] | None
) -> Iterator[_Place]:
    """The partitions asked for, in order. Raises `CommandError` if there are none."""
    if not directory.is_dir():
        raise CallError(f"{directory} is no directory")
    overrides = _overrides(config or [])
    files = ReadOnlyFiles()
    metadata = peek(directory)
    starts = read_offsets(files, directory / LOG_START_OFFSETS)
    cleaned = read_offsets(files, directory / CLEANER_OFFSETS)
    now_ms = time.time_ns() // 1_000_000
    found = [
        (parsed.topic, parsed.partition, name)
        for name in files.directories(directory)
        if (parsed := parse_directory(name)) is not None
        and not parsed.mark
        and topic in (None, parsed.topic)
        and partition in (None, parsed.partition)
    ]
    if not found:
        which = "no partition" if topic is None else f"no partition of '{topic}'"
        raise CommandError(f"{directory}: {which} is here")
    for name, index, path in sorted(found):
        key = (name, index)
        yield _Place(
            Handles(files),
            directory / path,
            name,
            index,
            _config_of(metadata, name, overrides),
            now_ms,
            starts.get(key, 0),
            cleaned.get(key, 0),
        )


def _overrides(words: Sequence[str]) -> dict[str, str]:
    found = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not equals or name not in TOPIC_CONFIGS:
            raise CallError(f"--config {word}: want NAME=VALUE of a topic config")
        found[name] = value
    try:
        check_topic_configs(found)
    except KafkaError as error:
        raise CallError(f"--config: {error.message}") from None
    return found


def _config_of(metadata: MetadataImage | None, topic: str, overrides: dict[str, str]) -> LogConfig:
    """The topic's configs over those set for all brokers over Kafka's defaults."""
    settings = load({})
    own = {}
    if metadata is not None:
        settings = settings.with_dynamic(metadata.broker_configs.get("", {}), {})
        if topic in metadata.topics:
            own = dict(metadata.topics[topic].configs)
    try:
        return log_config(settings, {**own, **overrides})
    except ConfigError as error:
        raise StoreError(f"the configs of '{topic}': {error}") from None


# What is said of them


def _tell(
    kind: str,
    directory: Path,
    profiled: list[Profiled],
    *,
    json: bool,
    plot: Path | None,
    columns: Sequence[Column],
) -> None:
    if plot is not None:
        from kstore.cli.profile_plot import draw

        draw(kind, directory, profiled, plot)
    rows = [_row(one, segment) for one in profiled for segment in one.segments]
    if json:
        output.print_json(rows)
        return
    output.print_table((*_COLUMNS, *columns), rows)
    print(f"\n{_sum(profiled)}")
    for one in profiled:
        if one.compaction is not None:
            print(_compaction_text(one, one.compaction))


def _row(one: Profiled, segment: SegmentProfile) -> dict[str, object]:
    return {
        "topic": one.topic,
        "partition": f"{one.topic}-{one.partition}",
        "base_offset": segment.base_offset,
        "verdict": segment.verdict,
        "bytes": segment.size,
        "kept_bytes": segment.kept_size,
        "reclaimed_bytes": segment.size - segment.kept_size,
        "records": segment.record_count,
        "kept_records": segment.kept_count,
        "newest_timestamp_ms": segment.newest_ms,
    }


def _sum(profiled: Sequence[Profiled]) -> str:
    size = sum(one.size for one in profiled)
    reclaimed = sum(one.reclaimed for one in profiled)
    count = sum(segment.kept_size < segment.size for one in profiled for segment in one.segments)
    segments = sum(len(one.segments) for one in profiled)
    share = reclaimed / size if size else 0.0
    return (
        f"{reclaimed:,} of {size:,} bytes ({share:.0%}) would be reclaimed, in {count} of "
        f"{segments} segments of {len(profiled)} partitions."
    )


def _compaction_text(one: Profiled, found: CompactionProfile) -> str:
    name = f"{one.topic}-{one.partition}"
    if not found.key_count:
        return f"{name}: nothing can be compacted now."
    wanted = one.config.min_cleanable_dirty_ratio
    is_due = found.part.is_due(wanted)
    text = (
        f"{name}: {found.part.ratio:.0%} is dirty, "
        f"{'so the cleaner takes it' if is_due else f'the cleaner waits for {wanted:.0%}'}; "
        f"{found.key_count:,} keys in a map of {found.map_size:,} bytes, "
        f"{found.segment_count} segments afterwards."
    )
    if found.end_offset < found.part.end_offset:
        text += (
            f" The map is full at offset {found.end_offset:,} of {found.part.end_offset:,}: a "
            "compaction would take more passes; --map-size gives more room."
        )
    return text
