#!/usr/bin/env python3
"""Measures uploads per second of nodes that share a database and a store, and the processor time of one upload.

usage: scripts/with-s3 scripts/with-postgres benches/nodes.py PICTURE [SECONDS [NODES...]]

32 users upload the picture again and again, each time with another crop. Nodes, database, store and clients share one
machine. So the figures show where nodes block each other, not how fast separate machines would be.
"""

import collections
import dataclasses
import http.client
import itertools
import os
import sys
import threading
import time
from contextlib import ExitStack
from pathlib import Path

from service import Service, form, outcome_of, shared_database, shared_store

USERS = 32


class User(threading.Thread):
    """Uploads until `stop` is set, each time to the next node."""

    def __init__(self, ports, token, picture, stop):
        super().__init__()
        self.connections = [http.client.HTTPConnection("127.0.0.1", port) for port in ports]
        self.token, self.picture, self.stop = token, picture, stop
        self.outcomes, self.times = collections.Counter(), []

    def run(self):
        for turn in itertools.count():
            if self.stop.is_set():
                return
            body, kind = form(self.picture, crop_x=turn % 64, crop_y=turn // 64 % 64, crop_size=64)
            connection = self.connections[turn % len(self.connections)]
            started = time.perf_counter()
            headers = {"Access-Token": self.token, "Content-Type": kind}
            connection.request("PUT", "/user/avatar/upload", body, headers)
            response = connection.getresponse()
            outcome = outcome_of(response.status, response.read())
            self.outcomes[outcome] += 1
            if outcome == "200 accepted":
                self.times.append(time.perf_counter() - started)
            else:
                time.sleep(float(response.headers.get("Retry-After", 0)))


@dataclasses.dataclass
class Run:
    """The result of a run.

    `rate` is in uploads per second, `nodes` and `machine` in milliseconds of processor time per upload, `cores` the
    average number of busy cores, `p50` and `p99` in milliseconds, `failures` the number of each failed outcome.
    """

    rate: float
    nodes: float
    machine: float
    cores: float
    p50: float
    p99: float
    failures: dict


def run_users(services, picture, seconds):
    """Lets users upload to these nodes for the given time."""
    stop = threading.Event()
    ports = [service.port for service in services]
    users = [User(ports, services[0].access_token(), picture, stop) for _ in range(USERS)]
    before, machine = sum(service.processor_seconds() for service in services), processor_seconds()
    started = time.perf_counter()
    for user in users:
        user.start()
    time.sleep(seconds)
    stop.set()
    for user in users:
        user.join()
    elapsed = time.perf_counter() - started
    spent = sum(service.processor_seconds() for service in services) - before
    machine = processor_seconds() - machine
    times = sorted(itertools.chain.from_iterable(user.times for user in users))
    failures = sum((user.outcomes for user in users), collections.Counter())
    count = failures.pop("200 accepted")
    return Run(
        rate=count / elapsed,
        nodes=spent / count * 1000,
        machine=machine / count * 1000,
        cores=machine / elapsed,
        p50=times[count // 2] * 1000,
        p99=times[int(count * 0.99)] * 1000,
        failures=dict(failures),
    )


def processor_seconds():
    """Returns the processor time that the whole machine has spent."""
    fields = list(map(int, Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:]))
    # All fields of /proc/stat up to "steal", without "idle" (3) and "iowait" (4); see proc(5).
    return (sum(fields[:8]) - fields[3] - fields[4]) / os.sysconf("SC_CLK_TCK")


def main():
    picture = Path(sys.argv[1]).read_bytes()
    seconds = float(sys.argv[2]) if len(sys.argv) > 2 else 20
    print("      uploads    CPU ms       CPU ms       busy")
    print("nodes   per s  of nodes   of machine      cores   p50 ms   p99 ms")
    for nodes in map(int, sys.argv[3:] or ["1", "3"]):
        settings = shared_database()[1] + shared_store()
        with ExitStack() as stack:
            services = [stack.enter_context(Service(*settings)) for _ in range(nodes)]
            run = run_users(services, picture, seconds)
        print(
            f"{nodes:5} {run.rate:7.1f} {run.nodes:9.2f} {run.machine:12.2f} {run.cores:10.2f} {run.p50:8.0f} {run.p99:8.0f}  {run.failures or ''}"
        )


if __name__ == "__main__":
    main()
