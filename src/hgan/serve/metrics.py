"""Metrics for Prometheus: requests, latency, batch sizes, and the work that runs or waits."""

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
TEXTS = (1, 2, 4, 8, 16, 32, 64)


class Metrics:
    """The metrics of one service."""

    def __init__(self) -> None:
        """Create the metrics; all start at zero."""
        self._registry = CollectorRegistry()
        self.requests = Counter(
            "hgan_requests",
            "Requests that were answered",
            ["method", "route", "status"],
            registry=self._registry,
        )
        self.seconds = Histogram(
            "hgan_request_seconds",
            "Time until a request was answered",
            ["method", "route"],
            buckets=SECONDS,
            registry=self._registry,
        )
        self.batch = Histogram(
            "hgan_text_batch_size",
            "Texts that were encoded together",
            buckets=TEXTS,
            registry=self._registry,
        )
        self._inside = Gauge(
            "hgan_work_inside",
            "Functions that run or wait in a thread pool, by pool",
            ["kind"],
            registry=self._registry,
        )

    def watch(self, kind: str, inside: Callable[[], int]) -> None:
        """Report the number of functions that run or wait in a pool; it is read at each scrape."""
        self._inside.labels(kind).set_function(inside)

    def text(self) -> bytes:
        """All metrics in the text format of Prometheus."""
        return generate_latest(self._registry)
