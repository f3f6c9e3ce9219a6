"""What a `decode` experiment gave: its points, and the metrics that may be published of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import isnan
from typing import TYPE_CHECKING, Any

from simulator.errors import ConfigError, nearest, one_of

if TYPE_CHECKING:
    import pandas as pd

POINT = ("run", "system", "model", "devices", "batch", "input", "output")
VALUES = ("ttft_s", "latency_s", "tokens_per_s", "decode_tokens_per_s")
METRICS = {"ttft": "ttft_s", "latency": "latency_s", **{name: name for name in VALUES[2:]}}


@dataclass(frozen=True)
class DecodeOutcome:
    """Rows of points, one a length of a run; the configs behind them."""

    points: list[dict[str, Any]]
    inputs: dict[str, Any]

    def frames(self) -> dict[str, pd.DataFrame]:
        import pandas as pd

        return {"points": pd.DataFrame(self.points)}

    def measure(self, metric: str, condition: Mapping[str, Any]) -> float | None:
        """A metric by name, under a condition that only one point meets.

        Conditions are `run`, `system`, `model`, `devices`, `batch`, `input` and `output`. `ttft` and `latency` are the
        seconds to the first and to the last token; `tokens_per_s` the tokens of all sequences over
        `latency`; `decode_tokens_per_s` those after the first of each, over the time after the first.
        """
        if metric not in METRICS:
            close = nearest(metric, METRICS)
            raise ConfigError("no such metric", found=metric, expected=one_of(METRICS), nearest=close)
        value = self.point(condition)[METRICS[metric]]
        return None if isnan(value) else float(value)

    def point(self, condition: Mapping[str, Any]) -> dict[str, Any]:
        """The one point that meets a condition; ConfigError where there is none, or more."""
        for key in condition:
            if key not in POINT:
                raise ConfigError("no such condition", found=key, expected=one_of(POINT), nearest=nearest(key, POINT))
        found = [point for point in self.points if condition.items() <= point.items()]
        if len(found) != 1:
            several = f"one point; {len(found)} of the runs {one_of(dict.fromkeys(p['run'] for p in found))} meet it"
            expected = several if found else "one of the lengths of a run"
            raise ConfigError("no such point in the experiment", found=dict(condition), expected=expected)
        return found[0]
