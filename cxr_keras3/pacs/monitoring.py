"""What the gateway tells a Prometheus server of itself. No label names a study or a patient."""

from functools import partial

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, start_http_server

from cxr_keras3.base.errors import UserError
from cxr_keras3.pacs.state import STAGES
from cxr_keras3.run.drift import Stream


class Monitoring:
    """The gateway's figures; counters begin at zero when it starts.

    Attributes:
        registry: What is served.
        films: Images of chest studies by outcome: "scored", "flagged" (counted under "scored" too), "refused".
        studies: Studies by stage, from the state file.
        failures: Attempts in vain by kind: "server away", "study".
        server_up: 1 where the archive answered last time, else 0.
        last_pass: When all studies were last gone through, in seconds since 1970.
        drift: Kolmogorov-Smirnov statistic of the last films against the validation films, by measure.
        drift_alarm: 1 where they differ by it, else 0.
        study_seconds: From the first request for a study to its report in the archive.
    """

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        counter, gauge = partial(Counter, registry=self.registry), partial(Gauge, registry=self.registry)
        self.films = counter("cxr_pacs_films", "Images looked at, by outcome", ["outcome"])
        self.studies = gauge("cxr_pacs_studies", "Studies with a radiograph, by stage", ["stage"])
        self.failures = counter("cxr_pacs_failures", "Attempts in vain, by kind", ["kind"])
        self.server_up = gauge("cxr_pacs_server_up", "1 where the archive answered last time")
        self.last_pass = gauge("cxr_pacs_last_pass_timestamp_seconds", "When all was last gone through")
        self.drift = gauge("cxr_pacs_drift", "How far the last films differ from validation, 0 to 1", ["measure"])
        self.drift_alarm = gauge("cxr_pacs_drift_alarm", "1 where the last films differ from validation", ["measure"])
        self.study_seconds = Histogram(
            "cxr_pacs_study_seconds", "Fetching, scoring and storing a study", registry=self.registry
        )
        for outcome in ("scored", "flagged", "refused"):
            self.films.labels(outcome)
        for kind in ("server away", "study"):
            self.failures.labels(kind)
        self.show_stages(dict.fromkeys(STAGES, 0))

    def show_drift(self, stream: Stream) -> None:
        """Shows what is known of the last films."""
        for measure, found in stream.found.items():
            self.drift.labels(measure).set(found.statistic)
            self.drift_alarm.labels(measure).set(measure in stream.alarms)

    def show_stages(self, counts: dict[str, int]) -> None:
        """Shows how many studies are at each stage."""
        for stage, count in counts.items():
            self.studies.labels(stage).set(count)


def serve_monitoring(monitoring: Monitoring, address: str) -> None:
    """Serves the page http://ADDRESS/metrics from a thread that ends with the process.

    Raises:
        UserError: Where the address is none, or taken.
    """
    host, _, port = address.rpartition(":")
    try:
        start_http_server(int(port), host, registry=monitoring.registry)
    except (ValueError, OverflowError, OSError) as error:
        raise UserError(f"--metrics must be a free HOST:PORT, received {address} ({error})") from error
