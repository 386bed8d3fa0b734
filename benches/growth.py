#!/usr/bin/env python3
"""Measures what an upload costs by how many accounts there are: rows are made in PostgreSQL, each account with a session
and a picture.

usage: scripts/with-postgres benches/growth.py PICTURE [SECONDS [ACCOUNTS...]]
"""

import subprocess
import sys
import tempfile
from pathlib import Path

from nodes import run_users
from service import Service, shared_database

# Identifiers below those that a node makes: they hold the time.
FILL = """
INSERT INTO users SELECT n, 'user' || n, 'user' || n, repeat('x', 60), 1, md5(n::text) || md5(n::text), '512,256,128,64',
    'webp', 1, 1, 0 FROM generate_series({first}, {last}) n;
INSERT INTO sessions SELECT n, n, 1, 1, 1, 1, 1, 4102444800000, 0, 'benchmark' FROM generate_series({first}, {last}) n;
INSERT INTO pictures SELECT n, n, md5(n::text) || md5(n::text), 'live', 0 FROM generate_series({first}, {last}) n;
VACUUM ANALYZE users; VACUUM ANALYZE sessions; VACUUM ANALYZE pictures; CHECKPOINT;
"""


def main():
    picture = Path(sys.argv[1]).read_bytes()
    seconds = float(sys.argv[2]) if len(sys.argv) > 2 else 20
    url, setting = shared_database()
    rows = 0
    print("            each    CPU ms       CPU ms")
    print("accounts  second  of nodes  of all here   p50 ms   p99 ms")
    with tempfile.TemporaryDirectory() as store, Service(*setting, f"storage.url=fs://{store}/objects") as service:
        for accounts in map(int, sys.argv[3:] or ["1000", "10000", "100000", "1000000"]):
            fill = FILL.format(first=rows + 1, last=accounts)
            subprocess.run(["psql", "--quiet", url], input=fill, text=True, check=True)
            rows = accounts
            run = run_users([service], picture, seconds)
            print(
                f"{accounts:8} {run.rate:7.1f} {run.nodes:9.2f} {run.machine:12.2f} {run.p50:8.0f} {run.p99:8.0f}  {run.rest or ''}"
            )


if __name__ == "__main__":
    main()
