"""Clients of servers with TLS and authentication, on real sockets."""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)
from kit.certificates import DAY, Issued, TestAuthority, server_context
from kit.http_store import StoreDouble, answer, problem, say, store_double

import kvorum
import kvorum.aio
from kvorum.errors import (
    AccessDenied,
    ConfigError,
    ConnectionFailed,
    KvorumError,
    TlsError,
    TooManyAttempts,
    TooManyRequests,
    Unauthenticated,
)
from kvorum.tls.strangers import answer_plain_http

TOKEN = "kvt_0123456789ab_planted-secret-of-this-test"


class Certificates:
    """What an authority has signed for these tests."""

    def __init__(self, directory: Path) -> None:
        self.authority = TestAuthority(directory / "certs")
        self.foreign = TestAuthority(directory / "foreign", "elsewhere")
        self.ca = self.authority.ca
        self.server = self.authority.node("n1")


@pytest.fixture(scope="module")
def certs(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return Certificates(tmp_path_factory.mktemp("certs"))


@pytest.fixture
def secure(certs: Certificates) -> Iterator[StoreDouble]:
    """A server with TLS, which admits the token."""
    with store_double(tls=server_context(certs.server)) as double:
        double.admitted = {f"Bearer {TOKEN}"}
        yield double


@contextmanager
def raw_server(serve: Any) -> Iterator[str]:
    """A server that has `serve` speak on each socket, and closes it then; its address."""
    listening = socket.create_server(("127.0.0.1", 0))

    def run() -> None:
        while True:
            try:
                connection, _ = listening.accept()
            except OSError:
                return
            with connection:
                serve(connection)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        yield f"127.0.0.1:{listening.getsockname()[1]}"
    finally:
        listening.shutdown(socket.SHUT_RDWR)
        listening.close()
        thread.join(10)


def refusal(server: str, **options: Any) -> KvorumError:
    """The error of a call."""
    with kvorum.connect(server, **options) as client, pytest.raises(KvorumError) as caught:
        client.set("k", 1)
    return caught.value


class TestLetIn:
    def test_with_a_token_and_an_authority_in_the_url(
        self, secure: StoreDouble, certs: Certificates
    ) -> None:
        with kvorum.connect(f"kvorums://{TOKEN}@{secure.address}?ca={certs.ca}") as client:
            client.set("k", {"a": 1})
            assert client.get("k") == {"a": 1}
            assert client.set_many({"x": 1, "y": 2}) is not None
        assert secure.value("k") == {"a": 1}

    def test_the_asynchronous_client_too(self, secure: StoreDouble, certs: Certificates) -> None:
        async def main() -> None:
            async with kvorum.aio.connect(secure.url, ca=certs.ca, token=TOKEN) as client:
                await asyncio.gather(*(client.set(f"k{i}", i) for i in range(20)))
                assert await client.get("k7") == 7

        asyncio.run(main())  # with asyncio's own loop; the other client runs on uvloop

    def test_each_request_says_who_asks(self, secure: StoreDouble, certs: Certificates) -> None:
        other = store_double(tls=server_context(certs.server))
        with (
            other as second,
            kvorum.connect(f"{secure.url},{second.address}", ca=certs.ca, token=TOKEN) as client,
        ):
            for n in range(8):
                client.set(f"k{n}", n)
        seen = [*secure.requests, *second.requests, *secure.surveys, *second.surveys]
        assert len(second.requests) > 1
        assert {it.headers["authorization"] for it in seen} == {f"Bearer {TOKEN}"}

    def test_with_a_token_in_a_file(
        self, secure: StoreDouble, certs: Certificates, tmp_path: Path
    ) -> None:
        file = tmp_path / "token"
        file.write_text(f"{TOKEN}\n")
        with kvorum.connect(f"{secure.url}?ca={certs.ca}&token_file={file}") as client:
            client.set("k", 1)

    def test_with_a_user_and_a_password(self, secure: StoreDouble, certs: Certificates) -> None:
        secure.admitted = {"Basic YWRhOmFAL2I6w6kl"}  # ada:a@/b:é%
        url = f"kvorums://ada:a%40%2Fb:%C3%A9%25@{secure.address}"
        with kvorum.connect(url, ca=certs.ca) as client:
            client.set("k", 1)
        with kvorum.connect(secure.url, ca=certs.ca, user="ada", password="a@/b:é%") as client:
            assert client.get("k") == 1

    def test_with_a_certificate_of_its_own(self, certs: Certificates) -> None:
        mine = certs.authority.client("me").files
        tls = server_context(certs.server, certs.ca)
        with (
            store_double(tls=tls) as double,
            kvorum.connect(
                double.url, ca=certs.ca, cert=mine.certificate, key=str(mine.key)
            ) as client,
        ):
            client.set("k", 1)
            assert "authorization" not in double.requests[-1].headers

    def test_a_name_is_checked_as_well_as_an_address(
        self, secure: StoreDouble, certs: Certificates
    ) -> None:
        with kvorum.connect(f"kvorums://localhost:{secure.port}", ca=certs.ca, token=TOKEN) as it:
            it.set("k", 1)


class TestServersThatAreNotTrusted:
    def refused(self, certs: Certificates, issued: Issued, **options: Any) -> str:
        with store_double(tls=server_context(issued)) as double:
            error = refusal(double.url, token=TOKEN, **{"ca": certs.ca, **options})
            assert double.requests == []
            assert double.address in error.message
        assert isinstance(error, TlsError)
        assert error.outcome == "none"
        assert TOKEN not in str(error) + repr(error)
        return error.message

    def test_of_another_authority(self, certs: Certificates) -> None:
        said = self.refused(certs, certs.foreign.node("other"))
        assert f"of none of the authorities in {certs.ca}" in said

    def test_of_an_authority_that_the_system_does_not_trust(self, certs: Certificates) -> None:
        said = self.refused(certs, certs.server, ca=None)
        assert "of no authority that this system trusts. Give" in said

    def test_expired(self, certs: Certificates) -> None:
        old = certs.authority.node("old", ends=datetime.now(UTC) - DAY / 24)
        assert "has expired. Have it renewed" in self.refused(certs, old)

    def test_not_valid_yet(self, certs: Certificates) -> None:
        new = certs.authority.node("new", begins=datetime.now(UTC) + DAY / 24)
        assert "is not valid yet. Set the clock" in self.refused(certs, new)

    def test_for_another_host(self, certs: Certificates) -> None:
        elsewhere = certs.authority.node("elsewhere", hosts=("db1", "10.0.0.1"))
        assert "is for other hosts than 127.0.0.1. Ask" in self.refused(certs, elsewhere)

    def test_a_clients_certificate_is_none_of_a_server(self, certs: Certificates) -> None:
        of_client = certs.authority.client("anybody")
        assert "is none of a server" in self.refused(certs, of_client)

    def test_another_server_is_asked_instead(self, certs: Certificates) -> None:
        old = certs.authority.node("old-too", ends=datetime.now(UTC) - DAY / 24)
        with (
            store_double(tls=server_context(old)) as bad,
            store_double(tls=server_context(certs.server)) as good,
            kvorum.connect(f"{bad.url},{good.address}", ca=certs.ca, token=TOKEN) as client,
        ):
            for n in range(4):
                client.set(f"k{n}", n)
            assert len(good.requests) == 4
            assert bad.requests == []

    def test_all_of_them_are_named(self, certs: Certificates) -> None:
        old = certs.authority.node("very-old", ends=datetime.now(UTC) - DAY / 24)
        with (
            store_double(tls=server_context(old)) as one,
            store_double(tls=server_context(certs.foreign.node("far"))) as other,
        ):
            error = refusal(f"{one.url},{other.address}", ca=certs.ca)
        assert isinstance(error, TlsError)
        assert "has expired" in error.message
        assert "of none of the authorities" in error.message
        assert "running" not in error.message


class TestOnlyOneSideSpeaksTls:
    def test_the_client(self, certs: Certificates) -> None:
        def serve(connection: socket.socket) -> None:
            connection.recv(4096)
            connection.sendall(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n")

        with raw_server(serve) as address:
            error = refusal(f"kvorums://{address}", ca=certs.ca, token=TOKEN)
        assert isinstance(error, TlsError)
        assert f"{address} does not speak TLS" in error.message

    def test_the_server_which_sends_an_alert(self) -> None:
        def serve(connection: socket.socket) -> None:
            connection.recv(4096)
            connection.sendall(b"\x15\x03\x01\x00\x02\x02\x46")

        with raw_server(serve) as address:
            error = refusal(address)
        assert isinstance(error, TlsError)
        assert error.message == f"{address} wants TLS. Write kvorums:// in front of the servers."

    def test_the_server_which_answers_as_nodes_do(self) -> None:
        def serve(connection: socket.socket) -> None:
            connection.sendall(answer_plain_http(connection.recv(4096)))

        with raw_server(serve) as address:
            error = refusal(address)
        assert isinstance(error, TlsError)
        assert error.message == f"{address} wants TLS. Write kvorums:// in front of the servers."
        assert error.outcome == "none"

    def test_the_server_which_hangs_up(self, secure: StoreDouble) -> None:
        error = refusal(secure.address, retries=0)
        assert isinstance(error, ConnectionFailed)
        assert "If it is one with TLS, write kvorums://" in error.message

    def test_a_server_that_refuses_the_client_has_done_nothing(self, certs: Certificates) -> None:
        context = server_context(certs.server, certs.ca)

        def serve(connection: socket.socket) -> None:
            try:
                context.wrap_socket(connection.dup(), server_side=True)
            except ssl.SSLError:
                connection.recv(4096)  # What is unread would make a reset of the close.

        with raw_server(serve) as address:
            url = f"kvorums://{address}"
            error = refusal(url, ca=certs.ca)
            assert isinstance(error, TlsError)
            assert "said: certificate required" in error.message
            assert "give cert and key" in error.message
            assert error.outcome == "none"
            mine = certs.foreign.client("me-of-elsewhere").files
            error = refusal(url, ca=certs.ca, cert=mine.certificate, key=mine.key)
            assert isinstance(error, TlsError)
            assert str(mine.certificate) in error.message
            assert error.outcome == "none"


class TestRenewal:
    def test_a_token_that_was_rotated_is_read_again(
        self, secure: StoreDouble, certs: Certificates, tmp_path: Path
    ) -> None:
        file = tmp_path / "token"
        file.write_text("kvt_first")
        secure.admitted = {"Bearer kvt_first"}
        with kvorum.connect(secure.url, ca=certs.ca, token_file=file) as client:
            client.set("k", 1)
            file.write_text("kvt_the_second")
            client.set("k", 2)  # on the connection that is there, with the first one
            secure.admitted = {"Bearer kvt_the_second"}
            client.set("k", 3)
            assert secure.value("k") == 3
            secure.admitted = {"Bearer kvt_third"}
            for _ in range(2):
                with pytest.raises(Unauthenticated):
                    client.set("k", 4)
            assert len(secure.requests) == 6  # the third call asked twice, the last ones once
            file.write_text("")  # as an editor does for a moment
            secure.admitted = {"Bearer kvt_the_second"}
            client.set("k", 5)

    def test_a_certificate_that_was_renewed_is_read_again(
        self, certs: Certificates, tmp_path: Path
    ) -> None:
        authority = TestAuthority(tmp_path)
        old = authority.client("me").files
        tls = server_context(certs.server, certs.ca)
        with (
            store_double(tls=tls) as double,
            kvorum.connect(
                double.url, ca=certs.ca, cert=old.certificate, key=old.key, retries=0
            ) as client,
        ):
            with pytest.raises(KvorumError):
                client.set("k", 1)
            new = certs.authority.client("renewed").files
            os.replace(new.certificate, old.certificate)
            with pytest.raises(KvorumError):  # the two do not fit yet
                client.set("k", 1)
            os.replace(new.key, old.key)
            client.set("k", 1)

    def test_an_authority_that_was_added_is_trusted(
        self, secure: StoreDouble, certs: Certificates, tmp_path: Path
    ) -> None:
        bundle = tmp_path / "ca.crt"
        bundle.write_bytes(certs.foreign.ca.read_bytes())
        with kvorum.connect(secure.url, ca=bundle, token=TOKEN) as client:
            with pytest.raises(TlsError):
                client.set("k", 1)
            bundle.write_bytes(bundle.read_bytes() + certs.ca.read_bytes())
            client.set("k", 1)


class TestRefusals:
    def test_who_is_not_known_is_told_at_once_and_asks_nobody_else(
        self, secure: StoreDouble, certs: Certificates
    ) -> None:
        with store_double(tls=server_context(certs.server)) as other:
            other.admitted = set()
            for options in ({}, {"token": "kvt_wrong"}):
                error = refusal(f"{secure.url},{other.address}", ca=certs.ca, **options)
                assert isinstance(error, Unauthenticated)
                assert error.outcome == "none"
                assert "token_file=" in error.details["advice"]
            assert len(secure.requests) + len(other.requests) == 2

    def test_it_is_no_reason_to_suspect_the_server(
        self, secure: StoreDouble, certs: Certificates
    ) -> None:
        with store_double(tls=server_context(certs.server)) as other:
            servers = f"{secure.url},{other.address}"
            with kvorum.connect(servers, ca=certs.ca, token=TOKEN) as client:
                secure.admitted = set()
                with pytest.raises(Unauthenticated):
                    client.set("k", 1)
                secure.admitted = {f"Bearer {TOKEN}"}
                for n in range(4):
                    client.set(f"k{n}", n)
            assert len(secure.requests) == 3

    def test_what_is_denied_is_told_at_once(self, secure: StoreDouble, certs: Certificates) -> None:
        secure.script(answer(problem(403, "access_denied", detail="ada may not.", advice="x")))
        error = refusal(secure.url, ca=certs.ca, token=TOKEN)
        assert isinstance(error, AccessDenied)
        assert (error.message, error.outcome) == ("ada may not.", "none")
        assert len(secure.requests) == 1

    def test_too_many_requests_are_repeated_after_a_while(
        self, secure: StoreDouble, certs: Certificates
    ) -> None:
        busy = problem(429, "too_many_requests", retry_after=0)
        secure.script(answer(busy), answer(busy))
        with kvorum.connect(secure.url, ca=certs.ca, token=TOKEN, backoff=0) as client:
            client.set("k", 1)
            assert len(secure.requests) == 3
            secure.script(answer(problem(429, "too_many_requests", retry_after=60)))
            with pytest.raises(TooManyRequests):
                client.set("k", 1)
            assert len(secure.requests) == 4

    def test_after_too_many_attempts_nothing_is_tried_again(
        self, secure: StoreDouble, certs: Certificates
    ) -> None:
        late = problem(429, "too_many_attempts", retry_after=0)
        late.headers["connection"] = "close"
        secure.script(say(late.to_bytes(), close=True))
        error = refusal(secure.url, ca=certs.ca, token=TOKEN)
        assert isinstance(error, TooManyAttempts)
        assert len(secure.requests) == 1


class TestBadFiles:
    @pytest.mark.parametrize("connect", [kvorum.connect, kvorum.aio.connect])
    def test_they_are_named_when_the_client_is_made(
        self, connect: Any, certs: Certificates, tmp_path: Path
    ) -> None:
        text = tmp_path / "text"
        text.write_text("a secret in the wrong file")
        locked = certs.authority.client("locked").files
        key = load_pem_private_key(locked.key.read_bytes(), None)
        encrypted = key.private_bytes(
            Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"x")
        )
        locked.key.write_bytes(encrypted)
        mine = certs.authority.client("mine").files
        missing = tmp_path / "missing"
        cases: list[tuple[dict[str, Any], str]] = [
            ({"ca": missing}, "certificate of an authority: no such file"),
            ({"ca": text}, "certificate of an authority: no certificate"),
            ({"ca": tmp_path}, "certificate of an authority"),
            ({"cert": missing, "key": mine.key}, "no such file"),
            ({"cert": mine.certificate, "key": missing}, "no such file"),
            ({"cert": mine.certificate, "key": text}, "of no use together"),
            ({"cert": mine.certificate, "key": certs.server.files.key}, "values mismatch"),
            ({"cert": locked.certificate, "key": locked.key}, "of no use together"),
            ({"token_file": missing}, "token file cannot be read"),
            ({"token_file": text}, "holds no token"),
        ]
        for options, message in cases:
            with pytest.raises(ConfigError, match=message) as caught:
                connect("kvorums://127.0.0.1:1", **options)
            named = str(caught.value)
            assert any(str(file) in named for file in options.values())
            assert "a secret" not in named
