#!/usr/bin/env python3
"""Runs the same clients against PostgreSQL 15 and Meridian in turn and prints ratios. See README.md beside this file."""
import argparse
import glob
import json
import os
import pathlib
import random
import re
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time

CLIENTS = (1, 8, 32)
MODES = ("prepared", "simple")
COPY_ROWS = 1_000_000


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def postgres_program(name):
    found = shutil.which(name)
    if found:
        return found
    for folder in sorted(glob.glob("/usr/lib/postgresql/*/bin"), reverse=True):
        if os.path.exists(os.path.join(folder, name)):
            return os.path.join(folder, name)
    sys.exit(f"{name} not found: install PostgreSQL 15")


class Server:
    """A running server; `url` is where clients connect."""

    def __init__(self, name, port):
        self.name = name
        self.port = port
        self.url = f"postgresql://postgres@127.0.0.1:{port}/postgres?sslmode=disable"

    def psql(self, sql, **kwargs):
        command = ["psql", "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", self.url, "-c", sql]
        return subprocess.run(command, check=True, capture_output=True, text=True, **kwargs).stdout

    def wait(self, seconds=60):
        deadline = time.monotonic() + seconds
        while True:
            try:
                self.psql("SELECT 1")
                return
            except subprocess.CalledProcessError as error:
                if time.monotonic() > deadline:
                    sys.exit(f"{self.name} does not answer: {error.stderr}")
                time.sleep(0.05)

    def stop(self):
        pass


class Postgres(Server):
    def __init__(self, folder):
        super().__init__("PostgreSQL", free_port())
        self.data = os.path.join(folder, "postgres")
        os.makedirs(self.data)
        self.user = []
        if os.geteuid() == 0:
            shutil.chown(folder, "postgres")
            shutil.chown(self.data, "postgres")
            self.user = ["runuser", "-u", "postgres", "--"]
        run = lambda *command: subprocess.run([*self.user, *command], check=True, stdout=subprocess.DEVNULL, cwd=folder)
        run(postgres_program("initdb"), "-D", self.data, "-A", "trust", "-U", "postgres", "--locale=C.UTF-8")
        options = f"-c port={self.port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={self.data} -c shared_buffers=256MB -c max_wal_size=4GB"
        run(postgres_program("pg_ctl"), "-D", self.data, "-o", options, "-l", os.path.join(self.data, "log"), "-w", "start")
        self.wait()

    def stop(self):
        command = [*self.user, postgres_program("pg_ctl"), "-D", self.data, "-m", "immediate", "stop"]
        subprocess.run(command, stdout=subprocess.DEVNULL, cwd="/")


class Meridian(Server):
    def __init__(self, folder, program):
        super().__init__("Meridian", free_port())
        self.data = os.path.join(folder, "meridian")
        addresses = ["--listen-sql", f"127.0.0.1:{self.port}", "--listen-rpc", "127.0.0.1:0",
                     "--listen-http", "127.0.0.1:0"]
        self.log = open(os.path.join(folder, "meridian.log"), "w")
        self.process = subprocess.Popen([program, "start", "--data-dir", self.data, *addresses],
                                        stdout=self.log, stderr=self.log)
        self.wait()

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(60)
        self.log.close()


def pgbench(server, *arguments):
    """Transactions per second."""
    command = [postgres_program("pgbench"), "-n", *arguments, server.url]
    result = subprocess.run(command, capture_output=True, text=True)
    found = re.search(r"^tps = ([0-9.]+)", result.stdout, re.M)
    if result.returncode or not found:
        raise RuntimeError(f"pgbench against {server.name}: {result.stdout}{result.stderr}")
    return float(found.group(1))


def timed_query(server, sql, seconds, setup=""):
    """Queries per second of one client: a pgbench script with one statement."""
    with tempfile.NamedTemporaryFile("w", suffix=".sql") as script:
        script.write(setup + sql + ";\n")
        script.flush()
        return pgbench(server, "-M", "prepared", "-T", str(seconds), "-f", script.name)


def prepare_pgbench(servers, options):
    for server in servers:
        began = time.monotonic()
        command = [postgres_program("pgbench"), "-i", "-q", "-s", str(options.scale), server.url]
        result = subprocess.run(command, capture_output=True, text=True)
        if result.returncode:
            raise RuntimeError(f"pgbench -i against {server.name}: {result.stderr}")
        print(f"# pgbench -i -s {options.scale} on {server.name}: {time.monotonic() - began:.1f} s")


def bench_pgbench(servers, options, name, flags):
    for mode in MODES:
        for clients in CLIENTS:
            threads = str(min(clients, 2))
            run = lambda server: pgbench(server, *flags, "-M", mode, "-c", str(clients), "-j", threads,
                                         "-T", str(options.seconds))
            yield f"{name} -M {mode} -c {clients}", run


def copy_file(folder):
    path = os.path.join(folder, "rows.tsv")
    if not os.path.exists(path):
        rng = random.Random(1)
        with open(path, "w") as out:
            for number in range(COPY_ROWS):
                out.write(f"{number}\t{rng.randrange(1000)}\t{rng.random() * 1000:.3f}\ttext {rng.randrange(10**6)}\n")
    return path


COPY_TABLE = "DROP TABLE IF EXISTS bench_rows; CREATE TABLE bench_rows (id int PRIMARY KEY, kind int, amount float8, label text)"


def copy_rows(server, path):
    """Rows per second of one COPY."""
    for statement in COPY_TABLE.split(";"):
        server.psql(statement)
    command = ["psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", server.url, "-c", f"\\copy bench_rows FROM '{path}'"]
    began = time.monotonic()
    subprocess.run(command, check=True, capture_output=True, text=True)
    return COPY_ROWS / (time.monotonic() - began)


