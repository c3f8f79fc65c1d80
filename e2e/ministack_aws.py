"""ministack, the AWS emulator, with what it lacks for a stack such as template.yaml, on loopback alone.

It keeps the control plane, the routing, IAM and the functions' processes. Ours are, of each visitor's request, the event that
the function is given (aws_events.py) and what becomes of its answer (aws_answers.py), so that both are AWS's; besides HTTPS
under AWS's own host names, a REST API's routes for any method, a load balancer's targets, and a memcached cluster's endpoint. Its
hooks are private to one version of ministack.

Variables: GATEWAY_PORT (http, for the SDKs), TLS_PORT, TLS_CERT, TLS_KEY, CACHE_ENDPOINT (host:port of the memcached cluster's
configuration endpoint), SERVERLESS_ENDPOINT (the same of ElastiCache Serverless), FAKETIME_TIMESTAMP_FILE (how far the clock of all
that runs here is ahead), FUNCTION_PRELOAD (libraries for the functions alone) and RECORD (a folder where each event is kept, with
the function's answer, by kind). Functions inherit its whole environment, so start it with an empty one.
"""

import contextvars
import dataclasses
import importlib.metadata
import json
import os
import re
import secrets
import sys
import time

import hypercorn.asyncio
from ministack import app as gateway
from ministack.core import sigv4
from ministack.services import alb, apigateway_v1, elasticache, lambda_svc
from ministack.services.cloudformation import provisioners

import aws_answers
import aws_events

VERSION = "1.5.33"
# Hosts of visitors: HTTP and REST APIs, function URLs, load balancers.
VISITED = re.compile(r"^[^:]+\.(execute-api|lambda-url)\.[a-z0-9-]+\.(amazonaws\.com|on\.aws)|\.elb\.amazonaws\.com")
API_HOST = re.compile(r"^([a-z0-9]+)\.execute-api\.[a-z0-9-]+\.amazonaws\.com")
ANY = "x-amazon-apigateway-any-method"


# The header in which a gateway names the request.
ID_HEADERS = {"http-api": "apigw-requestid", "rest": "x-amzn-requestid", "function-url": "x-amzn-requestid"}


class Exchange:
    """One request of a visitor, and what was made of it on its way."""

    current = contextvars.ContextVar("exchange", default=None)

    def __init__(self, request):
        self.request, self.kind, self.event, self.result, self.refusal = request, None, None, None, None
        self.is_decoded = True

    def invoke(self, function, route):
        """Stands where ministack gives its own event to the function."""
        self.event = self.shape(route)
        self.refusal = aws_answers.refused(self.kind, self.request, self.event)
        if self.refusal:
            return {"body": {"statusCode": self.refusal.status}}
        self.result = execute(function, self.event)
        return self.result

    def shape(self, route):
        context, request = route["requestContext"], self.request
        trace = f"Root=1-{int(time.time()):08x}-{secrets.token_hex(12)}"
        if "elb" in context:
            self.kind = "alb-multi" if "multiValueHeaders" in route else "alb"
            shaped = aws_events.alb_multi if self.kind == "alb-multi" else aws_events.alb
            return shaped(request, route, trace)
        if "resourcePath" in context:
            self.kind = "rest"
            types = apigateway_v1._rest_apis[context["apiId"]].get("binaryMediaTypes") or []
            self.is_decoded = any(aws_events.matches(request.first("accept"), pattern) for pattern in types)
            return aws_events.rest(request, route, trace, types)
        if API_HOST.match(request.host()):
            self.kind = "http-api"
            return aws_events.http_api(request, route, trace)
        self.kind = "function-url"
        return aws_events.function_url(request, route, trace)

    def answer(self, routed):
        """What the visitor gets; what never met the function is the gateway's own answer."""
        if self.refusal:
            return self.refusal
        if self.result is not None:
            answer = aws_answers.answer(self.kind, self.result, self.is_decoded)
            if name := ID_HEADERS.get(self.kind):
                identity = (name, self.event["requestContext"]["requestId"])
                answer = dataclasses.replace(answer, headers=(*answer.headers, identity))
            return answer
        status, headers, body = routed or (404, {"content-type": "application/json"}, b'{"message":"Not Found"}')
        return aws_answers.Answer(status, tuple((name.lower(), str(value)) for name, value in headers.items()), body or b"")


execute = lambda_svc._execute_function_with_config_scope


def invoke(function, event):
    exchange = Exchange.current.get()
    return execute(function, event) if exchange is None else exchange.invoke(function, event)


async def serve_visitor(scope, receive, send):
    """A visitor's request: ministack finds the route and the function, the rest is ours."""
    request = await read(scope, receive)
    exchange = Exchange(request)
    Exchange.current.set(exchange)
    routed = await route(request)
    answer = exchange.answer(routed)
    record(exchange)
    await reply(request, answer, send)


async def read(scope, receive):
    body, more = b"", True
    while more:
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)
    return aws_events.Request(
        method=scope["method"],
        path=(scope.get("raw_path") or scope["path"].encode()).decode("latin-1").split("?")[0],
        query=scope.get("query_string", b"").decode("latin-1"),
        headers=tuple((name.decode("latin-1").lower(), value.decode("latin-1")) for name, value in scope["headers"]),
        body=body,
        source=(scope.get("client") or ("127.0.0.1",))[0],
        port="443" if scope.get("scheme") == "https" else "80",
    )


