#!/usr/bin/env python3
"""Keeps the service at full load with good and damaged files. Shows whether memory, descriptors or processes grow.

usage: benches/soak.py MINUTES FOLDER... [KEY=VALUE ...]

Uploads all files of the folders up to 4 MiB: unchanged, cut, or with random bytes changed. Prints one line per minute,
and in the end the number of each outcome.
"""

import collections
import http.client
import random
import sys
import threading
import time
from pathlib import Path

from service import Service, form, outcome_of

CLIENTS = 8
LARGEST = 4 << 20


def variant(files):
    data = random.choice(files)
    kind = random.random()
    if kind < 0.4 or not data:
        return data
    if kind < 0.6:
        return data[: random.randrange(len(data))]
    changed = bytearray(data)
    for _ in range(random.choice([1, 4, 64])):
        changed[random.randrange(len(changed))] = random.randrange(256)
    return bytes(changed)


def client(service, files, end, counts, lock):
    token = service.access_token()
    connection = http.client.HTTPConnection("127.0.0.1", service.port, timeout=60)
    while time.time() < end:
        body, kind = form(variant(files))
        try:
            connection.request("PUT", "/user/avatar/upload", body, {"Access-Token": token, "Content-Type": kind})
            response = connection.getresponse()
            outcome = outcome_of(response.status, response.read())
        except (OSError, http.client.HTTPException) as error:
            outcome = f"no response: {type(error).__name__}"
            connection.close()
        if "token_expired" in outcome:
            token = service.access_token()
        with lock:
            counts[outcome] += 1


def main():
    minutes = float(sys.argv[1])
    folders = [argument for argument in sys.argv[2:] if "=" not in argument]
    settings = [argument for argument in sys.argv[2:] if "=" in argument]
    paths = [path for folder in folders for path in sorted(Path(folder).rglob("*")) if path.is_file()]
    files = [path.read_bytes() for path in paths if path.stat().st_size <= LARGEST]
    counts, lock = collections.Counter(), threading.Lock()
    with Service(*settings) as service:
        end = time.time() + minutes * 60
        clients = [
            threading.Thread(target=client, args=(service, files, end, counts, lock)) for _ in range(CLIENTS)
        ]
        print(f"{len(files)} files; {CLIENTS} clients for {minutes:g} minutes")
        print(f"{'minute':>6}{'uploads':>10}{'MiB':>8}{'descriptors':>13}{'processes':>11}{'zombies':>9}", flush=True)

        def line(minute):
            print(
                f"{minute:6.1f}{counts.total():10}{service.memory():8.1f}{service.descriptors():13}"
                f"{len(service.processes()):11}{service.zombies():9}",
                flush=True,
            )

        line(0)
        for thread in clients:
            thread.start()
        started = time.time()
        while any(thread.is_alive() for thread in clients):
            for thread in clients:
                thread.join(timeout=60 / CLIENTS)
            line((time.time() - started) / 60)
        time.sleep(5)
        line((time.time() - started) / 60)
        for outcome, count in counts.most_common():
            print(f"{count:8} × {outcome}")
        service.log.flush()
        service.log.seek(0)
        faults = [text for text in service.log if "worker" in text and (" WARN " in text or " ERROR " in text)]
        print(f"warnings and errors about workers in the log: {len(faults)}")
        for text in faults[:10]:
            print("  " + text.strip())


if __name__ == "__main__":
    main()
