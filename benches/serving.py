#!/usr/bin/env python3
"""Measures how fast avatars are served, with and without the cache, and compares with nginx, with and without sendfile.

usage: benches/serving.py PICTURE [SECONDS [ROUNDS [USERS]]]

Needs nginx and wrk (scripts/install nginx wrk). All servers have the same files and headers, and are measured in turn.
Each user has another crop of the picture. Clients request all sizes of all users in random order. Server and clients
share the machine, so processor time per request says more than requests per second.
"""

import os
import random
import re
import socket
import statistics
import string
import subprocess
import sys
import tempfile
import time
import urllib.parse
import urllib.request
from pathlib import Path

from service import Service, form, read

CONNECTIONS = 64
HEADERS = {
    "Cache-Control": "public, max-age=31536000, immutable",
    "Content-Security-Policy": "default-src 'none'; sandbox",
    "Cross-Origin-Resource-Policy": "cross-origin",
    "X-Content-Type-Options": "nosniff",
}


def upload(service, picture, number):
    """Creates an account with a crop of the picture, which depends on `number`. Returns the paths of all sizes."""
    body, kind = form(picture, crop_x=number % 64, crop_y=number // 64, crop_size=600)
    request = urllib.request.Request(service.url + "/user/avatar/upload", body, method="PUT")
    request.add_header("Access-Token", service.access_token())
    request.add_header("Content-Type", kind)
    answer = urllib.request.urlopen(request).read().decode()
    urls = re.search(r'"avatar_urls":{(.*?)}', answer)[1]
    return [urllib.parse.urlparse(url).path for url in re.findall(r'"(http[^"]*)"', urls)]


class Nginx:
    """nginx with a usual setup for static files: one process per core, open files cached."""

    def __init__(self, folder, objects, sendfile):
        folder.mkdir()
        self.port = free_port()
        headers = "".join(f'add_header {name} "{value}";' for name, value in HEADERS.items())
        user = "user root;" if os.getuid() == 0 else ""
        (folder / "nginx.conf").write_text(f"""
            {user} daemon off; worker_processes auto; pid {folder}/pid; error_log {folder}/log;
            events {{ worker_connections 1024; }}
            http {{
                access_log off; {sendfile} keepalive_requests 1000000000;
                open_file_cache max=10000 inactive=60s; open_file_cache_valid 60s;
                types {{ image/webp webp; }}
                server {{
                    listen 127.0.0.1:{self.port};
                    location /avatars/ {{ root {objects}; {headers} }}
                }}
            }}""")
        self.process = subprocess.Popen(["nginx", "-e", f"{folder}/log", "-c", f"{folder}/nginx.conf"])
        time.sleep(0.5)

    def processor_seconds(self):
        children = read(f"/proc/{self.process.pid}/task/{self.process.pid}/children").split()
        return sum(spent(pid) for pid in children)

    def close(self):
        self.process.terminate()
        self.process.wait()


def spent(pid):
    fields = read(f"/proc/{pid}/stat").rpartition(")")[2].split()
    return sum(map(int, fields[11:13])) / os.sysconf("SC_CLK_TCK")


def free_port():
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        return bound.getsockname()[1]


def prepare(service, picture, users, script):
    """Uploads for `users` users. Returns all paths, and the script that makes wrk request them."""
    paths = [path for number in range(users) for path in upload(service, picture, number)]
    random.shuffle(paths)
    listed = ",".join(f'"{path}"' for path in paths)
    script.write_text(
        f"local paths = {{{listed}}}\nlocal at = 0\n"
        "request = function() at = at % #paths + 1 return wrk.format('GET', paths[at]) end\n"
    )
    return paths, script


def measure(server, script, seconds):
    """Returns requests per second, processor time per request in microseconds, and the 99th percentile in milliseconds."""
    before = server.processor_seconds()
    command = ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{seconds}s", "--latency", "-s", script, f"http://127.0.0.1:{server.port}"]
    text = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    assert "Non-2xx" not in text and "Socket errors" not in text, text
    requests = int(re.search(r"(\d+) requests in", text)[1])
    rate = float(re.search(r"Requests/sec: *([\d.]+)", text)[1])
    number, unit = re.search(r"99% *([\d.]+)(us|ms|s)", text).groups()
    p99 = float(number) * {"us": 0.001, "ms": 1, "s": 1000}[unit]
    return rate, (server.processor_seconds() - before) / requests * 1e6, p99


def main():
    picture = Path(sys.argv[1]).read_bytes()
    seconds, rounds, users = [int(value) for value in (sys.argv[2:] + ["5", "5", "200"][len(sys.argv) - 2 :])]
    with Service() as service, Service("storage.cache=0") as reading, tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        objects = Path(service.folder.name) / "objects"
        paths, script = prepare(service, picture, users, folder / "kept.lua")
        servers = {
            "veraicon": (service, script),
            "veraicon, storage.cache=0": (reading, prepare(reading, picture, users, folder / "read.lua")[1]),
            "nginx": (Nginx(folder / "on", objects, "sendfile on; tcp_nopush on;"), script),
            "nginx, sendfile off": (Nginx(folder / "off", objects, "sendfile off;"), script),
        }
        sizes = [(objects / path[1:]).stat().st_size for path in paths]
        figures = {name: [] for name in servers}
        for _ in range(rounds):
            for name, (server, script) in servers.items():
                figures[name].append(measure(server, script, seconds))
        for server, _ in servers.values():
            if isinstance(server, Nginx):
                server.close()
    print(f"{os.cpu_count()} cores, {len(paths)} files of {statistics.mean(sizes):.0f} bytes, {CONNECTIONS} connections")
    for name, runs in figures.items():
        rate, cost, p99 = (statistics.median(run[index] for run in runs) for index in range(3))
        print(f"{name:26}{rate:8.0f}/s{cost:8.1f} µs of processor time per request, p99 {p99:.2f} ms")


if __name__ == "__main__":
    main()
