"""The same HTTP exchanges through `lambda-session serve` and through the emulator's front doors: the same events, the same answers.

Two implementations that know nothing of each other, by the same documentation and captures. Where they may differ stands in DIFFERENCES,
with the reason; a difference that is listed and not met is a failure too. Prints one JSON array a promise: [promise, seen, wanted].
Wants KIND (serve's word for the front door), URL (the front door's), TLS_PORT, CA, RECORD (where the emulator keeps events), CLI, SCRATCH.
"""

import base64
import glob
import http.client
import json
import os
import socket
import ssl
import subprocess
import urllib.parse

KIND, RECORD, SCRATCH = os.environ["KIND"], os.environ["RECORD"], os.environ["SCRATCH"]
URL = urllib.parse.urlsplit(os.environ["URL"])
STAGE = URL.path.rstrip("/")

TEXT, JSON, PICTURE = ({"content-type": kind} for kind in ("text/plain", "application/json", "image/png"))
BYTES = bytes(range(256))
ENCODED = base64.b64encode(BYTES).decode()
COOKIES = ["a=1; Path=/", "b=2, 3", "c=4; Expires=Wed, 21 Oct 2026 07:28:00 GMT"]
# name, method, target, headers, body of the request; what the function answers, where it is not {"statusCode": 200, "body": "ok"}.
EXCHANGES = [
    ("the root", "GET", "/", [], b"", None),
    ("a path", "GET", "/shop/cart", [], b"", None),
    ("a slash at the end", "GET", "/shop/", [], b"", None),
    ("an encoded blank", "GET", "/a%20b", [], b"", None),
    ("an encoded slash", "GET", "/a%2Fb", [], b"", None),
    ("an encoded question mark", "GET", "/a%3Fb", [], b"", None),
    ("an encoded percent sign", "GET", "/a%25b", [], b"", None),
    ("what is encoded twice", "GET", "/a%252Fb", [], b"", None),
    ("letters of UTF-8", "GET", "/caf%C3%A9/%E4%B8%96", [], b"", None),
    ("marks that need no encoding", "GET", "/a+b;c=d/@e,f:g", [], b"", None),
    ("a query", "GET", "/?a=1&b=2", [], b"", None),
    ("a repeated parameter", "GET", "/?a=1&b=x&a=2", [], b"", None),
    ("an encoded parameter", "GET", "/?to=https%3A%2F%2Fx%2Fy%3Fz%3D1", [], b"", None),
    ("blanks in a parameter", "GET", "/?a=b+c&d=e%20f&g=h%2Bi", [], b"", None),
    ("empty parameters", "GET", "/?a=&b", [], b"", None),
    ("a comma in a parameter", "GET", "/?a=1,2&a=3", [], b"", None),
    ("letters of UTF-8 in a parameter", "GET", "/?n=Zo%C3%AB&%C3%A9=1", [], b"", None),
    ("a parameter in two cases", "GET", "/?a=1&A=2&a=3", [], b"", None),
    ("parameters behind a semicolon", "GET", "/?a=1;b=2&c=3", [], b"", None),
    ("a parameter without a name", "GET", "/?=1&a=2", [], b"", None),
    ("a question mark alone", "GET", "/?", [], b"", None),
    ("a percent sign in a parameter", "GET", "/?a=100%&b=%zz", [], b"", None),
    ("bytes of no UTF-8 in a parameter", "GET", "/?a=%FF&b=1", [], b"", None),
    ("a percent sign in a path", "GET", "/a%zz", [], b"", None),
    ("bytes of no UTF-8 in a path", "GET", "/a%FF", [], b"", None),
    ("slashes side by side", "GET", "//a///b", [], b"", None),
    ("dots in a path", "GET", "/a/../b/./c", [], b"", None),
    ("a header without a value", "GET", "/", [("x-empty", "")], b"", None),
    ("a header with blanks around", "GET", "/", [("x-blanks", "  a  b  ")], b"", None),
    ("a header of UTF-8", "GET", "/", [("x-name", "Zoë".encode())], b"", None),
    ("a repeated header", "GET", "/", [("x-two", "first"), ("x-two", "second")], b"", None),
    ("a header of any case", "GET", "/", [("X-MiXeD", "A"), ("Accept", "text/html, */*;q=0.8")], b"", None),
    ("cookies in one line", "GET", "/", [("cookie", "a=1; b=2;c=3")], b"", None),
    ("cookies in two lines", "GET", "/", [("cookie", "a=1; b=2"), ("cookie", "c=3")], b"", None),
    ("a cookie without a name", "GET", "/", [("cookie", "loose; a=1; a=2; =x")], b"", None),
    ("cookies with quotes and blanks", "GET", "/", [("cookie", 'a="1 2"; b=x=y')], b"", None),
    ("a client behind a proxy", "GET", "/", [("x-forwarded-for", "203.0.113.7"), ("x-forwarded-proto", "ftp")], b"", None),
    ("a client with a trace", "GET", "/", [("x-amzn-trace-id", "Root=1-6b032da0-0a1b4c3d8e5f60718293a4b5")], b"", None),
    ("headers of the connection", "GET", "/", [("te", "trailers"), ("keep-alive", "5")], b"", None),
    ("JSON", "POST", "/", [("content-type", "application/json; charset=utf-8")], '{"é":1}'.encode(), None),
    ("a form", "POST", "/", [("content-type", "application/x-www-form-urlencoded")], b"user=al+ice&x=%C3%A9", None),
    ("bytes", "POST", "/", [("content-type", "application/octet-stream")], BYTES, None),
    ("text", "PUT", "/", [("content-type", "text/csv")], "ä;b\r\n".encode(), None),
    ("a body of no type", "POST", "/", [], b"plain", None),
    ("text that is not UTF-8", "POST", "/", [("content-type", "text/plain")], b"caf\xe9", None),
    ("a form that is not UTF-8", "POST", "/", [("content-type", "application/x-www-form-urlencoded")], b"a=\xe9", None),
    ("a nought in text", "POST", "/", [("content-type", "text/plain")], b"a\x00b", None),
    ("JSON by its suffix", "PATCH", "/", [("content-type", "application/problem+json")], b"{}", None),
    ("JSON that is not UTF-8", "POST", "/", [("content-type", "application/json")], b'{"a":"\xff"}', None),
    ("encoded text", "POST", "/", [("content-type", "text/plain"), ("content-encoding", "br")], b"abc", None),
    ("an empty body", "POST", "/", [("content-type", "application/json")], b"", None),
    ("DELETE", "DELETE", "/posts/1", [], b"", None),
    ("OPTIONS", "OPTIONS", "/posts", [("origin", "https://x"), ("access-control-request-method", "PUT")], b"", None),
    ("HEAD", "HEAD", "/", [], b"", {"headers": TEXT, "body": "not sent"}),
    ("HEAD with a length", "HEAD", "/", [], b"", {"headers": {"content-length": "8", **TEXT}, "body": "not sent"}),
    ("an answer without a type", "GET", "/", [], b"", {"body": "x"}),
    ("three cookies", "GET", "/", [], b"", {"cookies": COOKIES}),
    ("bytes back", "GET", "/", [], b"", {"headers": PICTURE, "body": ENCODED, "isBase64Encoded": True}),
    ("bytes back to who takes text", "GET", "/", [("accept", "text/html")], b"", {"headers": PICTURE, "body": ENCODED, "isBase64Encoded": True}),
    ("letters back", "GET", "/", [], b"", {"headers": TEXT, "body": "Zoë ☃"}),
    ("a header without a value back", "GET", "/", [], b"", {"headers": {"x-empty": "", **TEXT}, "body": "x"}),
    ("a header of UTF-8 back", "GET", "/", [], b"", {"headers": {"x-name": "Zoë", **TEXT}, "body": "x"}),
    ("headers of any case back", "GET", "/", [], b"", {"headers": {"X-MiXeD": "A", "Content-Type": "text/css"}, "body": "x"}),
    ("a length that is wrong", "GET", "/", [], b"", {"headers": {"content-length": "9", **TEXT}, "body": "x"}),
    ("nothing back", "DELETE", "/", [], b"", {"statusCode": 204}),
    ("not modified", "GET", "/", [], b"", {"statusCode": 304, "headers": {"etag": '"1"'}}),
    ("a redirect", "POST", "/", [], b"", {"statusCode": 303, "headers": {"location": "./"}}),
    ("headers of a server", "GET", "/", [], b"", {"statusCode": 401, "headers": {"www-authenticate": "Basic", **TEXT}}),
    ("a status as text", "GET", "/", [], b"", {"statusCode": "201", "headers": TEXT, "body": "made"}),
    ("no status", "GET", "/", [], b"", {"statusCode": None, "body": "x"}),
    ("a status that is none", "GET", "/", [], b"", {"statusCode": "soon"}),
    ("no object", "GET", "/", [], b"", "text"),
    ("base64 that is none", "GET", "/", [], b"", {"headers": TEXT, "body": "%%%", "isBase64Encoded": True}),
    ("an error", "GET", "/", [], b"", "raise"),
    ("an end", "GET", "/", [], b"", "exit"),
    ("more than 1 MB back", "GET", "/", [], b"", ["x", 1_100_000, 0]),
    ("more than 6 MB back", "GET", "/", [], b"", ["x", 6_300_000, 0]),
    ("more than 1 MB of letters back", "GET", "/", [], b"", ["é", 600_000, 0]),
    ("more than 6 MB of letters back", "GET", "/", [], b"", ["é", 3_200_000, 0]),
    ("more than 1 MB there", "POST", "/", [("content-type", "text/plain")], b"x" * 1_100_000, None),
    ("more than 6 MB of letters there", "POST", "/", [("content-type", "text/plain")], "é".encode() * 3_200_000, None),
    ("6 MB in base64 there", "POST", "/", [("content-type", "image/png")], b"x" * 5_000_000, None),
    ("headers of 9 KB", "GET", "/", [("x-large", "x" * 9_000)], b"", None),
    ("headers of 11 KB", "GET", "/", [("x-large", "x" * 11_000)], b"", None),
    ("a header of 17 KB", "GET", "/", [("x-large", "x" * 17_000)], b"", None),
    ("a query of 17 KB", "GET", "/?q=" + "x" * 17_000, [], b"", None),
    ("headers of 33 KB back", "GET", "/", [], b"", ["x", 1, 11]),
]

