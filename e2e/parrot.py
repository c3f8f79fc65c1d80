#!/usr/bin/env python3
"""A function that answers with what it is told to: the header x-answer holds its answer, as base64 of JSON; "raise" and "exit" in
its place are deeds, and a list is what would not fit there: a letter, how often it is the body, and how many headers of 3 KB there are.
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
    if isinstance(answer, list):
        letter, times, heads = answer
        lines = {f"x-{number}": "x" * 3_000 for number in range(heads)}
        answer = {"statusCode": 200, "headers": lines, "multiValueHeaders": {name: [line] for name, line in lines.items()}}
        answer["body"] = letter * times
    call("POST", f"{head['Lambda-Runtime-Aws-Request-Id']}/{deed}", json.dumps(answer, ensure_ascii=False).encode())
