"""What a Prometheus server reads: requests, how long they took, and how full the lines are."""

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
TEXTS = (1, 2, 4, 8, 16, 32, 64)


class Metrics:
    """The figures of one service."""

    def __init__(self) -> None:
        """All of them at zero."""
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
            "Pieces of work that run or wait, by kind",
            ["kind"],
            registry=self._registry,
        )

    def watch(self, kind: str, inside: Callable[[], int]) -> None:
        """Read how full a line is whenever somebody asks."""
        self._inside.labels(kind).set_function(inside)

    def text(self) -> bytes:
        """All figures, in Prometheus' text format."""
        return generate_latest(self._registry)
