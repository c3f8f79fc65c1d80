#!/usr/bin/env python3
"""A function in another language: what it does with an event is the last part of the event's path.

MODE in its environment decides how it starts.
"""
import base64
import http.client
import json
import os
import signal
import subprocess
import sys
import time

API = http.client.HTTPConnection(os.environ["AWS_LAMBDA_RUNTIME_API"])
RUNTIME = "/2018-06-01/runtime"
MEBIBYTE = 1024 * 1024


def call(method, path, body=None, headers=None):
    API.request(method, RUNTIME + path, body, headers or {})
    response = API.getresponse()
    return response.status, dict((name.lower(), value) for name, value in response.getheaders()), response.read()


def path_of(event):
    return event.get("rawPath") or event.get("path") or "/"


def pairs_of(event):
    """The request's cookies, from wherever this kind of event carries them."""
    lines = list(event.get("cookies") or [])
    if not lines:
        for name, values in (event.get("multiValueHeaders") or {}).items():
            lines += values if name.lower() == "cookie" else []
    if not lines:
        lines += [value for name, value in (event.get("headers") or {}).items() if name.lower() == "cookie"]
    return [pair.strip().partition("=")[::2] for line in lines for pair in line.split(";")]


def with_cookies(event, answer, lines):
    """The answer with `Set-Cookie` lines where the gateway of this kind of event reads them."""
    if event.get("version") == "2.0":
        answer["cookies"] = lines
    elif "elb" in event["requestContext"] and "multiValueHeaders" not in event:
        answer["headers"] = dict([("Set-Cookie", lines[0])] if lines else [])
    else:
        answer["multiValueHeaders"] = {"SET-Cookie": lines}
    return answer


def answer_to(event, headers):
    deed = path_of(event).rsplit("/", 1)[-1]
    text = event.get("body") or ""
    if event.get("isBase64Encoded"):
        text = base64.b64decode(text).decode()
    if deed == "count":
        count = int(dict(pairs_of(event)).get("n", 0)) + 1
        return with_cookies(event, {"statusCode": 200, "body": str(count)}, ["n=%d; Path=/" % count])
    if deed == "set":
        return with_cookies(event, {"statusCode": 200, "body": ""}, json.loads(text))
    if deed == "event":
        return {"statusCode": 200, "body": json.dumps({"event": event, "headers": headers})}
    if deed == "environment":
        return {"statusCode": 200, "body": json.dumps(dict(os.environ))}
    if deed == "status":
        return {"statusCode": int(text), "headers": {"X-One": "1"}, "body": "no"}
    if deed == "bytes":
        return {"statusCode": 200, "isBase64Encoded": True, "body": base64.b64encode(bytes(range(256))).decode()}
    if deed == "hostile":
        return {"statusCode": 200, "headers": {"x": "a\x1b[31mb"}, "body": "c\x1b]0;d\x07\u202ee"}
    if deed == "described":
        return {"statusCode": 200, "statusDescription": "200 OK", "body": json.dumps("hi")}
    if deed == "size":
        return {"statusCode": 200, "body": "x" * int(text)}
    if deed == "late":
        while not os.path.exists(text):
            time.sleep(0.01)
        return with_cookies(event, {"statusCode": 200, "body": "at last"}, ["late=1"])
    if deed == "process":
        return {"statusCode": 200, "body": str(os.getpid())}
    if deed == "flood":
        sys.stderr.write(("x" * 99 + "\n") * int(text))
        sys.stderr.flush()
        return {"statusCode": 200, "body": "written"}
    if deed == "log":
        print("words on standard output", flush=True)
        print("words on standard error", file=sys.stderr, flush=True)
        return {"statusCode": 200, "body": ""}
    return {"statusCode": 404, "body": "no such deed"}


def serve():
    _, headers, body = call("GET", "/invocation/next")
    identity = headers["lambda-runtime-aws-request-id"]
    event = json.loads(body)
    deed = path_of(event).rsplit("/", 1)[-1] if isinstance(event, dict) else "list"
    respond = "/invocation/%s/response" % identity
    if deed == "crash":
        print("a last word", file=sys.stderr, flush=True)
        os._exit(7)
    elif deed == "hang":
        print("a word before the silence", file=sys.stderr, flush=True)
        child = subprocess.Popen(["sleep", "300"])
        if event.get("body"):
            with open(event["body"], "w") as file:
                file.write("%d %d" % (os.getpid(), child.pid))
        time.sleep(300)
    elif deed == "wait":
        print("waiting for a file", file=sys.stderr, flush=True)
        while not os.path.exists(event["body"]):
            time.sleep(0.01)
        call("POST", respond, json.dumps(answer_to(event, headers)))
    elif deed == "error":
        print("a word of warning", file=sys.stderr, flush=True)
        error = {"errorType": "Oops", "errorMessage": "it broke"}
        call("POST", "/invocation/%s/error" % identity, json.dumps(error), {"Lambda-Runtime-Function-Error-Type": "Oops"})
    elif deed == "nonsense":
        call("POST", respond, "not json")
    elif deed == "list":
        call("POST", respond, "[]")
    elif deed == "stream":
        prelude = json.dumps({"statusCode": 200, "cookies": ["n=1; Path=/"]}).encode()
        headers = {
            "Lambda-Runtime-Function-Response-Mode": "streaming",
            "Content-Type": "application/vnd.awslambda.http-integration-response",
        }
        call("POST", respond, iter([prelude, b"\0" * 8, b"in ", b"pieces"]), headers)
    else:
        status, _, _ = call("POST", respond, json.dumps(answer_to(event, headers)))
        if deed == "status" and status != 202:
            sys.exit("the answer was not taken: %d" % status)
        if deed == "size":
            print("the answer was met with", status, file=sys.stderr, flush=True)
        if "once" in path_of(event):
            sys.exit(5)
        if "mute" in path_of(event):
            time.sleep(300)


MODE = os.environ.get("MODE", "serve")
if MODE == "exit":
    sys.exit("cannot find my settings")
if MODE == "init-error":
    call("POST", "/init/error", json.dumps({"errorType": "Init", "errorMessage": "no table"}))
    time.sleep(300)
if MODE == "silent":
    print("thinking", file=sys.stderr, flush=True)
    time.sleep(300)
if MODE == "extension":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("goodbye"))
    EXTENSIONS = http.client.HTTPConnection(os.environ["AWS_LAMBDA_RUNTIME_API"])
    NAME = {"Lambda-Extension-Name": "shutdown"}
    EXTENSIONS.request("POST", "/2020-01-01/extension/register", json.dumps({"events": []}), NAME)
    IDENTITY = EXTENSIONS.getresponse().headers["Lambda-Extension-Identifier"]
    print("registered" if IDENTITY else "not registered", file=sys.stderr, flush=True)
while True:
    serve()