# Kinds, the place in the event (or answer) and why the two may differ there.
DIFFERENCES = [
    (("http-api", "rest"), "event.requestContext.accountId", "whose account it is"),
    (("http-api", "rest", "function-url"), "event.requestContext.apiId", "which API it is"),
    (("http-api", "rest", "function-url"), "event.requestContext.requestId", "one for each request"),
    (("rest",), "event.requestContext.extendedRequestId", "one for each request"),
    (("rest",), "event.requestContext.resourceId", "which resource of the API it is"),
    (("rest",), "event.requestContext.deploymentId", "the emulator leaves it out, no library reads it"),
    (("http-api", "function-url"), "event.requestContext.time", "when it was"),
    (("http-api", "function-url"), "event.requestContext.timeEpoch", "when it was"),
    (("rest",), "event.requestContext.requestTime", "when it was"),
    (("rest",), "event.requestContext.requestTimeEpoch", "when it was"),
    (("rest",), "event.requestContext.path", "serve has a domain of its own, where the stage is in no path; the emulator API Gateway's"),
    (("function-url",), "event.requestContext.domainName", "serve's URL has a host name of its own"),
    (("function-url",), "event.requestContext.domainPrefix", "serve's URL has a host name of its own"),
    (("alb", "alb-multi"), "event.requestContext.elb.targetGroupArn", "which target group it is"),
    (("http-api", "function-url", "alb"), "event.headers.x-amzn-trace-id", "one for each request"),
    (("alb-multi",), "event.multiValueHeaders.x-amzn-trace-id", "one for each request"),
    (("rest",), "event.headers.X-Amzn-Trace-Id", "one for each request"),
    (("rest",), "event.multiValueHeaders.X-Amzn-Trace-Id", "one for each request"),
    (("http-api", "function-url", "rest", "alb"), "event.headers.x-name", "no document says how letters are read: serve takes UTF-8 first, the emulator Latin-1"),
    (("rest", "alb-multi"), "event.multiValueHeaders.x-name", "no document says how letters are read: serve takes UTF-8 first, the emulator Latin-1"),
    (("alb",), "event.headers.x-forwarded-port", "serve stands for a listener of HTTP, the stack has one of HTTPS"),
    (("alb",), "event.headers.x-forwarded-proto", "serve stands for a listener of HTTP, the stack has one of HTTPS"),
    (("alb-multi",), "event.multiValueHeaders.x-forwarded-port", "serve stands for a listener of HTTP, the stack has one of HTTPS"),
    (("alb-multi",), "event.multiValueHeaders.x-forwarded-proto", "serve stands for a listener of HTTP, the stack has one of HTTPS"),
]
# What belongs to a connection and a moment, or names the request.
UNTOLD = {"date", "server", "connection", "keep-alive", "transfer-encoding", "apigw-requestid", "x-amzn-requestid"}


