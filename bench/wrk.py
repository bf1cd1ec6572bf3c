"""Load by wrk: several processes at once, one for each target, their results merged.

Only the comparison with etcd uses it: there the load has to be made by a tool that belongs to
neither side, and that takes as little of the machine as can be. All else is loaded by
`kvorum.bench`.

wrk takes one URL, so connections are spread over servers by one process per server. The
number of processes is always the same, and each has one thread; to put all connections on
one server, name it several times.

wrk measures from sending a request to its whole answer, and in a closed loop. It adds what
it believes a slow answer has kept it from measuring ("correction of coordinated omission"),
so there are more latencies than requests, and a stall weighs more than in plain counting.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from itertools import count
from pathlib import Path
from typing import Any, Final

from comparison import Turn
from side_by_side import Candidate, Plan
from system import Target, key_name

from kvorum.client.url import host_port
from kvorum.model.errors import ConfigError, KvorumError

_HERE: Final = Path(__file__).parent
_MARK: Final = "RESULT "
_GRACE_S: Final = 60

_process_numbers: Final = count(1)


def load(candidate: Candidate, operation: str, plan: Plan, duration_s: int) -> Turn:
    """Put the load of `plan` on a cluster. Raises KvorumError if a process fails."""
    script = candidate.system.scripts[operation]
    return run(script, candidate.servers, plan.connections, plan.keys, duration_s)


def run(
    script: str, targets: Sequence[Target], connections: int, keys: int, duration_s: int
) -> Turn:
    """Put `script` on `targets`. Raises KvorumError if a process fails."""
    turn = Turn()
    with ExitStack() as stack:
        processes = [
            stack.enter_context(_Process(script, target, share, keys, duration_s))
            for target, share in zip(targets, shares(connections, len(targets)), strict=True)
        ]
        for process in processes:
            add(turn, process.result())
    return turn


def add(turn: Turn, result: dict[str, Any]) -> None:
    """Add to `turn` what one process has measured, as told by load.lua."""
    turn.requests += result["requests"]
    turn.per_second += result["requests"] / (result["duration_us"] / 1e6)
    turn.errors.update({kind: n for kind, n in result["errors"].items() if n})
    for microseconds, times in result["latency_us"]:
        turn.latencies.record(microseconds * 1000, times)


def shares(whole: int, parts: int) -> list[int]:
    """`whole` in `parts` as equal as can be."""
    return [whole // parts + (i < whole % parts) for i in range(parts)]


def version() -> str:
    # wrk has no option that prints its version and succeeds.
    answer = subprocess.run([_executable(), "-v"], capture_output=True, text=True, check=False)
    return answer.stdout.partition(" [")[0]


class _Process:
    """One wrk process; it is ended with the `with` block."""

    def __init__(
        self, script: str, target: Target, connections: int, keys: int, duration_s: int
    ) -> None:
        self._timeout_s = duration_s + _GRACE_S
        self._numbers = [n for n in range(keys) if target.is_asked_for(key_name(n))]
        self._command = [
            *(_executable(), "-t1", f"-c{connections}", f"-d{duration_s}s"),
            *("-s", str(_HERE / script), f"http://{host_port(target.server)}/"),
            *("--", str(next(_process_numbers)), str(keys)),
        ]

    def __enter__(self) -> _Process:
        self._file = tempfile.NamedTemporaryFile("w", suffix=".keys")
        self._file.write("".join(f"{number}\n" for number in self._numbers))
        self._file.flush()
        self._process = subprocess.Popen(
            [*self._command, self._file.name],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._process.kill()
        self._process.communicate()
        self._file.close()

    def result(self) -> dict[str, Any]:
        try:
            output, _ = self._process.communicate(timeout=self._timeout_s)
        except subprocess.TimeoutExpired as error:
            raise KvorumError(f"wrk did not end when its time was up: {error}") from error
        for line in output.splitlines():
            if line.startswith(_MARK):
                found: dict[str, Any] = json.loads(line.removeprefix(_MARK))
                return found
        raise KvorumError(f"{' '.join(self._command)} printed no result but: {output}")


def _executable() -> str:
    found = shutil.which("wrk")
    if found is None:
        raise ConfigError(
            "wrk is not installed. Install it, for example with `apt-get install wrk`."
        )
    return found
