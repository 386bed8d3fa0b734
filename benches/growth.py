#!/usr/bin/env python3
"""Measures how the cost of an upload depends on the number of accounts.

usage: scripts/with-postgres benches/growth.py PICTURE [SECONDS [ACCOUNTS...]]

Fills PostgreSQL with accounts, each with a session and a picture, and then runs uploads.
"""

import subprocess
import sys
import tempfile
from pathlib import Path

from nodes import run_users
from service import Service, shared_database

# The identifiers start at 1. Real ones are much larger, because they contain the time, so the two never collide.
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
    print("         uploads    CPU ms       CPU ms")
    print("accounts   per s  of nodes   of machine   p50 ms   p99 ms")
    with tempfile.TemporaryDirectory() as store, Service(*setting, f"storage.url=fs://{store}/objects") as service:
        for accounts in map(int, sys.argv[3:] or ["1000", "10000", "100000", "1000000"]):
            fill = FILL.format(first=rows + 1, last=accounts)
            subprocess.run(["psql", "--quiet", url], input=fill, text=True, check=True)
            rows = accounts
            run = run_users([service], picture, seconds)
            print(
                f"{accounts:8} {run.rate:7.1f} {run.nodes:9.2f} {run.machine:12.2f} {run.p50:8.0f} {run.p99:8.0f}  {run.failures or ''}"
            )


if __name__ == "__main__":
    main()
