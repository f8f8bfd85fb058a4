"""`http`: every way to fail is a fault with a kind, a code, the provider's words and the bytes as evidence."""

from __future__ import annotations

import gzip
import json
import socket
from typing import TYPE_CHECKING, Any

import pytest
from tests.servers import Answer, Never, Raw, Reaction, completion, serving
from tests.teachers.asking import KEY, a_request, ask, fault_of, http

from gristmill.ports import CONTENT_FILTER, TeacherFault
from gristmill.records import Allowance, Pace
from gristmill.teachers import transport

if TYPE_CHECKING:
    from pathlib import Path

WHOLE = json.dumps(completion()).encode()
CREDIT = "Your credit balance is too low to access the Anthropic API. Please go to Plans & Billing to purchase credits."
HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n"


def fault_from(reaction: Reaction, *, key: str | None = None, timeout_s: float = 20.0) -> TeacherFault:
    with serving(lambda _: reaction) as server:
        return fault_of(http(server.url, key=key, timeout_s=timeout_s), a_request())


def said(text: str) -> dict[str, Any]:
    return {"error": {"message": text, "type": "t"}}


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, "permanent"),
        (401, "fatal"),
        (402, "fatal"),
        (403, "fatal"),
        (404, "fatal"),
        (405, "fatal"),
        (408, "transient"),
        (409, "transient"),
        (413, "permanent"),
        (422, "permanent"),
        (429, "limited"),
        (500, "transient"),
        (502, "transient"),
        (503, "transient"),
        (504, "transient"),
        (521, "transient"),
        (529, "transient"),
        (530, "transient"),
    ],
)
def test_a_status_says_whether_trying_again_makes_sense(status: int, kind: str) -> None:
    fault = fault_from(Answer(status, said("the provider's own words")))
    assert (fault.kind, fault.code) == (kind, f"http_{status}")
    assert str(fault) == f"HTTP {status}: the provider's own words"
    assert b"the provider's own words" in fault.evidence
    assert fault.possibly_billed == (status == 504), "behind a gateway that gave up the server may have answered"


@pytest.mark.parametrize("code", ["insufficient_quota", "billing_not_active", "model_not_found"])
@pytest.mark.parametrize("field", ["code", "type"])
@pytest.mark.parametrize("status", [400, 429, 503])
def test_what_meets_every_request_alike_is_fatal_whatever_the_status(status: int, field: str, code: str) -> None:
    fault = fault_from(Answer(status, {"error": {"message": "You exceeded your current quota", field: code}}))
    assert (fault.kind, str(fault)) == ("fatal", f"HTTP {status}: You exceeded your current quota")


@pytest.mark.parametrize("status", [429, 503])
def test_a_refusal_hands_its_headers_on(status: int) -> None:
    fault = fault_from(Answer(status, b"busy", {"retry-after": "7", "x-ratelimit-remaining-requests": "0"}))
    assert fault.pace == Pace(7.0, Allowance(0.0))


def test_a_reply_hands_its_headers_on() -> None:
    headers = {"x-ratelimit-remaining-tokens": "900", "x-ratelimit-reset-tokens": "6m0s"}
    with serving(lambda _: Answer(200, completion(), headers)) as server:
        (reply,) = ask(http(server.url), a_request())
    assert reply.pace == Pace(tokens=Allowance(900.0, 360.0))


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"error": "plain"}, "HTTP 400: plain"),
        ({"detail": "Not Found"}, "HTTP 400: Not Found"),
        ({"message": "m"}, "HTTP 400: m"),
        ({"error": {"detail": "d"}}, "HTTP 400: d"),
        (b"<html>Bad\n</html>", "HTTP 400: <html>Bad\n</html>"),
        (b"", "HTTP 400"),
        (b"\xff\xfe", "HTTP 400: \ufffd\ufffd"),
        ([1], "HTTP 400: [1]"),
    ],
)
def test_the_providers_words_are_found_in_every_form(body: Any, words: str) -> None:
    assert str(fault_from(Answer(400, body))) == words


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (400, {"type": "error", "error": {"type": "invalid_request_error", "message": CREDIT}}, "fatal"),
        (400, [{"error": {"code": 400, "message": "API key not valid. Please pass a valid API key.", "status": "X"}}], "fatal"),
        (400, {"error": {"message": "Unsupported parameter: 'seed'", "type": "invalid_request_error"}}, "permanent"),
        (403, {"error": {"code": 403, "message": "This model requires moderation. Your input was flagged."}}, "permanent"),
        (
            429,
            {"error": {"code": 429, "message": "You exceeded your current quota, please check your plan and billing details"}},
            "limited",
        ),
        (403, {"error": {"code": 403, "message": "The key has no access to this model"}}, "fatal"),
        (200, {"error": {"code": 402, "message": "Insufficient credits"}}, "fatal"),
        (200, {"error": {"code": 429, "message": "Rate limit exceeded"}}, "limited"),
        (200, {"error": {"code": 502, "message": "The provider is down"}}, "transient"),
        (
            200,
            {"choices": [{"error": {"code": 502, "message": "broke off"}, "finish_reason": "error", "message": {}}]},
            "transient",
        ),
    ],
)
def test_the_words_and_the_code_within_say_what_a_refusal_means(status: int, body: Any, kind: str) -> None:
    """No credit and a wrong key meet every call alike; a flagged prompt is one prompt."""
    fault = fault_from(Answer(status, body))
    assert fault.kind == kind
    assert fault.evidence
    assert (fault.code == CONTENT_FILTER) == ("flagged" in str(body))


