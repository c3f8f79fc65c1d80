"""The events that AWS makes of an HTTP request, one function a kind of gateway: pure, no clock, no network.

What AWS does follows its documentation and published captures of live events. `route` is what only the gateway knows: which
API, stage and route the request met, as the emulator found it. e2e/agree.py holds what comes out against `lambda-session serve`.
"""

import base64
import dataclasses
import re
import urllib.parse

# Bodies of these types reach a function as text, all others as base64 (HTTP API, function URL, ALB).
TEXT = ("application/json", "application/javascript", "application/xml")
# Headers of one connection alone (RFC 9110, section 7.6.1).
HOP_BY_HOP = {"connection", "expect", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade"}
# What a REST API knows of a caller who did not sign.
NOBODY = dict.fromkeys(
    ("accessKey", "accountId", "caller", "cognitoAuthenticationProvider", "cognitoAuthenticationType", "cognitoIdentityId")
    + ("cognitoIdentityPoolId", "principalOrgId", "user", "userArn")
)
# A REST API writes these names so, whatever the client wrote.
SPELLED = {
    name.lower(): name
    for name in ("Host", "User-Agent", "X-Amzn-Trace-Id", "X-Forwarded-For", "X-Forwarded-Port", "X-Forwarded-Proto")
}


@dataclasses.dataclass(frozen=True)
class Request:
    """A request as it came in: nothing decoded, nothing joined. Names of headers are in lower case."""

    method: str
    path: str
    query: str
    headers: tuple
    body: bytes
    source: str
    port: str

    def values(self, name):
        return [value for named, value in self.headers if named == name]

    def first(self, name):
        return next(iter(self.values(name)), "")

    def host(self):
        return self.first("host").rsplit(":", 1)[0]


def http_api(request, route, trace):
    """Payload format 2.0: cookies in an array of their own and in no header, the path decoded. None: no path that it takes."""
    path = http_api_path(request.path)
    if path is None:
        return None
    event = payload_2(request, route, forwarded(request, trace))
    event["headers"].pop("cookie", None)
    event["headers"]["content-length"] = str(len(request.body))
    event["rawPath"] = event["requestContext"]["http"]["path"] = path
    return event


def http_api_path(path):
    """By captures of live events: decoded, cut at a `?` that this brought up, decoded again, refused at a `%` without an escape."""
    once = decoded(path).split("?")[0]
    if re.search("%(?![0-9A-Fa-f]{2})", once):
        return None
    return decoded(once)


def function_url(request, route, trace):
    """Payload format 2.0: cookies in an array and in their header too, the path as it was sent."""
    event = payload_2(request, route, forwarded(request, trace))
    event["headers"] |= {"x-amzn-tls-version": "TLSv1.3", "x-amzn-tls-cipher-suite": "TLS_AES_128_GCM_SHA256"}
    event["rawPath"] = request.path
    event["requestContext"]["http"]["path"] = decoded(request.path)
    return event


def rest(request, route, trace, binary_types):
    """A REST API's proxy event: each header and query parameter once with its last value, once with all."""
    lines = [(name, values) for name, values in forwarded(request, trace).items() if name != "content-length"]
    headers = {SPELLED.get(name, name): values for name, values in lines}
    query = {}
    for name, value in urllib.parse.parse_qsl(request.query, keep_blank_values=True):
        query.setdefault(name, []).append(value)
    context = dict(route["requestContext"])
    stage = "/" + context["stage"]
    path = request.path.removeprefix(stage) or "/"
    context |= {"httpMethod": request.method, "path": request.path}
    context |= {"domainName": request.host(), "domainPrefix": request.host().split(".")[0]}
    context["identity"] = NOBODY | {"sourceIp": request.source, "userAgent": request.first("user-agent") or None}
    parameters = route.get("pathParameters") or None
    if parameters and "proxy" in parameters:
        parameters = parameters | {"proxy": path.removeprefix(route["resource"].split("{proxy+}")[0])}
    is_binary = any(matches(request.first("content-type"), pattern) for pattern in binary_types)
    body, is_encoded = carried(request.body, not is_binary)
    return {
        "resource": route["resource"],
        "path": path,
        "httpMethod": request.method,
        "headers": {name: values[-1] for name, values in headers.items()} or None,
        "multiValueHeaders": headers or None,
        "queryStringParameters": {name: values[-1] for name, values in query.items()} or None,
        "multiValueQueryStringParameters": query or None,
        "pathParameters": parameters,
        "stageVariables": route.get("stageVariables") or None,
        "requestContext": context,
        "body": body,
        "isBase64Encoded": is_encoded,
    }


def alb(request, route, trace):
    """A load balancer's event without multi-value headers: the last value of each, the query undecoded."""
    lines = {name: values[-1] for name, values in forwarded(request, trace).items()}
    query = {name: values[-1] for name, values in undecoded(request.query).items()}
    return {**load_balancer(request, route), "headers": lines, "queryStringParameters": query}


def alb_multi(request, route, trace):
    """A load balancer's event with multi-value headers: these alone, the query undecoded."""
    query = undecoded(request.query)
    lines = forwarded(request, trace)
    return {**load_balancer(request, route), "multiValueHeaders": lines, "multiValueQueryStringParameters": query}


def payload_2(request, route, lines):
    """What an HTTP API's event and a function URL's have in common."""
    found = route["requestContext"]
    host = request.host()
    event = {
        "version": "2.0",
        "routeKey": found["routeKey"],
        "rawPath": None,
        "rawQueryString": request.query,
        "headers": {name: ",".join(values) for name, values in lines.items()},
        "requestContext": {
            **{name: found[name] for name in ("accountId", "apiId", "requestId", "routeKey", "stage", "time", "timeEpoch")},
            "domainName": host,
            "domainPrefix": host.split(".")[0],
            "http": {
                "method": request.method,
                "path": None,
                "protocol": "HTTP/1.1",
                "sourceIp": request.source,
                "userAgent": request.first("user-agent"),
            },
        },
        "isBase64Encoded": False,
    }
    cookies = [cookie.strip() for line in request.values("cookie") for cookie in line.split(";") if cookie.strip()]
    if cookies:
        event["cookies"] = cookies
    query = {}
    for name, value in urllib.parse.parse_qsl(request.query, keep_blank_values=True):
        query.setdefault(name, []).append(value)
    if query:
        event["queryStringParameters"] = {name: ",".join(values) for name, values in query.items()}
    if route.get("pathParameters"):
        event["pathParameters"] = route["pathParameters"]
    if request.body:
        event["body"], event["isBase64Encoded"] = carried(request.body, is_text(request))
    return event


def load_balancer(request, route):
    """What both of a load balancer's events have in common."""
    body, is_encoded = carried(request.body, is_text(request) and not request.first("content-encoding"))
    return {
        "requestContext": {"elb": {"targetGroupArn": route["requestContext"]["elb"]["targetGroupArn"]}},
        "httpMethod": request.method,
        "path": request.path,
        "body": body or "",
        "isBase64Encoded": is_encoded,
    }


def forwarded(request, trace):
    """The headers, each with all its values, and those that AWS adds. What a client says of where it is comes first."""
    lines = {}
    for name, value in request.headers:
        if name not in HOP_BY_HOP:
            lines.setdefault(name, []).append(value)
    if "cookie" in lines:
        lines["cookie"] = ["; ".join(lines["cookie"])]
    lines["x-forwarded-for"] = [", ".join([*lines.get("x-forwarded-for", []), request.source])]
    lines["x-forwarded-port"] = [request.port]
    lines["x-forwarded-proto"] = ["https" if request.port == "443" else "http"]
    lines.setdefault("x-amzn-trace-id", [trace])
    return lines


def carried(body, is_text):
    """A body as an event carries it, and whether that is base64."""
    if not body:
        return None, False
    if is_text:
        try:
            return body.decode(), False
        except UnicodeDecodeError:
            pass
    return base64.b64encode(body).decode(), True


def is_text(request):
    kind = request.first("content-type").split(";")[0].strip().lower()
    return kind.startswith("text/") or kind in TEXT


def matches(kind, pattern):
    """Whether a content type is of a REST API's binary media types. SAM writes the slash of a pattern as `~1`. Without a type a REST
    API takes a body for JSON."""
    kind = kind.split(";")[0].strip().lower() or "application/json"
    return pattern.replace("~1", "/").lower() in ("*/*", kind, kind.split("/")[0] + "/*")


def decoded(path):
    return urllib.parse.unquote(path, errors="replace")


def undecoded(query):
    found = {}
    for pair in query.split("&"):
        name, _, value = pair.partition("=")
        if pair:
            found.setdefault(name, []).append(value)
    return found
