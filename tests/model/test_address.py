from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvorum.model.address import parse_address
from kvorum.model.errors import ConfigError

PORTS = st.integers(1, 65535)


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        ("127.0.0.1:7400", "127.0.0.1", 7400),
        ("localhost:1", "localhost", 1),
        ("N1.Example.org:65535", "n1.example.org", 65535),
        ("kv_1:80", "kv_1", 80),
        ("[::1]:7400", "::1", 7400),
        ("[2001:DB8:0:0::1]:7400", "2001:db8::1", 7400),
    ],
)
def test_addresses_become_canonical(text: str, host: str, port: int) -> None:
    assert parse_address(text) == (host, port)


@given(st.ip_addresses(), PORTS)
def test_every_ip_address_is_taken(
    ip: ipaddress.IPv4Address | ipaddress.IPv6Address, port: int
) -> None:
    text = f"[{ip}]:{port}" if ip.version == 6 else f"{ip}:{port}"
    assert parse_address(text) == (str(ip), port)


@pytest.mark.parametrize(
    "text",
    [
        "",
        ":7400",
        "localhost",
        "localhost:",
        "localhost:0",
        "localhost:65536",
        "localhost:080",
        "localhost:-1",
        "localhost:٣",
        "localhost:7400\n",
        " localhost:7400",
        "a b:1",
        "a..b:1",
        "-a:1",
        "http://localhost:1",
        "1.2.3:1",
        "300.1.1.1:1",
        "1.2.3.4.5:1",
        "::1:7400",
        "[::1]",
        "[::1:7400",
        "[localhost]:1",
        "[127.0.0.1]:1",
        "[::g]:1",
        "x" * 64 + ":1",
        ".".join(["x" * 60] * 5) + ":1",
    ],
)
def test_what_is_no_address_is_refused_and_quoted(text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_address(text)
    assert repr(text) in caught.value.message
    assert caught.value.details["got"] == text


@pytest.mark.parametrize(
    ("text", "wildcard"),
    [("0.0.0.0:1", True), ("[::]:1", True), ("[0:0::0]:1", True), ("127.0.0.1:1", False)],
)
def test_wildcards_are_known(text: str, wildcard: bool) -> None:
    assert parse_address(text).is_wildcard == wildcard
