"""What a real node's memory does where nobody reads its answers."""

from __future__ import annotations

import socket
from contextlib import ExitStack
from pathlib import Path

from kit.program import kvorum
from kit.waiting import eventually

from kvorum.client.synchronous import connect
from kvorum.devcluster.ports import free_port

KEYS = [f"k{i}" for i in range(30)]
CLIENTS = 40
MARGIN = 60_000_000
"""For a quarter of the node's memory, copies while an answer is made, and what the allocator keeps;
the clients ask for twelve times as much."""


def most_resident(pid: int) -> int:
    """So far, in bytes."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:"))


def test_clients_that_do_not_read_do_not_fill_the_memory(tmp_path: Path) -> None:
    port = free_port(1)
    body = '{"keys":["' + '","'.join(KEYS) + '"]}'
    head = "POST /entries/get HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    asked = f"{head}Content-Length: {len(body)}\r\n\r\n{body}"
    with (
        kvorum("serve", "--data-dir", tmp_path, "--port", port, "--memory", "64MB") as node,
        ExitStack() as sockets,
    ):
        node.line()
        with connect(f"kvorum://127.0.0.1:{port}?timeout=60") as client:
            for key in KEYS:
                client.set(key, "x" * 1_000_000)
            assert len(client.get_many(KEYS)) == len(KEYS)
            before = most_resident(node.pid)
            for _ in range(CLIENTS):
                silent = sockets.enter_context(socket.create_connection(("127.0.0.1", port)))
                silent.sendall(asked.encode() * 5)

            def one_is_given_up() -> bool:
                client.get_entries(KEYS[:10])
                return any("cut off a client" in line for line in node.errors)

            eventually(one_is_given_up, "the bound to be met")

            assert most_resident(node.pid) < before + MARGIN
            assert client.get(KEYS[0]) == "x" * 1_000_000
        assert node.stopped() == 0
