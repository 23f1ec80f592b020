"""The page about scale: what `costs.py` measured, as totals at a size, and where one machine ends."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

MEMORY_GB, DISK_GB, CORES = 64.0, 2_000.0, 16
"""A machine that is easy to rent."""
COMPACT_BYTES = 51
"""A row in memory with `ivf-rabitq`, at ten million (`benchmarks/scale.py`)."""
DIMENSIONS, HALF = 512, 2


def _by(lines: Sequence[Mapping[str, Any]]) -> dict[tuple[str, str], Mapping[str, Any]]:
    return {(each["part"], each["what"]): each for each in lines}


def _figure(value: float, error: float | None = None) -> str:
    places = 0 if abs(value) >= 100 else 1 if abs(value) >= 10 else 2
    return f"{value:,.{places}f}" + ("" if error is None else f" ± {error:,.{places}f}")


def page(result: Mapping[str, Any]) -> str:
    """The text of benchmarks/scale.md."""
    known = _by(result["lines"])
    parts = [
        "# What it costs at scale",
        "",
        "Written by `python benchmarks/costs.py --page benchmarks/scale.md` on a machine of "
        f"{result['cores']} cores that others used too. So costs are the processor's own time, bytes and "
        f"memory. {_sizes(result)} Each was measured {_times(_rounds(result))}. A line was fitted to each "
        "cost; ± is the 95 % interval of its slope. What lies beyond the largest size is extrapolated, not "
        "measured, and the interval says nothing of costs that bend. A graph of vectors is built in n log n: "
        "its true cost lies above the line.",
        "",
        "## A million",
        "",
        "| | cost | largest size measured |",
        "| --- | --- | --- |",
    ]
    for each in result["lines"]:
        largest = max(row["size"] for row in result["rows"] if row.get("part") == each["part"])
        told = _figure(each["slope"], each["slope_error"])
        if each["what"] == "query_cpu_ms":
            grows = abs(each["slope"]) > (each["slope_error"] or 0.0)
            told = (
                f"{_figure(each['start'])} ms, and {told} more"
                if grows
                else f"{_figure(each['start'])} ms; no growth was seen"
            )
        parts.append(f"| {each['says']} | {told} | {largest:,} |")
    parts += [
        "",
        "## A thousand requests a second",
        "",
        "The server's processor time for one request is the number of cores that a thousand of them a "
        "second keep busy.",
        "",
        "| request | cores for 1,000 a second | at pins | answered a second here, clients on the same "
        "machine |",
        "| --- | --- | --- | --- |",
    ]
    asked = [row for row in result["rows"] if "kind" in row]
    parts += [
        f"| {row['kind']} | {_figure(row['cpu_ms'])} | {row['pins']:,} | {_figure(row['per_second'])} |"
        for row in asked
    ]
    return "\n".join([*parts, *_ends(known, asked)]) + "\n"


def _sizes(result: Mapping[str, Any]) -> str:
    """The sizes of each part, in words."""
    said = []
    for part, noun in (("pins", "pins"), ("people", "saves"), ("pictures", "pictures")):
        sizes = sorted({row["size"] for row in result["rows"] if row.get("part") == part})
        if sizes:
            said.append(f"{', '.join(f'{size:,}' for size in sizes[:-1])} and {sizes[-1]:,} {noun}")
    return f"Sizes: {'; '.join(said)}."


def _times(count: int) -> str:
    return "once" if count == 1 else "twice" if count == 2 else f"{count} times"


def _rounds(result: Mapping[str, Any]) -> int:
    sizes = [(row["part"], row["size"]) for row in result["rows"] if "part" in row]
    return max((sizes.count(each) for each in sizes), default=0)


def _total(each: Mapping[str, Any], millions: float) -> str:
    value = each["start"] + millions * each["slope"]
    if each["slope_error"] is None:
        return _figure(value)
    return _figure(value, (each["start_error"] ** 2 + (millions * each["slope_error"]) ** 2) ** 0.5)


def _ends(
    known: Mapping[tuple[str, str], Mapping[str, Any]], asked: Sequence[Mapping[str, Any]]
) -> list[str]:
    needed = [
        ("pins", "memory_mb"),
        ("pins", "disk_mb"),
        ("people", "disk_mb"),
        ("people", "learnt_mb"),
        ("pictures", "embed_cpu_s"),
    ]
    if any(each not in known for each in needed) or not asked:
        return []
    memory, disk, saves, graph, embed = (known[each] for each in needed)
    held = (0.8 * MEMORY_GB * 1000 - memory["start"]) / memory["slope"]
    stored = 0.8 * DISK_GB * 1000 / disk["slope"]
    hours = embed["slope"] / 3600 / CORES
    picture = max((row["cpu_ms"] for row in asked if row["kind"] == "search by picture"), default=0.0)
    save = max((row["cpu_ms"] for row in asked if row["kind"] == "save"), default=0.0)
    return [
        "",
        "## Ten million pins, a hundred million saves, a million people",
        "",
        f"- Pins: {_total(memory, 10)} MB of memory with `hnsw`, {_figure(10 * COMPACT_BYTES)} MB with "
        "`ivf-rabitq`, which was "
        f"measured at this size ({COMPACT_BYTES} bytes a row); {_total(disk, 10)} MB on disk; "
        f"{_total(known['pins', 'build_cpu_s'], 10)} "
        f"core seconds to index with `hnsw`, and {_total(embed, 10)} to embed the pictures.",
        f"- Saves: {_total(saves, 100)} MB in the record, {_total(known['people', 'import_cpu_s'], 100)} "
        "core seconds to import them; "
        f"the graph has {_total(graph, 100)} MB, which are mapped, and takes "
        f"{_total(known['people', 'learn_cpu_s'], 100)} core seconds.",
        "",
        "## Where one machine ends",
        "",
        f"Of a machine with {CORES} cores, {MEMORY_GB:.0f} GB of memory and {DISK_GB / 1000:.0f} TB of "
        "disk, in the order in which they come:",
        "",
        f"1. **Embedding.** {_figure(hours)} hours for a million pictures with all cores and no GPU. It "
        "is done once for each picture, and is "
        "the first to move elsewhere: `visualsearch embed --ray` on as many machines as there are; its "
        "time is divided by their cores.",
        f"2. **Searches by picture.** One takes {_figure(picture)} ms of a core over HTTP, of which embedding "
        f"is about {_figure(embed['slope'] / 1000)}: {_figure(1000 * CORES / picture)} a second with all "
        "cores. Servers are stateless over one index and one PostgreSQL: more of them stand behind a proxy.",
        f"3. **Memory of the vectors.** `hnsw` fills four fifths of the memory at {_figure(held)} million pins. "
        f"This counts mapped vectors ({DIMENSIONS * HALF:,} bytes a row), which the system may drop and read "
        "again at a disk's speed. `ivf-rabitq` keeps "
        f"{COMPACT_BYTES} bytes a row in memory, so the disk is its end: {_figure(stored)} million pins. "
        "Nothing beyond ten million was measured.",
        f"4. **Saves.** SQLite has one writer. A save takes {_figure(save)} ms of a core over HTTP. "
        "PostgreSQL is the way up, for several "
        "servers write to it at once; its own machine is then the end.",
        "",
        "## Above that",
        "",
        "The path exists and is run as one test (`tests/people/test_together.py`): Ray embeds shards, "
        "Milvus serves the vectors, PostgreSQL keeps "
        "people, several servers share both behind nginx, and one of them is killed and comes back. "
        "What that costs at size was not measured: "
        "there was no cluster to measure it on. What is known: embeddings need no exchange between "
        "machines, so their cost is the "
        "line above over more cores. A Milvus collection holds float vectors and an index of its own, "
        "so plan with Milvus's figures for "
        "memory, not with these. The graph of saves is learnt by one machine: its memory is the end of "
        "that part.",
    ]
