#!/usr/bin/env python3
"""A function that answers with what it is told to: the header x-answer holds its answer, as base64 of JSON; "raise" and "exit" in
its place are deeds, and a number is that many bytes of body.
"""

import base64
import http.client
import json
import os

API = http.client.HTTPConnection(os.environ["AWS_LAMBDA_RUNTIME_API"])
RUNTIME = "/2018-06-01/runtime/invocation/"


def call(method, path, body=None):
    API.request(method, RUNTIME + path, body)
    answer = API.getresponse()
    return answer.headers, answer.read()


def told(event):
    several = event.get("multiValueHeaders") or {}
    headers = {name.lower(): values[-1] for name, values in several.items()}
    headers |= {name.lower(): value for name, value in (event.get("headers") or {}).items()}
    return json.loads(base64.b64decode(headers["x-answer"]))


while True:
    head, event = call("GET", "next")
    answer = told(json.loads(event))
    if answer == "exit":
        os._exit(1)
    if answer == "raise":
        deed, answer = "error", {"errorType": "Told", "errorMessage": "as told"}
    else:
        deed = "response"
    if isinstance(answer, int):
        answer = {"statusCode": 200, "body": "x" * answer}
    call("POST", f"{head['Lambda-Runtime-Aws-Request-Id']}/{deed}", json.dumps(answer))