def test_half_of_a_character_costs_no_reply() -> None:
    """An emoji that was cut in two, as gateways in JavaScript send it, or bytes that are no UTF-8."""
    text = json.dumps(completion("WORD")).encode()
    for bad, good in (
        (b"4 \\ud83d !", "4 \ufffd !"),
        (b"\\\\ud83d \\ud83d\\ude00", "\\ud83d \U0001f600"),
        (b"4 \xff", "4 \ufffd"),
    ):
        answer = Answer(200, text.replace(b"WORD", bad))
        with serving(lambda _, answer=answer: answer) as server:
            assert ask(http(server.url), a_request())[0].message.content == good


def test_any_good_status_is_good() -> None:
    with serving(lambda _: Answer(201, completion("4"))) as server:
        assert ask(http(server.url), a_request())[0].message.content == "4"


def test_long_words_are_cut_and_the_evidence_is_whole() -> None:
    fault = fault_from(Answer(400, said("x" * 5000)))
    assert len(str(fault)) < 600
    assert len(fault.evidence) > 5000


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_no_redirect_is_followed_and_no_key_reaches_the_other_host(status: int) -> None:
    with serving() as other:
        fault = fault_from(Answer(status, {}, {"location": f"{other.url}/chat/completions"}), key=KEY)
        assert other.requests == []
    assert (fault.kind, fault.code) == ("fatal", f"http_{status}")
    assert "which is not followed" in str(fault)
    assert str(other.port) in str(fault)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "not JSON"),
        (b"<html>", "not JSON"),
        (WHOLE[:-20], "not JSON"),
        (b'{"choices": NaN}', "not JSON"),
        ([], "not an object"),
        ("text", "not an object"),
        ({"error": {"message": "overloaded"}}, "an error with status 200: overloaded"),
        ({"error": "overloaded", "choices": []}, "an error with status 200: overloaded"),
        ({}, "no choices"),
        (completion(choices=[]), "no choices"),
        (completion(choices=None), "no choices"),
        (completion(choices={"0": 1}), "no choices"),
        (completion(choices=[None]), "no choices"),
        (completion(choices=[{}]), "no message"),
        (completion(choices=[{"message": None}]), "no message"),
        (completion(choices=[{"message": "text"}]), "no message"),
        (completion(choices=[{"message": {"content": 7}}]), "no message"),
        (completion(choices=[{"message": {"content": [{"type": "text"}]}}]), "no message"),
        (completion(choices=[{"message": {"content": [{"type": "image_url", "image_url": "x"}]}}]), "no message"),
        (completion(message={"tool_calls": [{}]}), "tool calls"),
        (completion(message={"tool_calls": "x"}), "tool calls"),
        (completion(message={"tool_calls": 7}), "tool calls"),
        (completion(message={"tool_calls": [{"id": 1, "function": {"name": None, "arguments": "{}"}}]}), "tool calls"),
        (completion(message={"tool_calls": [{"id": 1, "function": {"name": "f", "arguments": {}}}]}), "tool calls"),
    ],
)
def test_a_200_that_is_no_reply_is_an_attempt_and_possibly_billed(body: Any, words: str) -> None:
    fault = fault_from(Answer(200, body))
    assert (fault.kind, fault.code, fault.possibly_billed) == ("transient", "malformed", True)
    assert words in str(fault)
    assert fault.evidence == (body if isinstance(body, bytes) else json.dumps(body).encode())


def test_no_answer_in_time() -> None:
    fault = fault_from(Never(), timeout_s=0.2)
    assert (fault.kind, fault.code, fault.possibly_billed) == ("transient", "timeout", True)
    assert "0.2 s" in str(fault)


