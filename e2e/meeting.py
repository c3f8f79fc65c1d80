"""A memcached where readers meet: each `mg` waits until so many different keys are asked for at once, and then all go on to the real
one. Whoever serves one request after the other waits in vain. Prints a line for each meeting, and for whoever gave up.

usage: meeting.py PORT CACHE-PORT READERS
"""

import socket
import sys
import threading

PORT, CACHE, READERS = (int(word) for word in sys.argv[1:])
# Less than the store's time-out, so that it is this program that says so.
PATIENCE = 3
here = threading.Condition()
# A read that is sent a second time, on another connection, is the same reader.
waiting, meetings = set(), [0]


def meet(key):
    """Waits for the others."""
    with here:
        number = meetings[0]
        waiting.add(key)
        if len(waiting) == READERS:
            waiting.clear()
            meetings[0] += 1
            print(f"{READERS} readers have met", flush=True)
            here.notify_all()
        elif not here.wait_for(lambda: meetings[0] > number, PATIENCE):
            waiting.discard(key)
            print("a reader was alone", flush=True)


def carry(source, sink, is_reader):
    """One direction of a connection, until either side ends it."""
    try:
        while data := source.recv(65_536):
            if is_reader and data.startswith(b"mg "):
                meet(data.split(b" ")[1])
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)
    except OSError:
        pass


with socket.create_server(("127.0.0.1", PORT)) as door:
    while True:
        client, _ = door.accept()
        cache = socket.create_connection(("127.0.0.1", CACHE))
        for side in (client, cache):
            side.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        threading.Thread(target=carry, args=(client, cache, True), daemon=True).start()
        threading.Thread(target=carry, args=(cache, client, False), daemon=True).start()
