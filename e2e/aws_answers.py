"""What AWS makes of a function's answer, by kind of gateway: pure, no clock, no network.

Follows AWS's documentation. No text of a function's error ever reaches a visitor.
"""

import base64
import binascii
import dataclasses
import json

# The largest event and the largest answer, in bytes (Lambda quotas: 6 MB a payload).
LIMIT_BYTES = 6_291_556
JSON = ("content-type", "application/json")
# What visitors see when the function fails or answers nonsense.
FAILURES = {
    "http-api": (500, JSON, '{"message":"Internal Server Error"}'),
    "rest": (502, JSON, '{"message": "Internal server error"}'),
    "function-url": (502, JSON, "Internal Server Error"),
    "alb": (
        502,
        ("content-type", "text/html"),
        "<html>\r\n<head><title>502 Bad Gateway</title></head>\r\n<body>\r\n<center><h1>502 Bad Gateway</h1></center>\r\n"
        "</body>\r\n</html>\r\n",
    ),
}
# What a function that names no content type is taken to answer.
CONTENT_TYPES = {
    "http-api": "text/plain; charset=utf-8",
    "rest": "application/json",
    "function-url": "application/json",
    "alb": "application/octet-stream",
}


@dataclasses.dataclass(frozen=True)
class Answer:
    """What goes back to the client."""

    status: int
    headers: tuple
    body: bytes


def too_large(kind):
    """The answer to a request that makes an event above Lambda's limit."""
    if kind in ("alb", "alb-multi"):
        text = ("content-type", "text/html")
        return Answer(413, (text,), b"<html>\r\n<head><title>413 Request Entity Too Large</title></head>\r\n</html>\r\n")
    return Answer(413, (JSON,), b'{"message":"Request Entity Too Large"}')


def answer(kind, result, is_decoded):
    """The answer of `kind` to a function's `result`, or its generic failure. `is_decoded`: a REST API's binary types match."""
    try:
        return checked(kind, result, is_decoded)
    except (KeyError, TypeError, ValueError, AttributeError, binascii.Error):
        return failure(kind)


def failure(kind):
    status, content_type, body = FAILURES["alb" if kind == "alb-multi" else kind]
    return Answer(status, (content_type,), body.encode())


def checked(kind, result, is_decoded):
    if result.get("error") or result.get("throttle") or len(json.dumps(result["body"])) > LIMIT_BYTES:
        return failure(kind)
    said = result["body"]
    if kind in ("http-api", "function-url") and not (isinstance(said, dict) and "statusCode" in said):
        # Payload format 2.0: what has no status is itself the body of a 200.
        body = said if isinstance(said, str) else json.dumps(said)
        return Answer(200, (JSON,), body.encode())
    status = int(said["statusCode"])
    if not 100 <= status <= 599:
        raise ValueError(status)
    headers = HEADERS[kind](said)
    if not any(name == "content-type" for name, _ in headers):
        headers.append(("content-type", CONTENT_TYPES["alb" if kind == "alb-multi" else kind]))
    body = said.get("body") or ""
    if said.get("isBase64Encoded") and is_decoded:
        body = base64.b64decode(body, validate=True)
    else:
        body = body.encode()
    return Answer(status, tuple(headers), body)


def single(said):
    return [(name.lower(), text(value)) for name, value in (said.get("headers") or {}).items()]


def multiple(said):
    lines = said.get("multiValueHeaders") or {}
    return [(name.lower(), text(value)) for name, values in lines.items() for value in values]


def payload_2(said):
    return single(said) + [("set-cookie", text(cookie)) for cookie in said.get("cookies") or []]


def payload_1(said):
    """A REST API reads both maps; of a name in both it takes the values of the second."""
    lines = multiple(said)
    named = {name for name, _ in lines}
    return [(name, value) for name, value in single(said) if name not in named] + lines


# A load balancer reads one map only, and one value a name in the first.
HEADERS = {
    "http-api": payload_2,
    "function-url": payload_2,
    "rest": payload_1,
    "alb": lambda said: list(dict(single(said)).items()),
    "alb-multi": multiple,
}


def text(value):
    """A header's value. A line end in it would make another header of its rest."""
    value = str(value).lower() if isinstance(value, bool) else str(value)
    if "\r" in value or "\n" in value:
        raise ValueError("a line end in a header")
    return value