def answer_for(told):
    """The function's answer in the shape that this kind of gateway reads."""
    if not isinstance(told or {}, dict):
        return told
    said = {"statusCode": 200} | (told or {"headers": JSON, "body": "ok"})
    cookies = said.pop("cookies", [])
    headers = said.pop("headers", {})
    if KIND in ("http-api", "function-url"):
        return said | {"headers": headers, "cookies": cookies}
    if KIND == "alb":
        # One header each, told apart by how it is spelled; the plain one is the last.
        spelled = ["SET-cookie", "SEt-cookie", "set-cookie"][-len(cookies) :] if cookies else []
        return said | {"headers": headers | dict(zip(spelled, cookies))}
    several = {name: [value] for name, value in headers.items()}
    return said | {"multiValueHeaders": several | ({"set-cookie": cookies} if cookies else {})}


class Door:
    """One way to the function: the emulator's or serve's."""

    def __init__(self, connect, record):
        self.connect, self.record = connect, record

    def exchange(self, method, target, headers, body, answer):
        """The event that the function was given, and the answer that came back."""
        for file in glob.glob(os.path.join(self.record, "*.json")):
            os.unlink(file)
        connection = self.connect()
        connection.putrequest(method, target, skip_host=True, skip_accept_encoding=True)
        told = base64.b64encode(json.dumps(answer).encode()).decode()
        lines = [("host", URL.hostname), ("user-agent", "agree"), *headers, ("x-answer", told)]
        if body or method in ("POST", "PUT", "PATCH"):
            lines.append(("content-length", str(len(body))))
        for name, value in lines:
            connection.putheader(name, value)
        try:
            connection.endheaders(body or None)
        except (BrokenPipeError, ConnectionResetError):
            pass  # It has answered before it has read all.
        answered = connection.getresponse()
        text = answered.read()
        # As they are spelled; those of one name, such as Set-Cookie, in their order.
        lines = {}
        for name, value in answered.getheaders():
            if name.lower() not in UNTOLD:
                lines.setdefault(name, []).append(value)
        connection.close()
        return {"event": self.event(), "status": answered.status, "headers": lines, "body": base64.b64encode(text).decode()}

    def event(self):
        files = [file for file in glob.glob(os.path.join(self.record, "*.json")) if not file.endswith(".answer.json")]
        if not files:
            return None
        with open(files[0], encoding="utf-8") as file:
            event = json.load(file)
        return event.get("event", event)