@pytest.mark.parametrize(
    "wire",
    [
        Raw(b"", reset=True),
        Raw(b""),
        Raw(HEAD + b"content-length: 100\r\n\r\n" + WHOLE[:50]),
        Raw(HEAD + b"content-length: 100\r\n\r\n" + WHOLE[:50], reset=True),
        Raw(HEAD + b"transfer-encoding: chunked\r\n\r\n5\r\nabc"),
        Raw(HEAD + b"transfer-encoding: chunked\r\n\r\nzz\r\nabc\r\n0\r\n\r\n"),
        Raw(HEAD + b"content-encoding: gzip\r\ncontent-length: 9\r\n\r\nno gzip!!"),
        Raw(b"SSH-2.0-nonsense\r\n"),
    ],
    ids=lambda wire: repr(wire.data[-12:]) + str(wire.reset),
)
def test_a_broken_connection_is_passing_and_possibly_billed(wire: Raw) -> None:
    fault = fault_from(wire)
    assert (fault.kind, fault.code, fault.possibly_billed) == ("transient", "reset", True)


def test_nobody_there_is_passing_and_costs_nothing() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        fault = fault_of(http(f"http://127.0.0.1:{free.getsockname()[1]}/v1"), a_request())
    assert (fault.kind, fault.code, fault.possibly_billed) == ("transient", "connect", False)


@pytest.mark.parametrize("length", [b"content-length: 400000\r\n", b""])
def test_a_huge_body_is_not_held(monkeypatch: pytest.MonkeyPatch, length: bytes) -> None:
    monkeypatch.setattr(transport, "MAX_BODY_BYTES", 100_000)
    fault = fault_from(Raw(HEAD + length + b"\r\n" + b"x" * 400_000))
    assert (fault.kind, fault.code) == ("transient", "malformed")
    assert "longer than 100,000 bytes" in str(fault)
    assert len(fault.evidence) <= 1000


def test_a_small_body_that_unpacks_to_a_huge_one_is_not_held(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport, "MAX_BODY_BYTES", 100_000)
    fault = fault_from(Answer(200, gzip.compress(b" " * 5_000_000), {"content-encoding": "gzip"}))
    assert "longer than 100,000 bytes" in str(fault)


@pytest.mark.parametrize("status", [200, 400, 401, 429, 500])
@pytest.mark.parametrize("escaped", [False, True])
def test_a_key_that_is_echoed_is_redacted_everywhere(status: int, *, escaped: bool) -> None:
    body = json.dumps(said(f"bad key {KEY}, really {KEY}"))
    if escaped:
        body = body.replace("sk-", "\\u0073k-")
    fault = fault_from(Answer(status, body.encode()), key=KEY)
    assert KEY not in str(fault)
    assert KEY.encode() not in fault.evidence
    assert "[key]" in str(fault)


def test_a_key_in_the_place_of_a_redirect_is_redacted() -> None:
    fault = fault_from(Answer(302, {}, {"location": f"http://evil.example/?k={KEY}"}), key=KEY)
    assert KEY not in str(fault)


def test_a_key_that_a_model_says_is_redacted_from_its_reply() -> None:
    with serving(lambda _: Answer(200, completion(f"the key is {KEY}", message={"reasoning": KEY}))) as server:
        (reply,) = ask(http(server.url, key=KEY), a_request())
    assert reply.message.content == "the key is [key]"
    assert reply.message.thinking == "[key]"


def test_what_netrc_holds_goes_to_no_host_of_a_recipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "netrc").write_text("default login someone password theirs\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    with serving() as server:
        ask(http(server.url), a_request())
        ask(http(server.url, key=KEY), a_request())
        sent = [arrived.headers.get("Authorization", arrived.headers.get("authorization")) for arrived in server.requests]
    assert sent == [None, f"Bearer {KEY}"]


def test_a_proxy_of_the_environment_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    with serving() as proxy:
        for name in ("http_proxy", "HTTP_PROXY"):
            monkeypatch.setenv(name, proxy.origin)
        for name in ("no_proxy", "NO_PROXY"):
            monkeypatch.setenv(name, "")
        ask(http("http://model.invalid/v1"), a_request())
        (arrived,) = proxy.requests
    assert arrived.headers["Host"] == "model.invalid"


def test_a_huge_body_does_not_leak_the_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport, "MAX_BODY_BYTES", 1000)
    fault = fault_from(Raw(HEAD + b"\r\n" + KEY.encode() * 200), key=KEY)
    assert KEY.encode() not in fault.evidence
