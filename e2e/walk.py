#!/usr/bin/env python3
"""Walks through a page of the documentation as its reader would: writes its files, runs its commands, compares what they print.

    walk.py [--files] PAGE DIRECTORY [TEXT=OTHER…]

In the page `<!-- file: NAME -->` before a block writes that file, `<!-- stays: URL -->` leaves the command running once
the URL answers, `<!-- ends -->` interrupts it. Every `sh` block is run, line by line in one shell for each block; a `text`
block behind it is what it prints. TEXT=OTHER puts the test's own directories and ports in the place of the page's.
With --files it writes the files and does no more. Prints one JSON array a command: promise, seen, wanted.
"""

import json
import os
import re
import shlex
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request

BLOCK = re.compile(r"(?:<!-- (?P<mark>[a-z]+)(?:: (?P<word>\S+))? -->\n+)?(?:```(?P<language>\w+)\n(?P<text>.*?)```\n)?", re.S)
SECONDS = 900


def main():
    only_files = sys.argv[1] == "--files"
    page, directory, *others = sys.argv[1 + only_files :]
    with open(page, encoding="utf-8") as file:
        text = file.read()
    others = [other.split("=", 1) for other in others]
    shell = Shell(directory)
    seen = None
    try:
        for number, mark, word, language, text in blocks(text):
            promised = f"line {number}: {shown(text or '')}"
            for this, other in others:
                text, word = (part and part.replace(this, other) for part in (text, word))
            if mark == "ends":
                shell.end()
            if mark == "file":
                with open(os.path.join(shell.directory, word), "w", encoding="utf-8") as file:
                    file.write(text)
            elif only_files:
                continue
            elif mark == "stays":
                promise(f"{promised} answers", shell.stay(text, word), "an answer")
            elif language == "sh":
                code, seen = shell.run(text)
                promise(promised, code if code == 0 else f"{code}\n{seen}", 0)
            elif language == "text" and seen is not None:
                promise(f"line {number}: it prints that", seen, text)
                seen = None
    finally:
        shell.end()


def blocks(text):
    for match in BLOCK.finditer(text):
        if match["mark"] or match["language"]:
            number = text.count("\n", 0, match.start("text") if match["text"] else match.start()) + 1
            yield number, match["mark"], match["word"], match["language"], match["text"]


def shown(commands):
    return commands.strip().replace("\n", "; ")


def promise(name, seen, wanted):
    print(json.dumps([name, str(seen), str(wanted)]), flush=True)


class Shell:
    """What one block leaves for the next: the working directory and the variables, as the reader's one shell would."""

    def __init__(self, directory):
        self.directory, self.environment, self.running = directory, dict(os.environ), None

    def run(self, commands):
        with tempfile.NamedTemporaryFile() as state:
            script = f"set -aeuo pipefail\n{commands}\n{{ pwd; env -0; }} > {shlex.quote(state.name)}\n"
            ran = subprocess.run(["bash", "-c", script], cwd=self.directory, env=self.environment, stdin=subprocess.DEVNULL,
                                 stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=SECONDS, check=False)
            if ran.returncode == 0:
                directory, _, environment = state.read().decode().partition("\n")
                self.directory = directory
                self.environment = dict(entry.split("=", 1) for entry in environment.split("\0") if entry)
                return 0, ran.stdout.decode(errors="replace")
            return ran.returncode, (ran.stdout + ran.stderr).decode(errors="replace")

    def stay(self, command, url):
        self.log = tempfile.TemporaryFile()
        self.running = subprocess.Popen(["bash", "-c", command], cwd=self.directory, env=self.environment, start_new_session=True,
                                        stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log)
        end = time.monotonic() + 30
        while time.monotonic() < end and self.running.poll() is None:
            try:
                urllib.request.urlopen(url, timeout=10)
                return "an answer"
            except urllib.error.HTTPError:
                return "an answer"
            except OSError:
                time.sleep(0.05)
        self.log.seek(0)
        return f"no answer:\n{self.log.read().decode(errors='replace')}"

    def end(self):
        if self.running:
            os.killpg(self.running.pid, signal.SIGINT)
            try:
                self.running.wait(10)
            except subprocess.TimeoutExpired:
                os.killpg(self.running.pid, signal.SIGKILL)
                self.running.wait()
            self.running = None


if __name__ == "__main__":
    main()
