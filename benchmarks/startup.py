"""Cold starts of the command, against `python -c "import numpy"`.

Bounds: `tiersim --help` 4 times, `tiersim estimate ... --json` 8 times as long; no pandas, matplotlib or pint in it.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time

WORKLOAD = {"hardware": "dgx-a100", "model": "llama-3-70b", "batch": 8, "input": 2048, "output": 256}
ESTIMATE = ["estimate", *(f"--{option}={value}" for option, value in WORKLOAD.items()), "--json"]
COMMANDS: dict[str, tuple[list[str], float]] = {
    "import numpy": (["-c", "import numpy"], 1.0),
    "tiersim --help": (["-m", "simulator", "--help"], 4.0),
    "tiersim estimate": (["-m", "simulator", *ESTIMATE], 8.0),
}
ROUNDS = 9
SPY = (
    "import sys, simulator.cli as c; sys.argv[1:] = {}\n"
    "try: c.main()\n"
    "finally: print([m for m in ('pandas', 'matplotlib', 'pint') if m in sys.modules], file=sys.stderr)"
)


def seconds(arguments: list[str]) -> float:
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    start = time.perf_counter()
    subprocess.run([sys.executable, *arguments], stdout=subprocess.DEVNULL, check=True, env=environment)
    return time.perf_counter() - start


if __name__ == "__main__":
    times: dict[str, list[float]] = {name: [] for name in COMMANDS}
    for _ in range(ROUNDS + 1):  # in turn, so that all see the same noise; the first round warms the caches
        for name, command in COMMANDS.items():
            times[name].append(seconds(command[0]))
    failed = False
    for name, command in COMMANDS.items():
        ratio = statistics.median(a / b for a, b in zip(times[name][1:], times["import numpy"][1:], strict=True))
        print(f"{name}: {statistics.median(times[name][1:]) * 1e3:.0f} ms, {ratio:.1f} times import numpy")
        failed |= ratio > command[1]
    spied = subprocess.run([sys.executable, "-c", SPY.format(ESTIMATE)], capture_output=True, text=True).stderr.strip()
    print(f"estimate imports of pandas, matplotlib, pint: {spied}")
    sys.exit("beyond a bound" if failed or spied != "[]" else 0)
