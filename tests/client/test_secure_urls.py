"""TLS and credentials in URLs and keywords, and that no secret is ever shown."""

from __future__ import annotations

import io
import logging
import traceback
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import kvorum
import kvorum.aio
from kvorum.client.environment import target_of
from kvorum.client.options import Options
from kvorum.client.security import Security
from kvorum.client.url import Target, parse_url, read_url
from kvorum.errors import ConfigError
from kvorum.model.address import Address

SECRET = "planted-5ecret"


def test_a_token_in_front_of_the_servers() -> None:
    target = parse_url("kvorums://kvt_x@a,b:7401?timeout=5&ca=/etc/ca.crt")
    assert target == Target(
        servers=(Address("a", 7400), Address("b", 7401)),
        tls=True,
        token="kvt_x",
        ca=Path("/etc/ca.crt"),
        timeout=5.0,
    )
    assert target.security == Security(token="kvt_x", ca=Path("/etc/ca.crt"))


def test_a_user_and_a_password_are_percent_decoded() -> None:
    target = parse_url("kvorums://a%40b:p%3A%2F%3F%23%5B%C3%BC@[::1]:7401/")
    assert (target.user, target.password) == ("a@b", "p:/?#[ü")
    assert target.servers == (Address("::1", 7401),)


def test_only_the_last_at_sign_ends_a_password() -> None:
    assert parse_url("kvorums://ada:a@b@host").password == "a@b"


def test_files_in_the_url_and_as_keywords() -> None:
    url = "kvorums://a:7400?ca=ca.crt&cert=me.crt&key=me.key&token_file=/run/token"
    target = parse_url(url)
    assert target == target_of(
        "kvorums://a",
        {"ca": Path("ca.crt"), "cert": "me.crt", "key": "me.key"} | {"token_file": "/run/token"},
    )
    assert str(target) == url


def test_a_home_directory_may_be_written_as_a_tilde(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/ada")
    assert parse_url("kvorums://a?ca=~/ca.crt").ca == Path("/home/ada/ca.crt")


def test_without_tls_nobody_says_who_asks() -> None:
    assert parse_url("kvorum://a").security is None
    assert parse_url("kvorums://a").security == Security()


@pytest.mark.parametrize(
    "given",
    [{"token": SECRET}, {"ca": "x"}, {"user": "ada", "password": SECRET}, {"token_file": "x"}],
)
@pytest.mark.parametrize("url", ["kvorum://127.0.0.1", "127.0.0.1:7400"])
def test_credentials_are_not_sent_in_the_clear(url: str, given: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="Write kvorums:// in front of the servers"):
        target_of(url, given)


@pytest.mark.parametrize(
    ("url", "given", "message"),
    [
        ("kvorums://kvt_x@a?token_file=f", {}, "token and token_file are given. Give one"),
        ("kvorums://a", {"token": "t", "user": "u", "password": "p"}, "token and user are given"),
        ("kvorums://a", {"user": "u"}, "user and password belong together. Give password"),
        ("kvorums://a", {"password": "p"}, "user and password belong together. Give user"),
        ("kvorums://a?cert=f", {}, "cert and key belong together. Give key"),
        ("kvorums://a?key=f", {}, "cert and key belong together. Give cert"),
        ("kvorums://a?token=t", {}, "Write kvorums://TOKEN@HOST"),
        ("kvorums://a?password=t", {}, "kvorums://USER:PASSWORD@HOST"),
        ("kvorums://@a", {}, "The credentials of the URL cannot be read"),
        ("kvorums://ada:@a", {}, "The password is empty"),
        ("kvorums://:p@a", {}, "The credentials of the URL cannot be read"),
        ("kvorums://ada:%ff@a", {}, "The credentials of the URL cannot be read"),
        ("kvorums://a%20b@a", {}, "The token is empty, or has characters"),
        ("kvorums://a", {"token": "a\r\nb"}, "The token is empty, or has characters"),
        ("kvorums://a", {"token": 5}, "The token is empty, or has characters"),
        ("kvorums://a", {"user": "a:b", "password": "p"}, "user is 'a:b'"),
    ],
)
def test_what_contradicts_itself_is_refused(url: str, given: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        target_of(url, given)


def test_a_header_cannot_be_smuggled_in_by_a_user() -> None:
    with kvorum.connect("kvorums://a\r\nx:b\r\ny@127.0.0.1:1") as client:
        assert "\r\n" not in client._async._calls._access.authorization[:-2]


def test_keywords_count_for_more_and_are_not_mixed_with_the_url() -> None:
    assert target_of("kvorums://kvt_x@a", {"token": "kvt_y"}).token == "kvt_y"
    target = target_of("kvorums://kvt_x@a", {"user": "ada", "password": "p"})
    assert (target.token, target.user) == (None, "ada")
    target = target_of("kvorums://ada:p@a?ca=one", {"token_file": "f"})
    assert (target.user, target.password, target.ca) == (None, None, Path("one"))


BROKEN = [
    f"kvorums://ada:{SECRET}/x@a",
    f"kvorums://ada:{SECRET}?x@a",
    f"kvorums://ada:{SECRET}#x@a",
    f"kvorums://ada:x/{SECRET}@a:port",
    f"kvorums://ada:{SECRET}@a:port",
    f"kvorums://ada:{SECRET}@",
    f"kvorums://ada:{SECRET}@http://a",
    f"kvorums://{SECRET}@a?timeout=soon",
    f"kvorums://{SECRET}@a?colour",
    f"kvorums://{SECRET}\t@a",
    f"kvorum://{SECRET}@a",
    f"http://ada:{SECRET}@a",
    f"ada:{SECRET}@a",
]


@pytest.mark.parametrize("url", BROKEN)
def test_no_error_shows_a_secret(url: str) -> None:
    for connect in (kvorum.connect, kvorum.aio.connect):
        with pytest.raises(ConfigError) as caught:
            connect(url)
        written = io.StringIO()
        traceback.print_exception(caught.value, file=written)
        shown = "\n".join(
            line for line in written.getvalue().splitlines() if "connect(" not in line
        )
        assert SECRET not in shown + repr(caught.value)


def test_no_object_shows_a_secret(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    by_token = f"kvorums://{SECRET}@127.0.0.1:1?retries=0"
    by_password = f"kvorums://ada:{SECRET}@127.0.0.1:1?retries=0"
    for url in (by_token, by_password):
        target, parsed = parse_url(url), read_url(url)
        assert str(target) == "kvorums://127.0.0.1:1?retries=0"
        with kvorum.connect(url) as client:
            with pytest.raises(kvorum.errors.ConnectionFailed) as caught:
                client.get("k")
            written = "".join(traceback.format_exception(caught.value))
            things: list[object] = [
                target,
                target.security,
                parsed,
                client,
                client._async,
                client.ask,
            ]
            things += [client._async._calls, client._async._calls._access, caught.value]
            shown = " ".join(f"{it!r} {it!s} {it}" for it in things)
        assert SECRET not in shown + written + caplog.text
        assert SECRET not in repr(Options(token=SECRET, user="u", password=SECRET))


def test_the_url_that_is_shown_is_the_same_cluster() -> None:
    target = parse_url("kvorums://kvt_x@a,b?ca=ca.crt&timeout=5")
    assert parse_url(str(target)) == replace(target, token=None)
