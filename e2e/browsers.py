"""Browsers before a Managed Instance: BROWSERS of them, VISITS each, AT_ONCE requests at a time; nobody may be given
another's session. Prints what went wrong, if anything, and in the end how many requests there were and how long they took.

usage: browsers.py PORT BROWSERS VISITS AT_ONCE
"""
import http.client
import json
import queue
import re
import sys
import threading
import time

PORT, BROWSERS, VISITS, AT_ONCE = (int(argument) for argument in sys.argv[1:])
HOST = "abc.execute-api.eu-west-1.amazonaws.com"


def event(method, path, body, cookies):
    return json.dumps({
        "version": "2.0", "routeKey": "$default", "rawPath": path, "rawQueryString": "", "cookies": cookies,
        "headers": {"host": HOST, "content-type": "application/json"},
        "requestContext": {"http": {"method": method, "path": path}, "stage": "$default", "domainName": HOST},
        "body": body, "isBase64Encoded": False,
    })


class Browser:
    def __init__(self, number):
        self.user, self.cookies, self.visits = f"user{number}", [], 0

    def ask(self, api, method, path, body=None):
        deadline = time.monotonic() + 30
        while True:
            api.request("POST", "/2015-03-31/functions/function/invocations", event(method, path, body, self.cookies))
            response = api.getresponse()
            text = response.read().decode()
            # A worker that has answered is not at once back for the next event; Lambda waits, the emulator refuses.
            if "Runtime.Unavailable" not in text or time.monotonic() > deadline:
                break
            time.sleep(0.001)
        if response.status != 200:
            raise AssertionError(f"the emulator answered {response.status}: {text}")
        answer = json.loads(text)
        if answer.get("statusCode") != 200:
            raise AssertionError(f"the function answered {text}")
        for line in answer.get("cookies", []):
            self.cookies = [line.split(";")[0]]
        return answer["body"]

    def visit(self, api):
        """The first visit logs in; each other one must be the next of this very browser."""
        if self.visits == 0:
            self.ask(api, "POST", "/login", json.dumps({"user": self.user}))
            self.visits = 1
            return
        page = self.ask(api, "GET", "/")
        seen = re.search(r"<h1>Visit (\d+)</h1><p>Logged in: <b id=user>(\w+)</b>", page)
        if not seen or (int(seen[1]), seen[2]) != (self.visits, self.user):
            raise AssertionError(f"{self.user} at visit {self.visits} was shown {seen and seen.groups()}")
        self.visits += 1


waiting = queue.Queue()
for number in range(BROWSERS):
    waiting.put(Browser(number))
wrong = []


def work():
    api = http.client.HTTPConnection("127.0.0.1", PORT, timeout=60)
    while not wrong:
        try:
            browser = waiting.get_nowait()
        except queue.Empty:
            return
        try:
            browser.visit(api)
        except (AssertionError, OSError, ValueError, http.client.HTTPException) as error:
            wrong.append(f"{type(error).__name__}: {error}")
            return
        if browser.visits < VISITS:
            waiting.put(browser)


began = time.monotonic()
threads = [threading.Thread(target=work) for _ in range(AT_ONCE)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
for line in wrong:
    print(line)
print(f"{BROWSERS * VISITS} requests, {AT_ONCE} at once, {time.monotonic() - began:.1f} s")
sys.exit(bool(wrong))
