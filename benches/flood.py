#!/usr/bin/env python3
"""Sends many uploads of one large picture at once. Measures responses, memory, and the time that other clients wait
for a picture meanwhile.

usage: benches/flood.py PICTURE [UPLOADS] [KEY=VALUE ...]

Needs one file descriptor per upload. UPLOADS is 200 by default. Settings are the defaults, with limits turned off.
"""

import asyncio
import collections
import http.client
import json
import multiprocessing
import sys
import time
from pathlib import Path

from service import Service, form, outcome_of

PAUSE = 0.01


async def upload(service, token, body, kind):
    started = time.perf_counter()
    reader, writer = await asyncio.open_connection("127.0.0.1", service.port)
    writer.write(
        f"PUT /user/avatar/upload HTTP/1.1\r\nHost: localhost\r\nAccess-Token: {token}\r\nConnection: close\r\n"
        f"Content-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n".encode()
    )
    # Sent in pieces, because asyncio would copy the unsent rest of a large write into its own buffer.
    view = memoryview(body)
    try:
        for start in range(0, len(view), 1 << 18):
            writer.write(view[start : start + (1 << 18)])
            await writer.drain()
    except ConnectionError:
        pass
    answer = await reader.read()
    writer.close()
    head, _, text = answer.partition(b"\r\n\r\n")
    return outcome_of(int(head.split()[1]), text), time.perf_counter() - started


def fetch_repeatedly(port, path, stop, results):
    """Fetches one avatar again and again, and reports the times in milliseconds."""
    connection = http.client.HTTPConnection("127.0.0.1", port)
    times = []
    while not stop.is_set():
        started = time.perf_counter()
        connection.request("GET", path)
        response = connection.getresponse()
        response.read()
        assert response.status == 200, response.status
        times.append((time.perf_counter() - started) * 1000)
        time.sleep(PAUSE)
    results.put(sorted(times))


async def flood(service, token, body, kind, uploads):
    peak = [0, 0]

    async def watch():
        while True:
            peak[0], peak[1] = max(peak[0], service.memory()), max(peak[1], service.resident())
            await asyncio.sleep(0.05)

    watcher = asyncio.create_task(watch())
    outcomes = await asyncio.gather(*(upload(service, token, body, kind) for _ in range(uploads)))
    watcher.cancel()
    return outcomes, peak


def main():
    picture = Path(sys.argv[1])
    uploads = int(sys.argv[2]) if len(sys.argv) > 2 and "=" not in sys.argv[2] else 200
    settings = [argument for argument in sys.argv[2:] if "=" in argument]
    body, kind = form(picture.read_bytes())
    with Service(*settings) as service:
        token = service.access_token()
        first = asyncio.run(upload(service, token, body, kind))
        info = http.client.HTTPConnection("127.0.0.1", service.port)
        info.request("GET", "/user/info", headers={"Access-Token": token})
        url = json.loads(info.getresponse().read())["data"]["avatar_url"]
        path = url.removeprefix(service.url)
        before = service.memory()
        stop, results = multiprocessing.Event(), multiprocessing.Queue()
        fetcher = multiprocessing.Process(target=fetch_repeatedly, args=(service.port, path, stop, results))
        fetcher.start()
        started = time.perf_counter()
        outcomes, (peak, resident) = asyncio.run(flood(service, token, body, kind, uploads))
        took = time.perf_counter() - started
        stop.set()
        times = results.get()
        fetcher.join()
        time.sleep(1)
        print(f"{picture.name}, {len(body) / 1e6:.1f} MB; one alone: {first[0]} in {first[1]:.2f} s")
        print(f"{uploads} at once: all answered in {took:.1f} s")
        for outcome, count in collections.Counter(outcome for outcome, _ in outcomes).most_common():
            waits = sorted(wait for what, wait in outcomes if what == outcome)
            print(f"  {count:4} × {outcome}, after {waits[0]:.2f} to {waits[-1]:.2f} s")
        print(f"memory of all processes: {before:.0f} MiB before, {peak:.0f} at peak, {service.memory():.0f} after")
        print(f"resident, shared pages counted several times: {resident:.0f} MiB at peak")
        p50, p99 = times[len(times) // 2], times[int(len(times) * 0.99)]
        print(f"GET of an avatar meanwhile, {len(times)} times: p50 {p50:.1f} ms, p99 {p99:.1f} ms, worst {times[-1]:.1f} ms")


if __name__ == "__main__":
    main()
