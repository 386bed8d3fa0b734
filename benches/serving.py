#!/usr/bin/env python3
"""Measures how fast avatars are served, and nginx beside it: the same files, the same headers, in turn.

usage: benches/serving.py PICTURE [SECONDS [ROUNDS [USERS]]]
Needs nginx and wrk (scripts/install nginx wrk). Each of the users has the picture; clients ask for all sizes of all of
them at random. Server and clients share the machine, so that processor time a request says more than requests a second.
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
    """The paths of all sizes of a new account's picture; each has another square of it."""
    body, kind = form(picture, crop_x=number % 64, crop_y=number // 64, crop_size=600)
    request = urllib.request.Request(service.url + "/user/avatar/upload", body, method="PUT")
    request.add_header("Access-Token", service.access_token())
    request.add_header("Content-Type", kind)
    answer = urllib.request.urlopen(request).read().decode()
    urls = re.search(r'"avatar_urls":{(.*?)}', answer)[1]
    return [urllib.parse.urlparse(url).path for url in re.findall(r'"(http[^"]*)"', urls)]


class Nginx:
    """As one would set it up for this: as many processes as cores, sendfile, and open files kept."""

    def __init__(self, folder, objects):
        self.port = free_port()
        headers = "".join(f'add_header {name} "{value}";' for name, value in HEADERS.items())
        user = "user root;" if os.getuid() == 0 else ""
        (folder / "nginx.conf").write_text(f"""
            {user} daemon off; worker_processes auto; pid {folder}/pid; error_log {folder}/log;
            events {{ worker_connections 1024; }}
            http {{
                access_log off; sendfile on; tcp_nopush on; keepalive_requests 1000000000;
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


def measure(server, script, seconds):
    """Requests a second, and microseconds of the server's processor time for each."""
    before = server.processor_seconds()
    command = ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{seconds}s", "--latency", "-s", script, f"http://127.0.0.1:{server.port}"]
    text = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    assert "Non-2xx" not in text and "Socket errors" not in text, text
    requests = int(re.search(r"(\d+) requests in", text)[1])
    rate = float(re.search(r"Requests/sec: *([\d.]+)", text)[1])
    p99 = re.search(r"99% *(\S+)", text)[1]
    return rate, (server.processor_seconds() - before) / requests * 1e6, p99


def main():
    picture = Path(sys.argv[1]).read_bytes()
    seconds, rounds, users = [int(value) for value in (sys.argv[2:] + ["5", "5", "200"][len(sys.argv) - 2 :])]
    with Service() as service, tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        paths = [path for number in range(users) for path in upload(service, picture, number)]
        random.shuffle(paths)
        objects = Path(service.folder.name) / "objects"
        sizes = [(objects / path[1:]).stat().st_size for path in paths]
        listed = ",".join(f'"{path}"' for path in paths)
        script = folder / "paths.lua"
        script.write_text(
            f"local paths = {{{listed}}}\nlocal at = 0\n"
            "request = function() at = at % #paths + 1 return wrk.format('GET', paths[at]) end\n"
        )
        nginx = Nginx(folder, objects)
        servers = {"veraicon": service, "nginx": nginx}
        figures = {name: [] for name in servers}
        for _ in range(rounds):
            for name, server in servers.items():
                figures[name].append(measure(server, script, seconds))
        nginx.close()
    print(f"{os.cpu_count()} cores, {len(paths)} files of {statistics.mean(sizes):.0f} bytes, {CONNECTIONS} connections")
    for name, runs in figures.items():
        rate, cost = (statistics.median(run[index] for run in runs) for index in (0, 1))
        print(f"{name:10}{rate:10.0f}/s{cost:8.1f} µs of processor time a request, p99 {runs[-1][2]}")


if __name__ == "__main__":
    main()
