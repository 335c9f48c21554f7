"""The comparison's part of docs/performance.md, made from bench/results/compare-*.json."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bench.compare.results import Result
from bench.compare.targets import KSTORE, TARGETS, Target, counts

NOT_YET = "Not measured yet: `make bench-compare`."
NAMES = {"kstore": "kstore", "kafka": "Kafka", "tansu": "Tansu", "crabka": "Crabka"}
EXTRA = {"sendfile": "bare sendfile", "bare": "no broker"}
MACHINE = "machine"
PICTURES = {
    "ratios": "How many times better than Kafka kstore is in each case",
    "costs": "Processor and memory that each broker needs",
    "latencies": "The distribution of latencies of each broker",
}
METRICS = {
    "processor_us_per_request": "processor per request",
    "processor_s_per_gb": "processor per GB",
    "gb_per_s": "throughput",
    "requests_per_s": "requests",
    "p50_us": "p50",
    "p99_us": "p99",
    "p99.9_us": "p99.9",
    "resident_mb": "resident memory",
    "anonymous_mb": "anonymous memory",
    "ready_s": "ready",
    "first_acknowledged_s": "first acknowledged produce",
}
# The longest name first: "s" ends many.
UNITS = {
    "_us_per_request": "µs",
    "_s_per_gb": "s/GB",
    "gb_per_s": "GB/s",
    "mb_per_s": "MB/s",
    "requests_per_s": "/s",
    "_us": "µs",
    "_ms": "ms",
    "_mb": "MB",
    "_s": "s",
}


def targets_table(results: Mapping[str, Result]) -> str:
    """Each target of a case that was measured: the figures, the ratio, and whether it is met."""
    if not results:
        return NOT_YET
    met, missed, unknown = counts(results)
    lines = [
        f"{met} targets met, {missed} missed, {unknown} without a figure.",
        "",
        "| case | what | kstore | beside it | ratio | target | |",
        "|---|---|---|---|---|---|---|",
    ]
    told = ""
    for target in TARGETS:
        if (result := results.get(target.case)) is None:
            continue
        title = "" if told == result.case else result.title
        told = result.case
        lines.append(f"| {title} | {' | '.join(_row(target, result))} |")
    return "\n".join(lines)


def _row(target: Target, result: Result) -> list[str]:
    own = result.median(KSTORE, target.metric)
    figure = target.figure(result)
    beside = ratio = ""
    if target.beside:
        other = result.median(target.beside, target.to_metric or target.metric)
        name = _name(target.beside)
        if target.beside == KSTORE:  # another figure of the same case: none_…, uncommitted_…
            name = target.to_metric.partition("_")[0].replace("none", "uncompressed")
        beside = f"{name} {shown(target.metric, other)}"
        ratio = "-" if figure is None else f"{figure:.2f}"
    met = {True: "met", False: "**missed**", None: "no figure"}[target.is_met(result)]
    return [
        metric_name(target.metric),
        shown(target.metric, own),
        beside,
        ratio,
        bound(target),
        met,
    ]


def bound(target: Target) -> str:
    """The target in words: "at most 1/4", "at least 5", "at most 15 µs"."""
    limit = target.at_most if target.at_most is not None else target.at_least
    assert limit is not None, target
    words = "at most" if target.at_most is not None else "at least"
    if not target.beside:
        return f"{words} {shown(target.metric, limit)}"
    return f"{words} {f'1/{round(1 / limit)}' if limit < 1 else f'{limit:g}'}"


def pictures(results: Mapping[str, Result]) -> str:
    """The links to what plots.py draws."""
    if not results:
        return NOT_YET
    return "\n\n".join(f"![{words}](images/compare-{name}.png)" for name, words in PICTURES.items())


def figures_table(results: Mapping[str, Result]) -> str:
    """All figures of all contestants, medians of the rounds."""
    if not results:
        return NOT_YET
    contestants = [
        name
        for name in (*NAMES, *EXTRA)
        if any(result.rounds.get(name) for result in results.values())
    ]
    lines = [
        "| case | figure | " + " | ".join(map(_name, contestants)) + " |",
        "|---|---|" + "---|" * len(contestants),
    ]
    order = dict.fromkeys(
        [*(target.case for target in TARGETS if target.case in results), *results]
    )
    for result in map(results.__getitem__, order):
        title = result.title
        for metric in _metrics(result):
            figures = [shown(metric, result.median(name, metric)) for name in contestants]
            lines.append(f"| {title} | {metric_name(metric)} | {' | '.join(figures)} |")
            title = ""
    return "\n".join(lines)


def _metrics(result: Result) -> list[str]:
    """What is worth a row: zero errors are not, nor costs per GB of records of 100 bytes."""
    rounds = [one for name in (*NAMES, *EXTRA) for one in result.rounds.get(name, [])]
    names = list(dict.fromkeys(metric for one in rounds for metric in one.metrics))
    dull = {"errors", "processor_cores", "max_us", "p95_us"}
    if any(result.values(KSTORE, "errors")):
        dull.remove("errors")
    # Small requests are judged by the request, large ones by the byte.
    large = (result.median(KSTORE, "gb_per_s") or 0) > 0.1
    dull |= (
        {"requests_per_s", "processor_us_per_request"}
        if large
        else {"gb_per_s", "processor_s_per_gb"}
    )
    return [name for name in names if name not in dull]


def notes(results: Mapping[str, Result]) -> str:
    """How it was measured, who took part, and who did not and why."""
    if not results:
        return NOT_YET
    runs: dict[str, list[str]] = {}
    for result in results.values():
        runs.setdefault(_how(result.run), []).append(result.case)
    lines = [
        f"{how}{'' if len(runs) == 1 else ': ' + ', '.join(cases)}." for how, cases in runs.items()
    ]
    minutes = sum(result.run.get("seconds", 0) for result in results.values()) / 60
    lines += [f"The whole took {minutes:.0f} minutes.", "", *_machine(results)]
    versions = {n: v for result in results.values() for n, v in result.brokers.items()}
    lines += [f"- {_name(name)}: {version}" for name, version in versions.items()]
    left_out: dict[tuple[str, str], list[str]] = {}
    for result in results.values():
        for name, reason in result.left_out.items():
            left_out.setdefault((name, reason), []).append(result.case)
    for (name, reason), cases in left_out.items():
        where = f" in {', '.join(cases)}" if name in versions else ""
        lines.append(f"- {_name(name)} is left out{where}: {reason}")
    return "\n".join(lines)


def _how(run: Mapping[str, Any]) -> str:
    return (
        f"Commit {run['commit']}, {run['machine']}, Python {run['python']}, {run['rounds']} rounds "
        f"of each broker in turn, after {run['warm_up_s']:g} s of load for a JVM"
        + ("" if run["scale"] == 1 else f", at {run['scale']:g} of the full length")
    )


def _machine(results: Mapping[str, Result]) -> list[str]:
    for result in results.values():
        if rounds := result.rounds.get(MACHINE):
            told = [
                f"{metric_name(metric)} {shown(metric, result.median(MACHINE, metric))}"
                for metric in rounds[0].metrics
            ]
            return [f"- The machine: {', '.join(told)}"]
    return []


def shown(metric: str, value: float | None) -> str:
    """A figure with its unit, to three digits, large microseconds as milliseconds."""
    if value is None:
        return "-"
    unit = next((unit for end, unit in UNITS.items() if metric.endswith(end)), "")
    if unit == "µs" and value >= 1000:
        value, unit = value / 1000, "ms"
    digits = f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
    return f"{digits}{unit}" if unit.startswith("/") else f"{digits} {unit}".strip()


def metric_name(metric: str) -> str:
    """In words, without the unit: `lz4_gb_per_s` is "lz4 throughput"."""
    for known, words in METRICS.items():
        if metric == known or metric.endswith(f"_{known}"):
            return f"{metric[: -len(known)].replace('_', ' ')}{words}"
    end = next((end for end in UNITS if metric.endswith(end)), "")
    return metric.removesuffix(end).replace("_", " ").strip()


def _name(broker: str) -> str:
    return NAMES.get(broker) or EXTRA.get(broker, broker)
