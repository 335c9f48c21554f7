"""Bytes flipped, cut and repeated in every kind of file of a data directory that Kafka wrote.

Whatever was done: the store opens, or says in one line why not; partitions whose files are whole
hold what they held; of the damaged one each record that is served is one that was written, and
nothing but KafkaError comes out of it. Opened as after a clean stop, when files are believed, and
as after a crash.
"""

from __future__ import annotations

import random
import shutil
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from kstore.configs import LogConfig
from kstore.errors import KafkaError, StoreError
from kstore.log.check import check
from kstore.log.log import Log
from kstore.log.records import build_batch
from tests.support.logs import NOW_MS, open_store

GOLDEN = Path(__file__).parents[1] / "golden" / "kafka-4.3.1"
CLEAN = ".kafka_cleanshutdown"
CONFIG = LogConfig(retention_ms=-1, cleanup_policy=frozenset({"compact", "delete"}))

Records = Counter[tuple[int, bytes | None, bytes | None]]


def kinds() -> dict[str, list[Path]]:
    """The files of the golden store by their kinds: suffixes, or names."""
    found: dict[str, list[Path]] = {}
    for path in sorted(GOLDEN.rglob("*")):
        if path.is_file() and path.stat().st_size and path.name != CLEAN:
            kind = path.suffix if path.name[0].isdigit() else path.name
            found.setdefault(kind, []).append(path.relative_to(GOLDEN))
    return found


KINDS = kinds()


def damage(path: Path, choose: random.Random) -> str:
    """Flips a bit, cuts the file, repeats some of it, or has a page of it be zeros."""
    data = bytearray(path.read_bytes())
    at = choose.randrange(len(data))
    end = min(len(data), at + choose.choice([1, 8, 12, 61, 200, 4096]))
    kind = choose.choice(["flip", "flip", "flip", "cut", "repeat", "zeros", "junk"])
    if kind == "flip":
        data[at] ^= 1 << choose.randrange(8)
    elif kind == "cut":
        del data[at : choose.choice([end, len(data)])]
    elif kind == "repeat":
        data[end:end] = data[at:end]
    elif kind == "zeros":
        data[at:end] = bytes(end - at)
    else:
        data[at:end] = choose.randbytes(end - at)
    path.write_bytes(data)
    return f"{kind} from {at} to {end}"


def refusal(open_it: Callable[[], None]) -> str:
    """The one line that says why something can't be opened, nothing if it can."""
    why = ""
    try:
        open_it()
    except StoreError as error:
        why = str(error)
    assert "\n" not in why
    return why


def records(log: Log) -> Records:
    """What can be read, up to the first damage."""
    found: Records = Counter()
    with suppress(KafkaError):
        for record in log.records():
            found[record.timestamp_ms, record.key, record.value] += 1
    return found


def use(log: Log, number: int) -> None:
    """Asks a log for all that it can do; KafkaError is an answer."""
    for call in (
        lambda: [log.read(offset, 10_000, upto_offset=log.log_end_offset) for offset in range(61)],
        lambda: [log.offset_for_timestamp(1_700_000_000_000 + ms) for ms in range(0, 60_000, 777)],
        log.max_timestamp,
        lambda: log.append(build_batch([(b"new", b"%d" % number)]), now_ms=NOW_MS),
        lambda: log.compact(NOW_MS),
        lambda: log.advance_log_start(log.log_start_offset + 1),
        log.roll,
        log.apply_retention,
        lambda: log.truncate_to(max(0, log.log_end_offset - 3)),
        log.flush,
    ):
        with suppress(KafkaError):
            call()


def open_damaged(directory: Path, damaged: Path, whole: dict[str, Records]) -> None:
    """Opens and judges a store with one damaged file."""
    partition = damaged.parent.name
    if damaged.name == "meta.properties" and refusal(lambda: open_store(directory).close()):
        return
    store = open_store(directory, config=CONFIG)
    try:
        for log in store.logs.values():
            found = records(log)
            if log.name != partition:
                # The checkpoint of starts may hide records; a damaged one is not believed.
                hides = damaged.name == "log-start-offset-checkpoint"
                assert hides or found == whole[log.name], log.name
            assert found <= whole[log.name], f"invented: {found - whole[log.name]}"
        assert store.failure is None
        for number, log in enumerate(store.logs.values()):
            use(log, number)
        with suppress(KafkaError):
            store.close()
    finally:
        store.abandon()
    check(directory)
    with open_store(directory, config=CONFIG) as again:
        assert again.list() == sorted(store.logs)


def whole_records(copy: Path) -> dict[str, Records]:
    """What each partition of the golden store holds, read from a copy of it, which is made."""
    shutil.copytree(GOLDEN, copy)
    with open_store(copy, config=CONFIG) as store:
        return {log.name: records(log) for log in store.logs.values()}


def damage_some(root: Path, kind: str, seed: int, count: int, whole: dict[str, Records]) -> None:
    """Damages a file of a kind so many times, each in a copy of its own below `root`."""
    choose = random.Random(f"{seed} {kind}")
    for number in range(count):
        name = choose.choice(KINDS[kind])
        copy = root / str(number)
        shutil.copytree(GOLDEN, copy)
        clean = choose.random() < 0.5
        if not clean:
            (copy / CLEAN).unlink()
        done = damage(copy / name, choose)
        print(f"{name}: {done}, opened as after a {'clean stop' if clean else 'crash'}")
        open_damaged(copy, name, whole)
        shutil.rmtree(copy)
