from __future__ import annotations

from typing import Any

import pytest

import kvorum
import kvorum.aio
from kvorum.client.url import Target, host_port, parse_url
from kvorum.model.address import Address
from kvorum.model.errors import ConfigError


def test_servers_keep_their_order_and_get_the_default_port() -> None:
    target = parse_url("kvorum://b:7401,a,[::1]:7402,[::2]")
    assert target.servers == (
        Address("b", 7401),
        Address("a", 7400),
        Address("::1", 7402),
        Address("::2", 7400),
    )


def test_a_server_listed_twice_is_one_server() -> None:
    assert parse_url("kvorum://a,b,a:7400").servers == (Address("a", 7400), Address("b", 7400))


def test_options() -> None:
    target = parse_url("kvorum://a/?namespace=shop&timeout=2.5")
    assert target == Target(servers=(Address("a", 7400),), namespace="shop", timeout=2.5)


def test_an_address_is_written_as_a_host_header_wants_it() -> None:
    assert host_port(Address("::1", 7400)) == "[::1]:7400"
    assert host_port(Address("a.example", 80)) == "a.example:80"


@pytest.mark.parametrize("url", [5, b"kvorum://127.0.0.1:7400", ["kvorum://a"]])
def test_what_is_no_text_is_refused(url: Any) -> None:
    for connect in (kvorum.connect, kvorum.aio.connect):
        with pytest.raises(ConfigError, match=r"is not a kvorum URL. Give one such as kvorum://"):
            connect(url)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "http://a:7400",
        "kvorum://",
        "kvorum://a,,b",
        "kvorum://a:0",
        "kvorum://a:65536",
        "kvorum://a:port",
        "kvorum://user@a",
        "kvorum://a,kvorum://b",
        "kvorum://a?timeout=1&timeout=2",
        "kvorum://a/path",
        "kvorum://a\r\nx",
        "kvorum://::1",
        "kvorum://a?colour=red",
        "kvorum://a?namespace=",
        "kvorum://a?namespace=a/b",
        "kvorum://a?timeout",
        "kvorum://a?timeout=soon",
        "kvorum://a?timeout=0",
        "kvorum://a?timeout=-1",
        "kvorum://a?timeout=nan",
        "kvorum://a?timeout=inf",
    ],
)
def test_what_is_no_kvorum_url_is_refused(url: str) -> None:
    with pytest.raises(ConfigError, match=r"URL|server|timeout|port|namespace|address"):
        parse_url(url)
