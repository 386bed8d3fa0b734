"""Starts, observes and stops a service for the benchmarks in this folder.

Measures the binary that `cargo build --release` produces. Needs only Python.
"""

import json
import os
import random
import re
import signal
import string
import subprocess
import tempfile
import urllib.parse
import urllib.request
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PASSWORD = "correct horse 9"


class Service:
    """`with Service("pictures.queue=8") as service:` runs the service until the end of the block."""

    def __init__(self, *settings):
        self.settings = settings

    def __enter__(self):
        subprocess.run(["cargo", "build", "--release", "--locked"], cwd=ROOT, check=True)
        self.folder = tempfile.TemporaryDirectory()
        command = [ROOT / "target/release/veraicon", "--data-dir", self.folder.name, "--listen", "127.0.0.1:0"]
        # All clients of a benchmark have the same address, so limits per address would stop it.
        for setting in ["limits.enabled=false", *self.settings]:
            command += ["--set", setting]
        self.shmem = shared_memory()
        self.log = open(Path(self.folder.name) / "log", "w+")
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=self.log, text=True)
        self.url = re.search(r"http://[^;]*", self.process.stdout.readline())[0]
        self.port = urllib.parse.urlparse(self.url).port
        return self

    def __exit__(self, *_):
        self.process.send_signal(signal.SIGINT)
        self.process.wait()
        self.log.close()
        self.folder.cleanup()

    def post(self, path, **form):
        return urllib.request.urlopen(self.url + path, urllib.parse.urlencode(form).encode())

    def get(self, path):
        return urllib.request.urlopen(self.url + path).read()

    def access_token(self):
        """Returns the access token of a new account."""
        name = "bench-" + "".join(random.choices(string.ascii_lowercase, k=12))
        self.post("/user/register", username=name, password=PASSWORD)
        return self.post("/user/login", username=name, password=PASSWORD).headers["Access-Token"]

    def processes(self):
        """Returns the process ids of the service and its children."""
        found = [self.process.pid]
        for pid in found:
            for task in read_folder(f"/proc/{pid}/task"):
                found += map(int, read(f"/proc/{pid}/task/{task}/children").split())
        return found

    def memory(self):
        """Returns the memory of all processes in MiB.

        Counts each page once (proportional set size). Upload bodies are in shared memory that no process may have
        mapped, so the growth of the machine's shared memory is added.
        """
        kibibytes = 0
        for pid in self.processes():
            rollup = read(f"/proc/{pid}/smaps_rollup")
            kibibytes += sum(map(int, re.findall(r"^Pss_(?:Anon|File): *(\d+)", rollup, re.M)))
        return (kibibytes + shared_memory() - self.shmem) / 1024

    def resident(self):
        """Returns the sum of the resident memory of all processes in MiB. Shared pages count several times."""
        texts = (read(f"/proc/{pid}/status") for pid in self.processes())
        return sum(int(kibibytes) for text in texts for kibibytes in re.findall(r"VmRSS:\s*(\d+)", text)) / 1024

    def descriptors(self):
        """Returns the number of open file descriptors of all processes."""
        return sum(len(read_folder(f"/proc/{pid}/fd")) for pid in self.processes())

    def zombies(self):
        """Returns the number of children that ended and were not waited for."""
        return sum("\nState:\tZ" in read(f"/proc/{pid}/status") for pid in self.processes())

    def processor_seconds(self):
        """Returns the processor time in seconds of the service and its children, ended ones included."""
        ticks = 0
        for pid in self.processes():
            fields = read(f"/proc/{pid}/stat").rpartition(")")[2].split()
            # utime and stime, for the service also cutime and cstime: its ended children; see proc(5).
            ticks += sum(map(int, fields[11:15] if pid == self.process.pid else fields[11:13]))
        return ticks / os.sysconf("SC_CLK_TCK")


def shared_database():
    """Creates a database on the server of scripts/with-postgres, with-mariadb or with-galera.

    Returns its URL, and the settings of nodes that share it.
    """
    server, name = os.environ["TEST_DATABASE_URL"], "bench_" + "".join(random.choices(string.ascii_lowercase, k=12))
    url = urllib.parse.urlparse(server)
    command = {
        "postgres": ["psql", "--quiet", f"{server}/postgres", "--command"],
        "mysql": ["mariadb", "--no-defaults", "-h", url.hostname, "-P", str(url.port), "-u", url.username, "-e"],
    }[url.scheme]
    subprocess.run([*command, f"CREATE DATABASE {name}"], check=True)
    key = "tokens.key=a key that is only for tests, and long enough"
    return f"{server}/{name}", [f"database.url={server}/{name}", key]


def shared_store():
    """Returns the settings of nodes that share a new prefix of the bucket of scripts/with-s3 or with-ceph."""
    name = "bench-" + "".join(random.choices(string.ascii_lowercase, k=12))
    return [
        f"storage.url=s3://pictures/{name}?endpoint={os.environ['TEST_S3_URL']}",
        "storage.access_key=test",
        "storage.secret_key=test-secret",
    ]


def form(picture, boundary="veraicon-boundary", **fields):
    """Returns the body of an upload and its media type."""
    head = "".join(
        f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n' for name, value in fields.items()
    )
    head += f'--{boundary}\r\nContent-Disposition: form-data; name="data"; filename="picture"\r\n\r\n'
    return head.encode() + picture + f"\r\n--{boundary}--\r\n".encode(), f"multipart/form-data; boundary={boundary}"


def outcome_of(status, body):
    """Returns the status of a response, and the reason of the failure or "accepted"."""
    base = json.loads(body)["base"]
    return f"{status} {base.get('reason', 'accepted')}"


def shared_memory():
    """Returns the shared memory of the whole machine in KiB. Upload bodies are part of it; little else changes."""
    return int(re.search(r"^Shmem: *(\d+)", read("/proc/meminfo"), re.M)[1])


def read(path):
    try:
        return Path(path).read_text()
    except OSError:
        return ""


def read_folder(path):
    try:
        return os.listdir(path)
    except OSError:
        return []
