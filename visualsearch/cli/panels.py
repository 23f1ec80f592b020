"""Under which heading `--help` shows each option. An option that sets `rich_help_panel` itself keeps its own."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from typer.core import TyperGroup

_NAMES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "Source": (
            *("prune", "include", "regions", "replace", "check_content"),  # index, embed
            *(
                "what",
                "column",
                "constant",
                "dates",
                "address",
                "source",
                "manifest",
            ),  # people
            *(
                "people",
                "start",
                "seed",
                "saves_per_person",
                "sessions_per_day",
                "record",
                "into_real",
                "remove",
            ),  # world
            *(
                "accounts",
                "texts",
                "graph",
                "ask",
                "wrong",
                "runs",
                "effect",
            ),  # bench trust, bench experiments
            *(
                "name",
                "arm",
                "unit",
                "group",
                "share",
                "holdback",
                "expect",
                "per_person_days",
                "since",
                "ramp",
                "surface",
                "kind",
                "sets",
            ),  # experiment
            *(
                "metric",
                "guard",
                "subgroup",
                "reason",
                "number",
                "numbers",
                "apply",
                "interleaving",
            ),  # experiment
            *(
                "by",
                "epsilon",
                "weeks",
                "until",
                "held_out",
                "held_by",
                "fewest",
                "utm",
                "domain",
                "slots",
                "merchant_name",
                "dns",
                "check",
                "month",
                "living",
                "nothing_since",
                "when",
                "remark",
                "glow",
            ),  # insight
            *("labels", "clicks", "variants", "undo", "adapted", "ranker"),  # adapt, bench, learn
            *("everything", "only_ask", "case", "verdict", "ask", "answer"),  # trust
            *("world", "attack", "heavy"),  # bench trust
            *("data", "photos", "tasks", "scenes", "others", "limit"),  # bench
            *("follows", "no_follows", "peers", "only", "again", "budget", "seed"),  # bench recommend, learn
        ),
        "Query": (
            *("crop", "text", "not_text", "like", "unlike", "weight", "where"),
            *("box", "finder", "sure", "label_by", "word", "pin"),  # look
            *("person", "section", "personal"),  # ideas, search
            *("cursor", "less"),  # feed
            *("pages",),  # promote products
        ),
        "Results": (
            *("k", "offset", "min_score", "group_by", "rank"),
            *("most", "prefer", "repeat", "diversity", "unsure", "goes_with", "similar"),
            *("failures", "excluded"),  # info
            *("boards", "why"),  # related, ideas
            *("products",),  # search, look
        ),
        "Model": ("model", "learn", "device", "precision", "compiled"),
        "Index": ("preset", "recall", "latency_ms", "samples", "seconds"),
        "Cluster": ("ray", "actors", "actor_cpus", "actor_gpus"),
        "Server": (
            *("host", "port", "server", "firefox", "promote", "live"),
            *("swaps", "explore", "explore_floor"),
        ),
        "Access": (
            *("new_key", "days", "public", "allow_host", "allow_private", "allow_extension", "trust_proxy"),
            *("token", "resume", "revoke"),
        ),
        "Limits": (
            "workers",
            "batch",
            "max_pixels",
            "memory",
            "rate",
            "event_rate",
            "trust",
            "keep_events",
            "max_body",
            "queue",
            "shard_rows",
        ),
        "Output": ("to", "as_json", "html", "show", "collection", "work", "check_only", "after"),
        "About": ("version", "debug"),
    }
)
PANELS: Mapping[str, str] = MappingProxyType(
    {name: panel for panel, names in _NAMES.items() for name in names}
)
"""A parameter's name -> its heading."""


class Panels(TyperGroup):
    """A group of commands whose options stand under headings."""

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """The command, its options under their headings."""
        command = super().get_command(ctx, cmd_name)
        for option in command.params if command is not None else ():
            if getattr(option, "rich_help_panel", "") is None:
                option.rich_help_panel = PANELS.get(option.name or "")  # type: ignore[attr-defined]
        return command

    def get_params(self, ctx: Any) -> Any:
        """The group's own options, too."""
        params = super().get_params(ctx)
        for option in params:
            if getattr(option, "rich_help_panel", "") is None:
                option.rich_help_panel = PANELS.get(option.name or "")  # type: ignore[attr-defined]
        return params
