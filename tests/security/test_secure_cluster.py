"""A secure cluster of real nodes, from outside: what is refused, and where no secret is."""

from __future__ import annotations

import json
import shutil
import socket
import ssl
import subprocess
import sys
from pathlib import Path

import pytest
from kit.node import FakeNode
from kit.secure_cluster import NODES, SecureCluster, ask_on
from kit.waiting import eventually
from kit.web import routes_of

from kvorum.certificates.authority import Authority

PROBES = {"/health", "/ready"}
TARGETS = {"{key}": "other:k", "{id}": "a1", "{name}": "orders"}
OF_ENTRIES = {"/entry", "/entry/{key}", "/entries", "/entries/count", "/locate", "/locate/{key}"}


def routes() -> list[tuple[str, str]]:
    served = routes_of(FakeNode()).served
    return [(method, path) for path, methods in served.items() for method in methods]


def command(*words: str | Path) -> subprocess.CompletedProcess[str]:
    """A command, as a process of its own."""
    program = [sys.executable, "-m", "kvorum", *map(str, words)]
    return subprocess.run(program, capture_output=True, text=True, check=False, timeout=60)


def target_of(path: str) -> str:
    for name, value in TARGETS.items():
        path = path.replace(name, value)
    return path + "?key=other:k" if path in ("/entry", "/locate") else path


@pytest.mark.parametrize("token", [None, "nonsense", "kvt_0123456789ab_" + "x" * 43])
def test_no_route_but_the_probes_answers_strangers(
    secure: SecureCluster, token: str | None
) -> None:
    for method, path in routes():
        # A body declares what it wants to do; whoever is unknown has none read.
        body: dict[str, str] | None = {} if method in ("POST", "PUT", "PATCH", "DELETE") else None
        status, answer = secure.ask(method, target_of(path), token, body)
        if path in PROBES and token is None:
            assert status == 200, path
        else:
            # Who fails too often is told to wait.
            assert status == 401 or (token is not None and status == 429), (method, path, answer)
    assert secure.ask("GET", "/whoami", secure.token)[0] == 200


def test_a_token_opens_its_namespace_and_prefix_only(secure: SecureCluster) -> None:
    grant = {"role": "writer", "namespace": "default", "prefix": "mine:"}
    token = secure.make_token(name="narrow", grants=[grant])
    assert secure.ask("PUT", "/entry/mine:1", token, 1)[0] in (200, 201)
    for method, path in routes():
        if path not in OF_ENTRIES or method in ("POST", "DELETE", "PATCH"):
            continue
        elsewhere = target_of(path)
        body = 1 if method == "PUT" else None
        assert secure.ask(method, elsewhere, token, body)[0] == 403, (method, path)
    assert secure.ask("GET", "/entry/mine:1?namespace=orders", token)[0] in (403, 404)
    for method, path in (("GET", "/status"), ("GET", "/tokens"), ("POST", "/snapshots")):
        assert secure.ask(method, path, token)[0] == 403
    assert secure.ask("DELETE", "/namespaces/default", token)[0] == 403


def test_a_revoked_token_is_refused_by_all_nodes_on_open_connections(
    secure: SecureCluster,
) -> None:
    token = secure.make_token(name="brief", grants=[{"role": "reader"}])
    open_ones = [secure.connect(node) for node in range(NODES)]
    for connection in open_ones:
        assert ask_on(connection, "GET", "/entry/none", token)[0] == 404
    status, answer = secure.ask("DELETE", f"/tokens/{token.split('_')[1]}", secure.token)
    assert status == 200
    assert json.loads(answer)["not_yet"] == []
    for connection in open_ones:
        # 429: this source has failed too often in other tests.
        assert ask_on(connection, "GET", "/entry/none", token)[0] in (401, 429)
        connection.close()


def test_the_last_administrator_stays(secure: SecureCluster) -> None:
    own = secure.token.split("_")[1]
    status, answer = secure.ask("DELETE", f"/tokens/{own}", secure.token)
    assert status == 400
    assert b"last administrator" in answer
    assert secure.ask("GET", "/tokens", secure.token)[0] == 200