def differing(one, other, place=""):
    """The places where two values differ, with both."""
    if isinstance(one, dict) and isinstance(other, dict):
        for name in sorted({*one, *other}):
            yield from differing(one.get(name, "absent"), other.get(name, "absent"), f"{place}.{name}" if place else name)
    elif one != other:
        yield place, one, other


def brief(value):
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) < 200 else f"{text[:100]}… {len(text)} characters"


def main():
    records = os.path.join(SCRATCH, f"served-{KIND}")
    serve = subprocess.Popen(
        [os.environ["CLI"], "serve", "--bootstrap", "e2e/parrot.py", "--as", KIND, "--port", "0", "--host", URL.hostname, "--record", records, "--environments", "1"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env={"PATH": "/usr/bin:/bin"},
    )
    try:
        port = int(serve.stdout.readline().split("localhost:")[1].split()[0])
        trust = ssl.create_default_context(cafile=os.environ["CA"])

        def through_tls():
            connection = http.client.HTTPSConnection(URL.hostname, int(os.environ["TLS_PORT"]), context=trust, timeout=60)
            # By its own name, to this machine.
            connection._create_connection = lambda address, *rest: socket.create_connection(("127.0.0.1", address[1]), *rest)
            return connection

        emulator = Door(through_tls, RECORD)
        local = Door(lambda: http.client.HTTPConnection("127.0.0.1", port, timeout=60), records)
        met = set()
        for name, method, target, headers, body, told in EXCHANGES:
            answer = answer_for(told)
            deployed = emulator.exchange(method, STAGE + target, headers, body, answer)
            served = local.exchange(method, target, headers, body, answer)
            reached = [told is not None for told in (served["event"], deployed["event"])]
            seen = [] if all(reached) or served["status"] in (400, 413, 431) else [f"the function was reached: {reached}"]
            for place, one, other in differing(served, deployed):
                allowed = [number for number, (kinds, where, _) in enumerate(DIFFERENCES) if KIND in kinds and where == place]
                met.update(allowed)
                if not allowed:
                    seen.append(f"{place}: serve {brief(one)}, emulator {brief(other)}")
            print(json.dumps([f"{KIND}: {name}: serve and the emulator agree", "\n".join(seen), ""]), flush=True)
        stale = [where for number, (kinds, where, _) in enumerate(DIFFERENCES) if KIND in kinds and number not in met]
        print(json.dumps([f"{KIND}: every difference that is listed is met", " ".join(stale), ""]))
    finally:
        serve.terminate()
        serve.wait(10)


if __name__ == "__main__":
    main()