async def route(request):
    host, path = request.first("host"), aws_events.decoded(request.path)
    headers = {name: value for name, value in request.headers if name != "host"}
    query = gateway.parse_qs(request.query, keep_blank_values=True)
    gateway.set_request_client_ip(request.source)
    gateway.set_request_region(os.environ["MINISTACK_REGION"])
    if found := API_HOST.match(host):
        host = f"{found[1]}.execute-api.{os.environ['MINISTACK_HOST']}"
        # It answers OPTIONS itself, as an API with CORS would; the template's routes are for any method.
        method = "GET" if request.method == "OPTIONS" else request.method
        return await gateway._handle_execute_api_request(
            host, path, method, headers | {"host": host}, request.body, query, request.path, request.query
        )
    headers["host"] = host
    if ".lambda-url." in host:
        return await gateway._handle_lambda_url_request(host, path, request.method, headers, request.body, query)
    return await gateway._handle_alb_request(
        f"{request.host()}:{request.port}", path, request.method, headers, request.body, query, request.query, request.path
    )


async def reply(request, answer, send):
    is_bare, is_head = answer.status in (204, 205, 304) or answer.status < 200, request.method == "HEAD"
    # The length is counted here, but for HEAD, where only the function knows it.
    kept = [(name, value) for name, value in answer.headers if name != "content-length" or (is_head and not is_bare)]
    headers = [(name.encode(), value.encode()) for name, value in kept]
    if not is_bare and not is_head:
        headers.append((b"content-length", str(len(answer.body)).encode()))
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    body = b"" if is_bare or is_head else answer.body
    await send({"type": "http.response.body", "body": body})


def record(exchange):
    folder = os.environ.get("RECORD")
    if folder and exchange.result is not None:
        whole = {"kind": exchange.kind, "event": exchange.event, "result": exchange.result}
        folder = os.path.join(folder, exchange.kind)
        os.makedirs(folder, exist_ok=True)
        with open(os.path.join(folder, f"{time.monotonic_ns()}.json"), "w", encoding="utf-8") as file:
            json.dump(whole, file)


async def app(scope, receive, send):
    headers = dict(scope.get("headers", []))
    if scope["type"] == "http" and VISITED.search(headers.get(b"host", b"").decode("latin-1")):
        await serve_visitor(scope, receive, send)
    else:
        await stock_app(scope, receive, send)


stock_app = gateway.app


def with_targets(create):
    """A load balancer's target group, made with the targets that the template gives it."""

    def both(logical, properties, stack):
        made = create(logical, properties, stack)
        alb._targets[made[0]] = [{"Id": target["Id"], "Port": ""} for target in properties.get("Targets") or []]
        return made

    return both


def import_path(api, path, item, *rest):
    """A REST API's path, whose method may be any."""
    return stock_import_path(api, path, {"any" if method == ANY else method: told for method, told in item.items()}, *rest)


stock_import_path = apigateway_v1._import_path_item


def set_clock():
    """The emulator lives by the functions' clock, so that what it writes down and grants fits theirs.

    libfaketime itself is not for this process: with it Python's time.sleep fails. The SAM CLI signs by the machine's clock, so
    the age of a signature is not looked at.
    """
    machine, file = time.time, os.environ["FAKETIME_TIMESTAMP_FILE"]

    def now():
        with open(file, encoding="ascii") as ahead:
            return machine() + int(ahead.read())

    time.time = now
    sigv4.request_time_failure = lambda *_, **__: None
    os.environ["LD_PRELOAD"] = os.environ["FUNCTION_PRELOAD"]


def start_cache(**_):
    """Where a cache's endpoint leads to: nothing is started, the one that CACHE_ENDPOINT names runs already."""
    host, port = os.environ["CACHE_ENDPOINT"].rsplit(":", 1)
    return host, int(port), None


def serverless_cache(_logical_id, properties, _stack_name):
    """ElastiCache Serverless, which ministack does not know: a name, and the one endpoint that SERVERLESS_ENDPOINT names."""
    host, port = os.environ["SERVERLESS_ENDPOINT"].rsplit(":", 1)
    return properties["ServerlessCacheName"], {"Endpoint.Address": host, "Endpoint.Port": port}


async def serve(app_, config):
    config.insecure_bind, config.bind = config.bind, ["127.0.0.1:" + os.environ["TLS_PORT"]]
    config.certfile, config.keyfile = os.environ["TLS_CERT"], os.environ["TLS_KEY"]
    await stock_serve(app_, config)


stock_serve = hypercorn.asyncio.serve


def main():
    found = importlib.metadata.version("ministack")
    if found != VERSION:
        sys.exit(f"this is ministack {found}, and the hooks are for {VERSION}: run e2e/deployed-tools.sh")
    if os.environ.get("BIND_HOST") != "127.0.0.1":
        sys.exit("set BIND_HOST to 127.0.0.1: this is no server for a network")
    set_clock()
    lambda_svc._execute_function_with_config_scope = invoke
    groups = provisioners._RESOURCE_HANDLERS["AWS::ElasticLoadBalancingV2::TargetGroup"]
    groups["create"] = with_targets(groups["create"])
    provisioners._RESOURCE_HANDLERS["AWS::ElastiCache::ServerlessCache"] = {
        "create": serverless_cache,
        "delete": lambda *_: None,
    }
    apigateway_v1._OPENAPI_HTTP_METHODS = {*apigateway_v1._OPENAPI_HTTP_METHODS, "any"}
    apigateway_v1._import_path_item = import_path
    elasticache._spawn_redis_container = start_cache
    gateway.app = app
    hypercorn.asyncio.serve = serve
    gateway.main()


if __name__ == "__main__":
    main()