def prepare_join(servers):
    for server in servers:
        for statement in (
            "DROP TABLE IF EXISTS bench_item", "DROP TABLE IF EXISTS bench_order", "DROP TABLE IF EXISTS bench_region",
            "CREATE TABLE bench_region (id int PRIMARY KEY, name text)",
            "CREATE TABLE bench_order (id int PRIMARY KEY, region int, placed int)",
            "CREATE TABLE bench_item (id int PRIMARY KEY, order_id int, price int)",
            "INSERT INTO bench_region SELECT i, 'region ' || i FROM generate_series(1, 100) i",
            "INSERT INTO bench_order SELECT i, i % 100 + 1, i % 365 FROM generate_series(1, 10000) i",
            "INSERT INTO bench_item SELECT i, i % 10000 + 1, i % 997 FROM generate_series(1, 100000) i",
            "ANALYZE bench_region", "ANALYZE bench_order", "ANALYZE bench_item",
        ):
            server.psql(statement)


JOIN = """SELECT r.name, count(*), sum(i.price) FROM bench_item i JOIN bench_order o ON o.id = i.order_id
JOIN bench_region r ON r.id = o.region WHERE o.placed < 100 GROUP BY r.name ORDER BY r.name""".replace("\n", " ")


def benches(servers, options, folder):
    """Yields (name, function of a server that measures once)."""
    wanted = options.bench or ["point", "tpcb", "copy", "aggregate", "range", "join"]
    if {"point", "tpcb"} & set(wanted):
        prepare_pgbench(servers, options)
    if "point" in wanted:
        yield from bench_pgbench(servers, options, "-S", ["-S"])
    if "tpcb" in wanted:
        yield from bench_pgbench(servers, options, "TPC-B", [])
    if {"copy", "aggregate", "range"} & set(wanted):
        path = copy_file(folder)
        if "copy" in wanted:
            yield f"COPY {COPY_ROWS} rows", lambda server: copy_rows(server, path)
        else:
            for server in servers:
                copy_rows(server, path)
        for server in servers:
            server.psql("ANALYZE bench_rows")
    if "aggregate" in wanted:
        plain = "SELECT count(*), sum(kind), avg(amount), min(id), max(amount) FROM bench_rows"
        grouped = "SELECT kind, count(*), sum(amount) FROM bench_rows GROUP BY kind"
        yield "aggregate", lambda server: timed_query(server, plain, options.seconds)
        yield "aggregate, GROUP BY", lambda server: timed_query(server, grouped, options.seconds)
    if "range" in wanted:
        setup = f"\\set low random(1, {COPY_ROWS - 1000})\n"
        scan = "SELECT count(amount), max(label) FROM bench_rows WHERE id BETWEEN :low AND :low + 999"
        yield "range of 1,000", lambda server: timed_query(server, scan, options.seconds, setup)
    if "join" in wanted:
        prepare_join(servers)
        yield "three-way join", lambda server: timed_query(server, JOIN, options.seconds)


def spread(values):
    return f"{min(values):,.1f} / {statistics.median(values):,.1f} / {max(values):,.1f}"


def measure(servers, options, folder):
    results = []
    print(f"\n| {'benchmark':<26} | {'PostgreSQL min / median / max':<34} | {'Meridian min / median / max':<34} | ratio |")
    print(f"| {'-' * 26} | {'-' * 34} | {'-' * 34} | ----- |")
    for name, run in benches(servers, options, folder):
        values = {server.name: [] for server in servers}
        failure = None
        for _ in range(options.rounds):
            for server in servers:
                try:
                    values[server.name].append(run(server))
                except (RuntimeError, subprocess.CalledProcessError) as error:
                    failure = f"{server.name}: {getattr(error, 'stderr', None) or error}"
        if failure:
            print(f"| {name:<26} | failed: {failure.strip().splitlines()[-1][:200]}", flush=True)
            results.append({"name": name, "failure": failure})
            continue
        both = [values[server.name] for server in servers]
        ratio = statistics.median(both[1]) / statistics.median(both[0])
        print(f"| {name:<26} | {spread(both[0]):<34} | {spread(both[1]):<34} | {ratio:5.2f} |", flush=True)
        results.append({"name": name, "postgresql": both[0], "meridian": both[1], "ratio": ratio})
    return results


def resident_mib(process_id):
    status = pathlib.Path(f"/proc/{process_id}/status").read_text()
    return int(re.search(r"VmRSS:\s+(\d+)", status).group(1)) / 1024


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("bench", nargs="*", choices=["point", "tpcb", "copy", "aggregate", "range", "join", []])
    parser.add_argument("--seconds", type=int, default=5, help="length of one measurement")
    parser.add_argument("--rounds", type=int, default=3, help="measurements of each system")
    parser.add_argument("--scale", type=int, default=10, help="pgbench scale: 100,000 accounts each")
    parser.add_argument("--program", default=os.environ.get("MERIDIAN", "meridian"), help="the meridian binary")
    parser.add_argument("--json", help="write all figures to this file")
    parser.add_argument("--keep", action="store_true", help="leave the folders")
    options = parser.parse_args()
    folder = tempfile.mkdtemp(prefix="meridian-bench-")
    os.chmod(folder, 0o755)
    servers = []
    try:
        servers.append(Postgres(folder))
        servers.append(Meridian(folder, options.program))
        print(f"# Meridian after start: {resident_mib(servers[1].process.pid):.0f} MiB resident")
        results = measure(servers, options, folder)
        print(f"# Meridian at the end: {resident_mib(servers[1].process.pid):.0f} MiB resident")
        if options.json:
            pathlib.Path(options.json).write_text(json.dumps(results, indent=1))
    finally:
        for server in servers:
            server.stop()
        if not options.keep:
            shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
