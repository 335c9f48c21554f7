"""Writes the tables of docs/performance.md from bench/results/.

    python bench/report.py [--check]

`--check` writes nothing and fails if the page does not say what the results say.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from bench import upkeep_report
from bench.compare import report as comparison
from bench.compare.results import read_all
from tools.generated_page import finish

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "performance.md"
RESULTS = ROOT / "bench" / "results"

MEGABYTE = 1e6


def single_node() -> str:
    """The table of `single_node.json`."""
    stored = json.loads((RESULTS / "single_node.json").read_text())
    found: dict[str, Any] = stored["results"]

    def cost(name: str, aim: str = "") -> str:
        one = found[name]
        figures = f"{one['processor_us']:.0f} µs of processor, {one['wall_us']:.0f} µs of time"
        return f"{figures} | {aim}"

    rows = [
        ("start until ready", f"{found['ready_s']:.2f} s | 0.5 s"),
        ("start of the broker inside a test", f"{found['fixture_ms']['start']:.0f} ms | 30 ms"),
        ("stop of the same", f"{found['fixture_ms']['stop']:.0f} ms |"),
        ("resident memory, idle", f"{found['idle_memory']['resident'] / MEGABYTE:.0f} MB | 70 MB"),
        (
            "resident memory after the load below",
            f"{found['memory_after_load']['resident'] / MEGABYTE:.0f} MB |",
        ),
        ("an idle connection", f"{found['bytes_per_idle_connection'] / 1e3:.1f} KB | 20 KB"),
        ("produce 1 record of 100 bytes, pipelined", cost("produce_1_record_pipelined", "15 µs")),
        ("produce 1 record, one at a time", cost("produce_1_record_synchronous")),
        ("fetch 1 record, pipelined", cost("fetch_1_record_pipelined", "25 µs")),
        ("produce a batch of 900 KiB", cost("produce_900_KiB")),
        ("fetch 900 KiB", cost("fetch_900_KiB")),
    ]
    lines = [
        f"`{stored['command']}`, {stored['machine']}, Python {stored['python']}:",
        "",
        "| what | measured | aim |",
        "|---|---|---|",
        *(f"| {name} | {figures} |" for name, figures in rows),
    ]
    return "\n".join(lines)


def steps() -> str:
    """The table of `steps.json`."""
    stored = json.loads((RESULTS / "steps.json").read_text())
    rows = [f"| {name} | {figure:.2f} µs |" for name, figure in stored["results"].items()]
    return "\n".join([f"`{stored['command']}`:", "", "| step | best round |", "|---|---|", *rows])


def lookups() -> str:
    """The table of `lookups.json`."""
    stored = json.loads((RESULTS / "lookups.json").read_text())
    rows = [
        f"| {name} | {found['native']:.0f} ns | "
        + (f"{found['lookup']:.0f} ns |" if "lookup" in found else "|")
        for name, found in stored["results"].items()
    ]
    head = ["| a random offset | native search | `OffsetIndex.lookup` |", "|---|---|---|"]
    return "\n".join([f"`{stored['command']}`:", "", *head, *rows])


def segments() -> str:
    """The table of `segments.json`."""
    stored = json.loads((RESULTS / "segments.json").read_text())
    columns = ("p50_us", "p99_us", "p99.9_us", "new_step_us", "roll_us")
    rows = [
        f"| {name} | " + " | ".join(f"{found[column]:.0f} µs" for column in columns) + " |"
        for name, found in stored["results"].items()
    ]
    head = [
        "| what is needed next is | append p50 | p99 | p99.9 | into a new step | that rolls |",
        "|---|---|---|---|---|---|",
    ]
    return "\n".join([f"`{stored['command']}`:", "", *head, *rows])


def group_commit() -> str:
    """The table of `group_commit.json`."""
    stored = json.loads((RESULTS / "group_commit.json").read_text())

    def cell(found: dict[str, float]) -> str:
        return f"{found['batches_per_s']:,.0f}/s, p99 {found['p99_ms']:.1f} ms"

    lines = [f"`{stored['command']}`:", ""]
    for number, (disk, modes) in enumerate(stored["results"].items()):
        counts = list(next(iter(modes.values())))
        if not number:
            heads = [f"{mode}, {count}" for mode in modes for count in counts]
            lines += [f"| disk | {' | '.join(heads)} |", "|---" * (len(heads) + 1) + "|"]
        cells = [cell(modes[mode][count]) for mode in modes for count in counts]
        lines.append(f"| {disk} | {' | '.join(cells)} |")
    return "\n".join(lines)


def recovery() -> str:
    """The table of `recovery.json`: recovery beside the bare loop, and beside Kafka."""
    stored = json.loads((RESULTS / "recovery.json").read_text())
    found: dict[str, Any] = stored["results"]
    took: dict[str, float] = found["median"]

    def row(name: str, key: str, aim: str = "") -> str:
        rate = found["gb"] / took[key]
        share = took["read_and_crc_s"] / took[key]
        return f"| {name} | {took[key]:.2f} s | {rate:.2f} GB/s | {share:.0%} | {aim} |"

    aim = "50 %"
    if "kafka_s" in took:
        aim += f", 3 times Kafka; it is {took['kafka_s'] / took['kstore_s']:.1f} times"
    lines = [
        (
            f"`{stored['command']}`, {stored['machine']}: {found['gb']:.1f} GB in "
            f"{found['partitions']} partitions, medians of {found['pairs']} rounds:"
        ),
        "",
        "| what | time | speed | of the bare loop | aim |",
        "|---|---|---|---|---|",
        row("read and CRC alone", "read_and_crc_s"),
        row("kstore recovers", "kstore_s", aim),
    ]
    if "kafka_s" in took:
        lines.append(row("Kafka recovers", "kafka_s"))
    lines += [
        "",
        f"From the start of our process until clients are served: {took['ready_s']:.2f} s.",
    ]
    return "\n".join(lines)


def start_scale() -> str:
    """The table of `start_scale.json`."""
    stored = json.loads((RESULTS / "start_scale.json").read_text())
    found: dict[str, float] = stored["results"]
    return "\n".join(
        [
            (
                f"`{stored['command']}`, {stored['machine']}, {found['partitions']:,} partitions, "
                f"medians of {found['rounds']} rounds:"
            ),
            "",
            "| what | measured | aim |",
            "|---|---|---|",
            f"| start until ready, after a clean stop | {found['ready_s']:.2f} s | 3 s |",
            f"| resident memory then | {found['resident_mb']:.0f} MB | 400 MB |",
            f"| clean stop | {found['stop_s']:.2f} s | |",
            f"| making them, and a batch into each | {found['made_and_filled_s']:.1f} s | |",
        ]
    )


def engine() -> str:
    """The table of `engine.json`: appends beside what copying and checking their bytes costs."""
    stored = json.loads((RESULTS / "engine.json").read_text())
    found: dict[str, Any] = stored["results"]
    rows = [
        (name, found[key])
        for name, key in (
            ("1 record of 32 bytes", "append_1_small_record"),
            ("16 records of 1 KB", "append_16_records_of_1_KB"),
            ("150 records of 100 bytes", "append_150_records_of_100_bytes"),
        )
    ]
    return "\n".join(
        [
            f"`{stored['command']}`:",
            "",
            "| a batch of | append | of it the checks | copy + CRC alone | share | aim |",
            "|---|---|---|---|---|---|",
            *(
                f"| {name} | {one['append_us']:.2f} µs | {one['check_us']:.2f} µs "
                f"| {one['copy_and_crc_us']:.2f} µs | {one['share_of_limit']:.0%} "
                f"| {'60 %' if one['copy_and_crc_us'] > 0.5 else ''} |"
                for name, one in rows
            ),
        ]
    )


def records() -> str:
    """The table of `records.json`: ratios to aiokafka's code in the same run."""
    stored = json.loads((RESULTS / "records.json").read_text())
    found: dict[str, float] = stored["results"]

    def row(name: str, key: str, judge: str, aim: str = "") -> str:
        ratio = found[judge] / found[key]
        rate = 1e3 / found[key]
        return f"| {name} | {found[key]:.1f} ns | {rate:.1f} | {ratio:.1f} | {aim} |"

    make, read = "make_batches[aiokafka_batches]", "read_records[aiokafka_records]"
    fields = "read_records[aiokafka_fields]"
    lines = [
        f"`{stored['command']}`, {stored['unit']}:",
        "",
        "| what | a record | million/s | times faster than aiokafka | aim |",
        "|---|---|---|---|---|",
        row("batches of 16 KB from tuples", "make_batches[kstore_batches]", make),
        row("columns appended to a log, whole", "append_to_log[columns]", make, "10 times"),
        row("lists appended to a log, whole", "append_to_log[lists]", make),
        row("records iterated", "read_records[kstore_records]", read),
        row(
            "columns of a log, whole; against iterating and keeping each field",
            "read_log_as_columns",
            fields,
            "20 million/s, 20 times",
        ),
        row("the same, against iterating alone", "read_log_as_columns", read, "20 times"),
        "",
        (
            f"aiokafka itself: {found[make]:.0f} ns to add a record to a batch, "
            f"{found[read]:.0f} ns to iterate one, {found[fields]:.0f} ns if its fields are kept "
            "in lists (with Python's search for garbage); kafka-python: "
            f"{found['make_batches[kafka_python_batches]']:.0f} ns and "
            f"{found['read_records[kafka_python_records]']:.0f} ns."
        ),
    ]
    return "\n".join(lines)


TABLES: dict[str, Callable[[], str]] = {
    "compare_how": lambda: comparison.notes(read_all(RESULTS)),
    "compare_targets": lambda: comparison.targets_table(read_all(RESULTS)),
    "compare_pictures": lambda: comparison.pictures(read_all(RESULTS)),
    "compare_figures": lambda: comparison.figures_table(read_all(RESULTS)),
    "single_node": single_node,
    "steps": steps,
    "lookups": lookups,
    "segments": segments,
    "group_commit": group_commit,
    "recovery": recovery,
    "start_scale": start_scale,
    "upkeep_targets": upkeep_report.targets,
    "upkeep_picture": upkeep_report.picture,
    "upkeep_figures": upkeep_report.figures,
    "engine": engine,
    "records": records,
}


def page(text: str) -> str:
    """The page with each table made anew between its marks."""
    for name, table in TABLES.items():
        begin, end = f"<!-- {name}: generated by bench/report.py -->", f"<!-- /{name} -->"
        before, _, rest = text.partition(begin)
        _, _, after = rest.partition(end)
        text = f"{before}{begin}\n{table()}\n{end}{after}"
    return text


if __name__ == "__main__":
    sys.exit(finish(PAGE, page(PAGE.read_text())))
