"""What a server tells Prometheus about itself."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    PlatformCollector,
    ProcessCollector,
    generate_latest,
)

BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.015, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)


class Metrics:
    """Counters of one application, in a registry of their own.

    Stages of a request: receive (the body), fetch (a query's address), decode, preprocess, encode (waiting
    for the encoder included), search, thumbnail, write.
    """

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        PlatformCollector(registry)
        ProcessCollector(registry=registry)
        self.requests = Histogram(
            "visualsearch_request_seconds",
            "Time from the request's head to the end of its answer",
            ("route", "method", "status"),
            buckets=BUCKETS,
            registry=registry,
        )
        self.stages = Histogram(
            "visualsearch_stage_seconds",
            "Time of each stage of a request",
            ("stage",),
            buckets=BUCKETS,
            registry=registry,
        )
        self.batches = Histogram(
            "visualsearch_encode_batch_size",
            "Pictures or texts encoded together",
            buckets=(1, 2, 4, 8, 16, 32),
            registry=registry,
        )
        self.refused = Counter(
            "visualsearch_refused", "Requests answered 429", ("reason",), registry=registry
        )
        self.pending = Gauge(
            "visualsearch_pending", "Calls that run or wait in a pool", ("pool",), registry=registry
        )
        self.pins = Gauge("visualsearch_index_pins", "Pins in the index", registry=registry)
        self.rows = Gauge("visualsearch_index_rows", "Vectors in the index", registry=registry)
        self.disk = Gauge(
            "visualsearch_index_bytes", "Bytes of the index folder on the disk", registry=registry
        )
        self.recall = Gauge(
            "visualsearch_index_recall", "recall@10 against exact search, as last measured", registry=registry
        )
        self.people_events = Counter(
            "visualsearch_people_events", "Events by what became of them", ("status",), registry=registry
        )
        self.people_deeds = Counter(
            "visualsearch_people_deeds", "Saves, follows and comments made", ("kind",), registry=registry
        )
        self.people_upkeep = Counter(
            "visualsearch_people_upkeep",
            "Sessions forgotten, events rolled and expired, saves marked or restored by upkeep",
            ("step",),
            registry=registry,
        )
        self.live_lists = Counter(
            "visualsearch_live_lists",
            "Lists that an experiment, swapped neighbours or fresh pins changed, and those where an arm failed",
            ("what",),
            registry=registry,
        )
        self.trust_judged = Counter("visualsearch_trust_judged", "Saves that were judged", registry=registry)
        self.trust_verdicts = Counter(
            "visualsearch_trust_verdicts", "Verdicts that rules made", registry=registry
        )
        self.trust_hidden = Gauge(
            "visualsearch_trust_hidden_pins", "Pins that verdicts hide now", registry=registry
        )
        self.trust_impressions = Gauge(
            "visualsearch_trust_impressions", "Impressions of the last 24 hours", registry=registry
        )
        self.trust_prevalence = Gauge(
            "visualsearch_trust_prevalence",
            "Share of the last 24 hours' impressions on spam: as judged, and if all that waits were spam",
            ("bound",),
            registry=registry,
        )
        self.cache = Gauge(
            "visualsearch_cache_bytes", "Bytes held in memory by a store", ("store",), registry=registry
        )

    def observe(self, stage: str, seconds: float) -> None:
        """Count one run of a stage."""
        self.stages.labels(stage).observe(seconds)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Time the block as a stage."""
        started = time.perf_counter()
        try:
            yield
        finally:
            self.observe(name, time.perf_counter() - started)

    def text(self) -> bytes:
        """All of it in Prometheus' text format."""
        return generate_latest(self.registry)
