#!/usr/bin/env python3
"""Memory of idle event streams: streams.py SENSOR [COUNT]

Opens COUNT (1,000) event streams over TLS through the proxy of SENSOR, the program, to an origin of its own on port 8443 (both over
loopback; port 8443 and 18083 must be free), and prints the resident memory of the proxy before and with them. Needs openssl and
as many open files as four times COUNT.
"""
import asyncio
import os
import resource
import ssl
import subprocess
import sys
import tempfile

SENSOR, COUNT = sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 1000
PROXY, ORIGIN, AT_ONCE = 18083, 8443, 16
most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
DIR = tempfile.TemporaryDirectory()
D = DIR.name


def sh(command):
    subprocess.run(command, shell=True, check=True, cwd=D, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


usage = "-addext basicConstraints=critical,CA:TRUE -addext keyUsage=critical,keyCertSign,cRLSign,digitalSignature"
for ca in ("origin-ca", "proxy-ca"):
    sh(f"openssl ecparam -genkey -name prime256v1 | openssl pkcs8 -topk8 -nocrypt -out {ca}.key && chmod 600 {ca}.key")
    sh(f"openssl req -x509 -new -key {ca}.key -days 3650 -subj /CN={ca} {usage} -out {ca}.crt")
sh("openssl ecparam -genkey -name prime256v1 | openssl pkcs8 -topk8 -nocrypt -out origin.key")
sh("printf 'subjectAltName=DNS:localhost\\nbasicConstraints=CA:FALSE\\n' >extensions")
sh("openssl req -new -key origin.key -subj /CN=localhost -out origin.csr")
sh("openssl x509 -req -in origin.csr -CA origin-ca.crt -CAkey origin-ca.key -days 365 -extfile extensions -out origin.crt")
with open(f"{D}/sensor.toml", "w") as config:
    config.write(f"""
[[source]]
kind = "proxy"
listen = "127.0.0.1:{PROXY}"
[[sink]]
kind = "jsonl"
path = "/dev/null"
[proxy.limits]
connections = 20000
connections_per_client = 20000
[proxy.ca]
certificate = "{D}/proxy-ca.crt"
key = "{D}/proxy-ca.key"
[proxy.destinations]
allow = ["127.0.0.0/8"]
[proxy.upstream]
roots = ["{D}/origin-ca.crt"]
""")


async def serve(reader, writer):
    """Begins a stream, and leaves it open."""
    try:
        await reader.readuntil(b"\r\n\r\n")
        head = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
        writer.write(head + b"5\r\n: hi\n\r\n")
        await writer.drain()
        await reader.read()
    except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
        pass


async def stream(tls, turns):
    """One stream, as soon as its first event is there."""
    async with turns:
        reader, writer = await asyncio.open_connection("127.0.0.1", PROXY)
        host = f"localhost:{ORIGIN}"
        writer.write(f"CONNECT {host} HTTP/1.1\r\nhost: {host}\r\n\r\n".encode())
        assert b" 200" in await reader.readuntil(b"\r\n\r\n")
        await writer.start_tls(tls, server_hostname="localhost")
        writer.write(f"GET /events HTTP/1.1\r\nhost: {host}\r\naccept: text/event-stream\r\n\r\n".encode())
        await reader.readuntil(b": hi\n")
        return reader, writer


def resident(pid):
    """In KiB."""
    with open(f"/proc/{pid}/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmRSS"))


async def main():
    origin, client = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.create_default_context(cafile=f"{D}/proxy-ca.crt")
    origin.load_cert_chain(f"{D}/origin.crt", f"{D}/origin.key")
    server = await asyncio.start_server(serve, "127.0.0.1", ORIGIN, ssl=origin, backlog=1000)
    sensor = subprocess.Popen([SENSOR, "-c", f"{D}/sensor.toml", "run"], stderr=subprocess.DEVNULL)
    try:
        for _ in range(100):
            await asyncio.sleep(0.1)
            try:
                (await asyncio.open_connection("127.0.0.1", PROXY))[1].close()
                break
            except OSError:
                pass
        await asyncio.sleep(1)
        before = resident(sensor.pid)
        turns = asyncio.Semaphore(AT_ONCE)
        streams = await asyncio.gather(*(stream(client, turns) for _ in range(COUNT)))
        await asyncio.sleep(3)
        now = resident(sensor.pid)
        each = (now - before) / len(streams)
        print(f"{len(streams)} streams: {before / 1024:.1f} MiB before, {now / 1024:.1f} now, {each:.1f} KiB each", flush=True)
    finally:
        sensor.terminate()
        sensor.wait()
        DIR.cleanup()
    # Ends without a word about streams that are still open.
    os._exit(0)


asyncio.run(main())
