"""What TLS and authentication cost: a plain and a secure cluster, side by side.

    python bench/secure_cost.py --rounds 4 --seconds 5

Three nodes each (`kvorum up`, N=3, R=W=2, every write synced), in their own directories, both
running all the time; only one of them is under load. wrk asks the first node over --connections
connections, with a bearer token where the cluster is secure, by turns: plain, secure, secure,
plain. Throughput, and the processor time of the three nodes per request, which does not have wrk's
own TLS in it.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tempfile
from collections import defaultdict
from pathlib import Path
from typing import NamedTuple

import kvorum

_KEYS = 1000
_NODES = 3
_TICK_S = 1 / os.sysconf("SC_CLK_TCK")
_SCRIPT = """
local token = os.getenv("TOKEN")
if token then wrk.headers["Authorization"] = "Bearer " .. token end
wrk.headers["Content-Type"] = "application/json"
local value = '"' .. string.rep("x", 100) .. '"'
function request()
  local path = "/entry/key" .. math.random(KEYS)
  if os.getenv("PUT") then return wrk.format("PUT", path, nil, value) end
  return wrk.format("GET", path)
end
function done(summary, latency, requests)
  local e = summary.errors
  print("bad " .. (e.connect + e.read + e.write + e.status + e.timeout))
end
"""


class Running(NamedTuple):
    """A cluster that runs. `token`: None where nobody is asked for one."""

    name: str
    process: subprocess.Popen[str]
    url: str
    token: str | None


def start(name: str, directory: Path, port: int) -> Running:
    """Start the cluster "plain" or "secure" and fill it."""
    words = ["up", "-n", str(_NODES), "--data-dir", str(directory), "--port", str(port)]
    words += ["--secure"] if name == "secure" else []
    command = [sys.executable, "-m", "kvorum", *words]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith("cluster ready"):
            found = re.search(r"kvorums?://\S+", line)
            assert found is not None
            break
    else:
        raise SystemExit(f"The {name} cluster did not start.")
    with kvorum.connect(found.group()) as store:
        store.set_many({f"key{n}": "x" * 100 for n in range(1, _KEYS + 1)})
    token_file = directory / "admin.token"
    token = token_file.read_text().strip() if token_file.exists() else None
    scheme = "http" if token is None else "https"
    return Running(name, process, f"{scheme}://127.0.0.1:{port}/", token)


def nodes_of(cluster: Running) -> list[int]:
    """The ids of the processes of its nodes."""
    found = subprocess.check_output(["pgrep", "-P", str(cluster.process.pid)], text=True)
    return [int(word) for word in found.split()]


def processor_s(cluster: Running) -> float:
    """The processor time that its nodes have used, kernel included."""
    ticks = 0
    for process in nodes_of(cluster):
        fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks * _TICK_S


def load(cluster: Running, operation: str, connections: int, seconds: int) -> tuple[float, float]:
    """(requests a second, processor time of the nodes per request in us)."""
    environment = dict(os.environ)
    if cluster.token is not None:
        environment["TOKEN"] = cluster.token
    if operation == "put":
        environment["PUT"] = "1"
    with tempfile.NamedTemporaryFile("w", suffix=".lua") as script:
        script.write(_SCRIPT.replace("KEYS", str(_KEYS)))
        script.flush()
        command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "-s", script.name]
        began = processor_s(cluster)
        told = subprocess.check_output([*command, cluster.url], text=True, env=environment)
        used = processor_s(cluster) - began
    bad = re.search(r"bad (\d+)", told)
    total = re.search(r"(\d+) requests in", told)
    a_second = re.search(r"Requests/sec:\s+([\d.]+)", told)
    if bad is None or total is None or a_second is None or int(bad[1]):
        raise SystemExit(f"wrk failed: {told}")
    return float(a_second[1]), used / int(total[1]) * 1e6


def main() -> None:
    """Parse the options and measure."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--seconds", type=int, default=5)
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument("--port", type=int, default=7600)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        clusters = [
            start(name, Path(directory) / name, asked.port + 10 * number)
            for number, name in enumerate(("plain", "secure"))
        ]
        try:
            for operation in ("get", "put"):
                found = defaultdict[str, list[tuple[float, float]]](list)
                for number in range(asked.rounds):
                    for cluster in clusters if number % 2 == 0 else reversed(clusters):
                        told = load(cluster, operation, asked.connections, asked.seconds)
                        found[cluster.name].append(told)
                for what, at in (("requests/s", 0), ("us of the nodes", 1)):
                    plain, secure = (
                        sum(one[at] for one in found[name]) / len(found[name])
                        for name in ("plain", "secure")
                    )
                    print(f"{operation} {what}: plain {plain:,.0f}, secure {secure:,.0f}, ", end="")
                    print(f"ratio {secure / plain:.3f}", flush=True)
        finally:
            for cluster in clusters:
                cluster.process.terminate()
                cluster.process.wait()


if __name__ == "__main__":
    main()
