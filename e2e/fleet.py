"""Three environments of the real bootstrap under a load of sessions, while the real command line rotates their keys.

The ring is in a real SSM server (moto). All of them live by one clock, libfaketime's: this program moves it on by writing
how far it is ahead, so an hour and a half pass in well under a minute. Prints one JSON array a promise: [promise, seen,
wanted]. Wants the variables BOOTSTRAP, CLI, SSM (the server's address), CLOCK (the file of the clock) and FAKETIME_LIBRARY.
"""

import base64
import copy
import http.server
import json
import os
import queue
import random
import re
import subprocess
import sys
import threading
import time

NAME = "/shop/prod/session/keys"
COOKIE = "__Host-session"
# Sessions live 40 minutes here, so that keys can be pruned while the test runs.
ABSOLUTE = 40 * 60
# A little less: nobody's session is to end of old age while it is looked at.
OLDEST = 35 * 60
STEP = 15
# 300 s and a fifth.
REFRESH = 360


class Clock:
    """The one clock: how far it is ahead of the machine's stands in a file."""

    def __init__(self, path):
        self.path, self.ahead = path, 0
        self.move(0)

    def move(self, seconds):
        self.ahead += seconds
        # Replaced, not rewritten: a reader must never find it half written.
        with open(self.path + ".new", "w", encoding="ascii") as file:
            file.write(f"+{self.ahead}\n")
        os.replace(self.path + ".new", self.path)

    def now(self):
        return time.time() + self.ahead