def test_a_web_page_can_change_nothing(secure: SecureCluster) -> None:
    for fields in (
        {"Origin": "https://evil.example"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Content-Type": "text/plain"},
    ):
        status, _ = secure.ask("POST", "/entry", secure.token, {"key": "k", "value": 1}, fields)
        assert status in (403, 415), fields
    assert secure.ask("GET", "/entry/k", secure.token, None, {"Host": "evil.example"})[0] == 421


def what_comes(port: int, context: ssl.SSLContext) -> bytes:
    """The first byte that a node says; none if it refuses. TLS 1.3 tells of a refusal behind the
    handshake.
    """
    with socket.create_connection(("127.0.0.1", port), timeout=20) as raw:
        try:
            # A node speaks once it has been spoken to, to whom it has let in.
            with context.wrap_socket(raw) as wrapped:
                return wrapped.recv(1)
        except ssl.SSLError:
            return b""


def test_another_authority_and_no_certificate_are_no_node(
    secure: SecureCluster, tmp_path: Path
) -> None:
    peer = secure.port + 100
    other = Authority.create(tmp_path / "other", "elsewhere").issue_node("n1", ["127.0.0.1"])
    for certificate in (None, other):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.load_verify_locations(secure.authority)
        if certificate is not None:
            context.load_cert_chain(certificate.certificate, certificate.key)
        assert what_comes(peer, context) == b""


@pytest.mark.skipif(shutil.which("openssl") is None, reason="there is no openssl")
def test_old_versions_of_tls_are_refused(secure: SecureCluster) -> None:
    for port, version in ((secure.port, "-tls1_1"), (secure.port + 100, "-tls1_2")):
        words = ["openssl", "s_client", "-connect", f"127.0.0.1:{port}", version]
        ended = subprocess.run(
            words, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=60
        )
        assert "Cipher is (NONE)" in ended.stdout, ended.stdout


def test_commands_without_a_token_say_what_they_need(secure: SecureCluster) -> None:
    for words in (
        ["get", "k"],
        ["set", "k", "1"],
        ["delete", "k"],
        ["ls"],
        ["count"],
        ["status"],
        ["locate", "k"],
        ["namespace", "list"],
        ["snapshot", "list"],
        ["token", "list"],
        ["user", "list"],
        ["role", "list"],
        ["data-keys", "list"],
        ["scrub"],
        ["repair"],
    ):
        ended = command(*words, "--server", secure.url)
        assert ended.returncode not in (0, 2), (words, ended.stderr)
        assert "--token-file" in ended.stderr, (words, ended.stderr)


def processes(secure: SecureCluster) -> list[Path]:
    """The directories in /proc of `kvorum up` and of its nodes."""
    ups = {secure.up.pid}
    found = []
    for directory in Path("/proc").glob("[0-9]*"):
        try:
            parent = int((directory / "stat").read_text().rpartition(")")[2].split()[1])
        except (FileNotFoundError, ProcessLookupError):
            continue
        if parent in ups or int(directory.name) in ups:
            found.append(directory)
    assert len(found) == NODES + 1
    return found


@pytest.mark.skipif(sys.platform != "linux", reason="it looks into /proc")
def test_no_secret_is_where_others_could_see_it(secure: SecureCluster, tmp_path: Path) -> None:
    token = secure.make_token(name="planted", grants=[{"role": "writer"}])
    password = "a planted password 4711"
    wish = {"grants": [{"role": "reader"}], "password": password}
    assert secure.ask("PUT", "/users/ann", secure.token, wish)[0] in (200, 201)
    secrets = {
        "the administrator's token": secure.token,
        "a token": token,
        "a password": password,
        "the cluster secret": (secure.directory / "cluster.secret").read_text().strip(),
        "the master key": (secure.directory / "n1" / "master.key").read_text().strip(),
    }
    for key in (secure.directory / "certs").glob("*.key"):
        secrets[key.name] = key.read_text().splitlines()[1]
    # Errors and refusals, which logs and the audit log tell of.
    secure.ask("GET", f"/entry?token={token}", None)
    secure.ask("GET", "/entry/k", token + "x")
    secure.ask("GET", "/entry/%ff", token)
    secure.ask("PUT", "/users/bob", token, {"password": password})
    export = tmp_path / "export.jsonl"
    url = f"{secure.url}&token_file={secure.directory / 'admin.token'}"
    assert command("export", export, "--server", url).returncode == 0
    assert command("snapshot", "create", "s1", "--server", url).returncode == 0
    shown: dict[str, bytes] = {"the export": export.read_bytes()}
    for path in ("/status", "/ring", "/metrics", "/keys", "/namespaces", "/tokens", "/users"):
        shown[path] = secure.ask("GET", path, secure.token)[1]
    for process in processes(secure):
        shown[f"the command line of {process}"] = (process / "cmdline").read_bytes()
        shown[f"the environment of {process}"] = (process / "environ").read_bytes()
        if b"serve" in (process / "cmdline").read_bytes():
            limits = (process / "limits").read_text().splitlines()
            (core,) = [line for line in limits if "core file" in line]
            # One byte is as good as none, and forbids what core_pattern pipes to, too.
            assert core.split()[4] in ("0", "1")
    shown["the log"] = "\n".join([*secure.lines, *secure.up.errors]).encode()
    kept = {"admin.token", "cluster.secret", "master.key"}
    for file in secure.directory.rglob("*"):
        if file.is_file() and file.name not in kept and file.suffix != ".key":
            shown[str(file)] = file.read_bytes()
    for where, data in shown.items():
        for what, secret in secrets.items():
            assert secret.encode() not in data, f"{what} is in {where}"


def test_certificates_are_exchanged_while_requests_go_on(secure: SecureCluster) -> None:
    certs = secure.directory / "certs"

    def serial() -> int:
        context = secure.context()
        with (
            socket.create_connection(("127.0.0.1", secure.port), timeout=20) as raw,
            context.wrap_socket(raw, server_hostname="127.0.0.1") as wrapped,
        ):
            shown = wrapped.getpeercert()
            assert shown is not None
            return int(str(shown["serialNumber"]), 16)

    before, kept = serial(), secure.connect()
    assert ask_on(kept, "GET", "/whoami", secure.token)[0] == 200
    Authority.open(certs).issue_node("n1", ["127.0.0.1"])
    statuses = set[int]()

    def exchanged() -> bool:
        statuses.add(secure.ask("GET", "/whoami", secure.token)[0])
        statuses.add(ask_on(kept, "GET", "/whoami", secure.token)[0])
        return serial() != before

    eventually(exchanged, "the new certificate")
    kept.close()
    assert statuses == {200}


def test_a_rolling_restart_without_a_good_token_says_so_and_stops_no_node(
    secure: SecureCluster,
) -> None:
    file = secure.directory / "admin.token"
    kept = file.read_bytes()
    before = {path.name for path in processes(secure)}
    try:
        file.write_text("kvt_0123456789ab_" + "x" * 43)
        ended = command("restart", "--rolling", "--data-dir", secure.directory)
    finally:
        file.write_bytes(kept)
    assert ended.returncode == 5, ended.stderr
    assert "kvorum token create NAME --role monitor" in ended.stderr
    assert {path.name for path in processes(secure)} == before
