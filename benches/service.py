"""A running service for the scripts beside this one: started on a folder of its own, watched from outside, ended.

What is measured is the program that `cargo build --release` makes; nothing beside Python is needed.
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
        # What bounds one address is in the way: here all clients have the same one.
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
        """Of a new account."""
        name = "bench-" + "".join(random.choices(string.ascii_lowercase, k=12))
        self.post("/user/register", username=name, password=PASSWORD)
        return self.post("/user/login", username=name, password=PASSWORD).headers["Access-Token"]

    def processes(self):
        """The service and its children."""
        found = [self.process.pid]
        for pid in found:
            for task in read_folder(f"/proc/{pid}/task"):
                found += map(int, read(f"/proc/{pid}/task/{task}/children").split())
        return found

    def memory(self):
        """What all processes hold, in MiB: each page once, and bodies of uploads also where nobody maps them."""
        kibibytes = 0
        for pid in self.processes():
            rollup = read(f"/proc/{pid}/smaps_rollup")
            kibibytes += sum(map(int, re.findall(r"^Pss_(?:Anon|File): *(\d+)", rollup, re.M)))
        return (kibibytes + shared_memory() - self.shmem) / 1024

    def resident(self):
        """The sum of what each process has resident, in MiB: pages that several share count several times."""
        texts = (read(f"/proc/{pid}/status") for pid in self.processes())
        return sum(int(kibibytes) for text in texts for kibibytes in re.findall(r"VmRSS:\s*(\d+)", text)) / 1024

    def descriptors(self):
        """Of all processes."""
        return sum(len(read_folder(f"/proc/{pid}/fd")) for pid in self.processes())

    def zombies(self):
        """Children that ended and that nobody has asked about."""
        return sum("\nState:\tZ" in read(f"/proc/{pid}/status") for pid in self.processes())

    def processor_seconds(self):
        """That the service and its children have spent."""
        ticks = 0
        for pid in self.processes():
            fields = read(f"/proc/{pid}/stat").rpartition(")")[2].split()
            ticks += sum(map(int, fields[11:15] if pid == self.process.pid else fields[11:13]))
        return ticks / os.sysconf("SC_CLK_TCK")


def shared_database():
    """The URL of a fresh database on the server that scripts/with-postgres, with-mariadb or with-galera starts, and the
    settings of nodes that share it."""
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
    """The settings of nodes that share a fresh part of a bucket, on the server that scripts/with-s3 or with-ceph starts."""
    name = "bench-" + "".join(random.choices(string.ascii_lowercase, k=12))
    return [
        f"storage.url=s3://pictures/{name}?endpoint={os.environ['TEST_S3_URL']}",
        "storage.access_key=test",
        "storage.secret_key=test-secret",
    ]


def form(picture, boundary="veraicon-boundary", **fields):
    """The body of an upload, and its type."""
    head = "".join(
        f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n' for name, value in fields.items()
    )
    head += f'--{boundary}\r\nContent-Disposition: form-data; name="data"; filename="picture"\r\n\r\n'
    return head.encode() + picture + f"\r\n--{boundary}--\r\n".encode(), f"multipart/form-data; boundary={boundary}"


def verdict(status, body):
    """What came of a request: the status, and the reason where there is one."""
    base = json.loads(body)["base"]
    return f"{status} {base.get('reason', 'accepted')}"


def shared_memory():
    """Of the whole machine, in KiB: uploads in memory are part of it, and little else changes."""
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
