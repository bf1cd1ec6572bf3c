"""The health check of the container: exits with 0 if the node in it answers GET /health.

The node listens at the address that the container's host name has, or at all of them. PORT is
KVORUM_PORT, or 7400. A node with TLS is asked over TLS: KVORUM_CA is the certificate of its
authority.
"""

from __future__ import annotations

import http.client
import os
import socket
import ssl
import sys

TIMEOUT_S = 2.0


def connect(host: str, port: int) -> http.client.HTTPConnection:
    """A connection that is not open yet."""
    authority = os.environ.get("KVORUM_CA")
    if authority is None:
        return http.client.HTTPConnection(host, port, timeout=TIMEOUT_S)
    context = ssl.create_default_context(cafile=authority)
    return http.client.HTTPSConnection(host, port, timeout=TIMEOUT_S, context=context)


def check(host: str, port: int) -> str:
    """Why the node at `host` and `port` is not healthy; empty if it is."""
    connection = connect(host, port)
    try:
        # Any server answers to localhost; the container's name is perhaps not known to it.
        connection.request("GET", "/health", headers={"Host": "localhost"})
        answer = connection.getresponse()
    except (OSError, http.client.HTTPException) as error:
        return f"no answer from {host}:{port}: {error}"
    finally:
        connection.close()
    return "" if answer.status == 200 else f"{host}:{port} answers with status {answer.status}"


if __name__ == "__main__":
    sys.exit(check(socket.gethostname(), int(os.environ.get("KVORUM_PORT", "7400"))) or 0)
