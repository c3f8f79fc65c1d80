"""What AWS makes of a function's answer, by kind of gateway: pure, no clock, no network.

Follows AWS's documentation. No text of a function's error ever reaches a visitor.
"""

import base64
import binascii
import dataclasses
import json

# The largest event and answer (Lambda quotas: 6 MB a payload; of an answer Lambda's own error names the number), and behind a load
# balancer the largest body of either (Lambda functions as targets, limits).
EVENT_LIMIT_BYTES = 6 * 1024 * 1024
ANSWER_LIMIT_BYTES = 6_291_556
BALANCER_LIMIT_BYTES = 1024 * 1024
# The largest request line and headers (API Gateway quotas; Application Load Balancer quotas), and a load balancer's for one line of
# them and for the headers of an answer.
HEAD_LIMITS_BYTES = {"http-api": 10_240, "rest": 10_240, "alb": 65_536, "alb-multi": 65_536}
BALANCER_LINE_LIMIT_BYTES = 16_384
BALANCER_ANSWER_HEAD_LIMIT_BYTES = 32_768
JSON = ("content-type", "application/json")
# What visitors see when the function fails or answers nonsense.
FAILURES = {
    "http-api": (500, "Internal Server Error"),
    "rest": (502, "Internal server error"),
    "function-url": (502, "Internal Server Error"),
    "alb": (502, ""),
    "alb-multi": (502, ""),
}
PHRASES = {400: "Bad Request", 413: "Payload Too Large", 502: "Bad Gateway"}
# What a function that names no content type is taken to answer.
CONTENT_TYPES = {
    "http-api": "text/plain; charset=utf-8",
    "rest": "application/json",
    "function-url": "application/json",
    "alb": "application/octet-stream",
    "alb-multi": "application/octet-stream",
}
# What a REST API sends under another name (API Gateway, important notes for REST APIs).
REMAPPED = {"content-md5", "date", "server", "user-agent", "www-authenticate"}


@dataclasses.dataclass(frozen=True)
class Answer:
    """What goes back to the client."""

    status: int
    headers: tuple
    body: bytes


def refused(kind, request, event):
    """The answer to a request that never reaches the function; None where it does."""
    line = len(request.method) + len(request.path) + len(request.query) + 13
    # Read as Latin-1, so a character is a byte.
    lengths = [line, *(len(name) + len(value) + 4 for name, value in request.headers)]
    if event is None:
        return refusal(kind, 400, "Bad Request")
    is_balancer = kind.startswith("alb")
    if sum(lengths) > HEAD_LIMITS_BYTES.get(kind, sum(lengths)) or (is_balancer and max(lengths) > BALANCER_LINE_LIMIT_BYTES):
        return refusal(kind, *((400, "Bad Request") if is_balancer else (431, "Request Header Fields Too Large")))
    if (is_balancer and len(request.body) > BALANCER_LIMIT_BYTES) or size(event) > EVENT_LIMIT_BYTES:
        return refusal(kind, 413, "Request Too Long" if kind == "rest" else "Request Entity Too Large")
    return None


def size(value):
    """The bytes of a value as JSON, in UTF-8."""
    return len(json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "surrogatepass"))


def refusal(kind, status, message):
    if kind.startswith("alb"):
        return Answer(status, (("content-type", "text/html"),), page(f"{status} {PHRASES[status]}").encode())
    if kind == "function-url":
        return Answer(status, (JSON,), message.encode())
    space = " " if kind == "rest" else ""
    return Answer(status, (JSON,), f'{{"message":{space}"{message}"}}'.encode())


def page(title):
    return (
        f"<html>\r\n<head><title>{title}</title></head>\r\n<body>\r\n<center><h1>{title}</h1></center>\r\n</body>\r\n</html>\r\n"
    )


def answer(kind, result, is_decoded):
    """The answer of `kind` to a function's `result`, or its generic failure. `is_decoded`: a REST API's binary types match."""
    try:
        return checked(kind, result, is_decoded)
    except (KeyError, TypeError, ValueError, AttributeError, binascii.Error):
        return failure(kind)


def failure(kind):
    return refusal(kind, *FAILURES[kind])


def checked(kind, result, is_decoded):
    limit = BALANCER_LIMIT_BYTES if kind.startswith("alb") else ANSWER_LIMIT_BYTES
    if result.get("error") or result.get("throttle") or size(result["body"]) > limit:
        return failure(kind)
    said = result["body"]
    if kind in ("http-api", "function-url") and not (isinstance(said, dict) and "statusCode" in said):
        # Payload format 2.0: what has no status is itself the body of a 200.
        body = said if isinstance(said, str) else json.dumps(said)
        return Answer(200, (JSON,), body.encode())
    status = int(said["statusCode"])
    if not 200 <= status <= 599:
        raise ValueError(status)
    headers = HEADERS[kind](said)
    if status not in (204, 205, 304) and "content-type" not in dict(headers):
        headers.append(("content-type", CONTENT_TYPES[kind]))
    head = sum(len(name) + len(value.encode()) + 4 for name, value in headers)
    if kind.startswith("alb") and head > BALANCER_ANSWER_HEAD_LIMIT_BYTES:
        raise ValueError(head)
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
    """A REST API reads both maps as one list; a pair in both counts once."""
    lines = multiple(said)
    lines += [pair for pair in single(said) if pair not in lines]
    return [(f"x-amzn-remapped-{name}" if name in REMAPPED else name, value) for name, value in lines]


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