class RuntimeApi(http.server.BaseHTTPRequestHandler):
    """Lambda's runtime API for one environment: one event at a time."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_GET(self):
        event = self.server.events.get()
        body = json.dumps(event).encode()
        self.send_response(200)
        self.send_header("Lambda-Runtime-Aws-Request-Id", "8476a536-e9f4-11e8-9739-2dfe598c3fcd")
        self.send_header("Lambda-Runtime-Deadline-Ms", str(int((self.server.clock.now() + 30) * 1000)))
        self.send_header("Lambda-Runtime-Invoked-Function-Arn", "arn:aws:lambda:eu-west-1:1:function:f")
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.send_response(202)
        self.send_header("Content-Length", "0")
        self.end_headers()
        self.server.answers.put((self.path.rsplit("/", 1)[-1], body))

    def log_message(self, *_):
        pass


class Environment:
    """One environment: a process of the bootstrap."""

    def __init__(self, clock, variables, log):
        self.clock, self.variables, self.log = clock, variables, log
        self.start()

    def start(self):
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), RuntimeApi)
        server.daemon_threads = True
        server.clock, server.events, server.answers = self.clock, queue.Queue(), queue.Queue()
        threading.Thread(target=server.serve_forever, daemon=True).start()
        self.server = server
        address = f"127.0.0.1:{server.server_address[1]}"
        variables = self.variables | {"AWS_LAMBDA_RUNTIME_API": address}
        self.process = subprocess.Popen([os.environ["BOOTSTRAP"]], env=variables, stdout=self.log, stderr=self.log)

    def end(self):
        self.process.kill()
        self.process.wait()
        self.server.shutdown()
        self.server.server_close()

    def restart(self):
        self.end()
        self.start()

    def invoke(self, event):
        self.server.events.put(event)
        kind, body = self.server.answers.get(timeout=30)
        if kind != "response":
            raise RuntimeError(f"the function answered an {kind}: {body.decode()}")
        return json.loads(body)


class Person:
    """Somebody with a session: the cookie, when it was begun, and what is in it."""

    def __init__(self, number, born):
        self.number, self.born, self.cookie = number, born, None

    def take(self, answer):
        for line in answer.get("cookies", []):
            self.cookie = line.split(";")[0]

    def key_id(self):
        token = self.cookie.split("=", 1)[1]
        return base64.urlsafe_b64decode(token[:4])[1:3].hex()


class Fleet:
    def __init__(self, clock, variables, log):
        self.clock, self.variables = clock, variables
        self.environments = [Environment(clock, variables, log) for _ in range(3)]
        self.people, self.visits, self.lost, self.numbers = [], 0, [], 0
        with open("events/http-api-first.json", encoding="utf-8") as file:
            self.first = json.load(file)
        with open("events/http-api-returning.json", encoding="utf-8") as file:
            self.returning = json.load(file)
        self.returning["cookies"] = []

    def meet(self, environment):
        """Somebody new: a session begins."""
        self.numbers += 1
        person = Person(self.numbers, self.clock.now())
        event = copy.deepcopy(self.first)
        event["body"] = json.dumps({"number": person.number})
        person.take(environment.invoke(event))
        self.people.append(person)
        return person

    def shows(self, environment, person):
        """What a visit with this person's cookie answers: the session's data, or nothing."""
        event = copy.deepcopy(self.returning)
        event["cookies"] = [person.cookie]
        answer = environment.invoke(event)
        body = answer["body"]
        if answer.get("isBase64Encoded"):
            body = base64.b64decode(body)
        return answer, json.loads(body).get("number")

    def visit(self, environment, person):
        self.visits += 1
        answer, number = self.shows(environment, person)
        if number != person.number:
            self.lost.append((person.key_id(), round(self.clock.ahead)))
            self.people.remove(person)
        else:
            person.take(answer)

    def load(self, seconds):
        """Sessions begin, come back anywhere, and end; one environment now and then freezes for ten minutes."""
        for _ in range(0, seconds, STEP):
            self.clock.move(STEP)
            now = self.clock.now()
            self.people = [person for person in self.people if now - person.born < OLDEST]
            is_frozen = self.clock.ahead // 600 % 2 == 1
            awake = self.environments[: 2 if is_frozen else 3]
            for environment in awake:
                self.meet(environment)
                for person in random.sample(self.people, min(3, len(self.people))):
                    self.visit(environment, person)
            # Nobody stays away so long that the session ends idle.
            del self.people[: max(0, len(self.people) - 60)]

    def refresh(self):
        """Until every environment has asked for the ring again."""
        self.load(REFRESH)
        self.awake()

    def awake(self):
        """No environment is frozen, and none goes on with an old ring because this machine is too busy: after 500 ms
        without an answer it would, and ask again after 30 s."""
        failures = self.failures()
        for environment in self.environments:
            self.meet(environment)
        if self.failures() > failures:
            self.load(45)

    def failures(self):
        with open(os.environ["LOG"], "rb") as log:
            return log.read().count(b"could not be refreshed")

    def sealed_by(self):
        """The ids of the keys that seal in the environments now."""
        self.awake()
        return sorted({self.meet(environment).key_id() for environment in self.environments})

    def end(self):
        for environment in self.environments:
            environment.end()


def keys(variables, *words):
    """Runs the command line: its standard output. What it refuses is the end of the test."""
    ran = subprocess.run(
        [os.environ["CLI"], "keys", *words], env=variables, capture_output=True, text=True, timeout=60, check=False
    )
    if ran.returncode:
        raise RuntimeError(f"keys {' '.join(words)}: {ran.returncode}: {ran.stdout}{ran.stderr}")
    return ran.stdout


def main():
    random.seed(4)
    clock = Clock(os.environ["CLOCK"])
    variables = {
        "PATH": "/usr/bin:/bin",
        "LD_PRELOAD": os.environ["FAKETIME_LIBRARY"],
        "FAKETIME_TIMESTAMP_FILE": clock.path,
        "FAKETIME_NO_CACHE": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        "AWS_ENDPOINT_URL_SSM": os.environ["SSM"],
        "AWS_REGION": "eu-west-1",
        "AWS_ACCESS_KEY_ID": "AK",
        "AWS_SECRET_ACCESS_KEY": "SK",
        "SESSION_KEYS_PARAMETER": NAME,
        "SESSION_ABSOLUTE": str(ABSOLUTE),
        "SESSION_IDLE": str(ABSOLUTE),
    }
    function = variables | {
        "AWS_LAMBDA_FUNCTION_NAME": "f",
        "AWS_LAMBDA_FUNCTION_VERSION": "1",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "128",
        "AWS_LAMBDA_LOG_GROUP_NAME": "g",
        "AWS_LAMBDA_LOG_STREAM_NAME": "s",
        "RUST_LOG": "trace",
        "NO_COLOR": "1",
    }

    def tell(promise, seen, wanted):
        print(json.dumps([promise, str(seen), str(wanted)]), flush=True)

    def states():
        listed = json.loads(keys(variables, "list", "--json"))["keys"]
        return {key["id"]: key["state"] for key in listed}

    def sealing():
        return [key for key, state in states().items() if state == "sealing"]

    keys(variables, "init")
    with open(os.environ["LOG"], "wb") as log:
        fleet = Fleet(clock, function, log)
        try:
            play(clock, fleet, variables, tell, states, sealing)
        finally:
            fleet.end()


def play(clock, fleet, variables, tell, states, sealing):
    def rotate(*words):
        keys(variables, "rotate", *words)
        return next(key for key, state in states().items() if state == "accepted")

    [first] = sealing()
    fleet.load(120)
    tell("keys init: all environments seal with the first key", fleet.sealed_by(), [first])

    second = rotate()
    fleet.load(14 * 60)
    tell("keys rotate: 14 minutes later the old key still seals", fleet.sealed_by(), [first])
    fleet.environments[1].restart()
    fleet.load(90)
    tell("keys rotate: after 15 minutes the new one does, everywhere", fleet.sealed_by(), [second])

    keys(variables, "rollback")
    # Until they ask for the ring again environments go on as before, which is no harm.
    fleet.refresh()
    tell("keys rollback: the old key seals again", fleet.sealed_by(), [first])
    tell("keys rollback: no key leaves the ring", states(), {second: "retired", first: "sealing"})

    third = rotate("--in", "2h")
    fleet.load(5 * 60)
    keys(variables, "promote")
    fleet.load(7 * 60)
    tell("keys promote: 12 minutes after the key was written it waits", fleet.sealed_by(), [first])
    fleet.environments[0].restart()
    # The last to ask for the promoted time does so within six minutes of the promotion, which was at five.
    fleet.load(90)
    tell("keys promote: after 13 it seals, 107 minutes early", fleet.sealed_by(), [third])

    fleet.load(30 * 60)
    before = keys(variables, "prune")
    tell("keys prune: nothing yet, a session may need it", before.startswith("no key has been retired"), True)
    fleet.load(30 * 60)
    keys(variables, "prune")
    fleet.refresh()
    tell("keys prune: what no session needs is gone", states(), {third: "sealing"})
    tell("0 sessions lost so far", fleet.lost, [])
    tell("after so many visits at least", fleet.visits > 2500, True)

    # Revoked is the key that seals, while another is there to seal on.
    fourth = rotate()
    fleet.load(16 * 60)
    tell("another rotation: the fourth key seals", fleet.sealed_by(), [fourth])
    victims = [copy.copy(person) for person in fleet.people if person.key_id() == fourth]
    spared = [copy.copy(person) for person in fleet.people if person.key_id() == third]
    keys(variables, "revoke", fourth, "--yes")
    tell("0 sessions lost before the revoke", fleet.lost, [])
    fleet.refresh()
    opened = sum(fleet.shows(env, victim)[1] == victim.number for env in fleet.environments for victim in victims)
    tell("keys revoke: six minutes later no environment opens what it sealed", opened, 0)
    tell("keys revoke: there was something to refuse", len(victims) >= 20, True)
    kept = sum(fleet.shows(env, person)[1] == person.number for env in fleet.environments for person in spared)
    tell("keys revoke: what other keys sealed opens everywhere", (kept, bool(spared)), (len(spared) * 3, True))
    tell("keys revoke: these people's visits found no session", bool(fleet.lost), True)
    others = sorted({key for key, _ in fleet.lost} - {fourth})
    tell("keys revoke: only sessions of that key were lost", others, [])
    tell("keys revoke: the key before seals again", fleet.sealed_by(), [third])

    keys(variables, "revoke", third, "--yes")
    [fresh] = sealing()
    survivors = list(fleet.people)
    fleet.refresh()
    tell("keys revoke of the only key: a fresh one seals", (fleet.sealed_by(), fresh in (third, fourth)), ([fresh], False))
    old = [person for person in survivors if person.key_id() == third]
    opened = sum(fleet.shows(env, person)[1] == person.number for env in fleet.environments for person in old)
    tell("keys revoke of the only key: nobody's old session opens", opened, 0)
    minutes, failures = round(clock.ahead / 60), fleet.failures()
    summary = f"{fleet.visits} visits, {fleet.numbers} sessions, {minutes} minutes of their clock, {failures} late answers"
    print(summary, file=sys.stderr)


if __name__ == "__main__":
    main()
