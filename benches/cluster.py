#!/usr/bin/env python3
"""Figures of a cluster of real processes on this machine: how long a range is not served after a kill, what a drain is felt of,
latencies, rounds of consensus, TPC-B against PostgreSQL with two synchronous standbys, idle ranges, a node that is added, statements whose rows
lie on other nodes.
See README.md beside this file."""
import argparse
import json
import os
import pathlib
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request

import compare
from compare import Postgres, Server, free_port, pgbench, postgres_program

BENCHES = ("failover", "drain", "rolling", "latency", "rounds", "tpcb", "idle", "add", "distributed")
RANGES_FOR_FAILOVER = 12
PORTS_PER_NODE = 10


def free_base_port(nodes):
    """A base port below the ephemeral ones, with the ports of all nodes free."""
    import socket
    for base in range(20_000 + os.getpid() % 5000, 32_000, 100):
        try:
            for node in range(nodes):
                for offset in range(3):
                    with socket.socket() as probe:
                        probe.bind(("127.0.0.1", base + PORTS_PER_NODE * node + offset))
            return base
        except OSError:
            continue
    sys.exit("no free ports")


class Node(Server):
    def __init__(self, cluster, number):
        super().__init__(f"node {number}", cluster.base + PORTS_PER_NODE * (number - 1))
        self.number = number
        self.cluster = cluster
        self.rpc = f"127.0.0.1:{self.port + 1}"
        self.http = f"http://127.0.0.1:{self.port + 2}"

    def pid(self):
        return int((self.cluster.folder / f"node{self.number}" / "pid").read_text().split()[0])

    def metrics(self):
        """Every sample without labels, and with them under the whole name."""
        text = urllib.request.urlopen(f"{self.http}/metrics", timeout=10).read().decode()
        samples = (line.rsplit(" ", 1) for line in text.splitlines() if line and not line.startswith("#"))
        return {name: float(value) for name, value in samples}


class Cluster:
    """A cluster of `meridian cluster start`."""

    def __init__(self, program, folder, nodes=3, flags=()):
        self.program = program
        self.folder = pathlib.Path(folder)
        self.base = free_base_port(nodes + 1)
        self.run("start", "--nodes", str(nodes), "--base-port", str(self.base), *(["--", *flags] if flags else []))
        self.nodes = [Node(self, number) for number in range(1, nodes + 1)]

    def run(self, command, *arguments):
        line = [self.program, "cluster", command, "--dir", str(self.folder), *arguments]
        return subprocess.run(line, check=True, capture_output=True, text=True).stdout

    def status(self, asked=0):
        """Node by number of process -> (ranges, leases); ids are matched by address."""
        rpc = self.nodes[asked].rpc
        table = lambda command: [
            [cell.strip() for cell in line.split("|")]
            for line in subprocess.run([self.program, "node", command, "--rpc", rpc], check=True, capture_output=True,
                                       text=True).stdout.splitlines()[2:] if "|" in line
        ]
        numbers = {}
        for row in table("ls"):
            # A node that was not heard yet has no address.
            if ":" in row[3]:
                numbers[row[0]] = (int(row[3].rsplit(":", 1)[1]) - self.base) // PORTS_PER_NODE + 1
        return {numbers[row[0]]: {"id": int(row[0]), "ranges": int(row[3]), "leases": int(row[4])} for row in table("status")
                if row[0] in numbers}

    def wait_replicated(self, seconds=120):
        """Until every node has every range, three times."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            counts = {row["ranges"] for row in self.status().values()}
            if len(counts) == 1 and counts != {0} and len(self.status()) == len(self.nodes):
                return
            time.sleep(0.3)
        sys.exit(f"not replicated after {seconds} s: {self.status()}")

    def wait_settled(self, quiet=75, seconds=900):
        """Until no range and no lease has moved for some seconds: leases are spread once their load was measured, for a minute. Answers
        after which time that was so."""
        began = last = time.monotonic()
        known = self.status()
        while time.monotonic() < last + quiet:
            if time.monotonic() > began + seconds:
                sys.exit(f"still moving after {seconds} s: {known}")
            time.sleep(1)
            found = self.status()
            if found != known:
                known, last = found, time.monotonic()
        return last - began

    def stop(self):
        for node in self.nodes:
            subprocess.run([self.program, "cluster", "kill", "--dir", str(self.folder), str(node.number)],
                           capture_output=True)


def connect(node, **options):
    import psycopg
    return psycopg.connect(node.url, autocommit=True, prepare_threshold=1, connect_timeout=10, **options)


def told(error):
    """What a client is told, in a line."""
    return f"{getattr(error, 'sqlstate', None)}: {error}".splitlines()[0]


def print_told(failures):
    for text in sorted(set(failures))[:10]:
        print(f"#   told: {text}")


class Prober(threading.Thread):
    """One client that writes one row again and again through one node, and keeps the time of each success."""

    def __init__(self, node, key):
        super().__init__(daemon=True)
        self.node, self.key = node, key
        self.successes, self.failures = [], []
        self.ends = threading.Event()

    def run(self):
        connection = None
        while not self.ends.is_set():
            try:
                connection = connection or connect(self.node)
                connection.execute("UPDATE probe SET v = v + 1 WHERE id = %s", (self.key,))
                self.successes.append(time.monotonic())
            except Exception as error:  # Whatever a client may be told: it tries again.
                self.failures.append(told(error))
                if connection is None or connection.closed:
                    connection = None
                time.sleep(0.005)
            self.ends.wait(0.005)

    def longest_gap(self, since):
        times = [moment for moment in self.successes if moment >= since - 1]
        return max((b - a for a, b in zip(times, times[1:])), default=float("inf"))


def make_probe_table(cluster, ranges):
    node = cluster.nodes[0]
    node.psql("CREATE TABLE probe (id int PRIMARY KEY, v int)")
    node.psql(f"INSERT INTO probe SELECT i, 0 FROM generate_series(1, {ranges}) i")
    for key in range(2, ranges + 1):
        node.psql(f"ALTER TABLE probe SPLIT AT VALUES ({key})")
    cluster.wait_replicated()
    # Leases are spread by then as well as they will be.
    time.sleep(5)


def probed(through, act):
    """Runs `act` while every range is written to through one node: the longest gap in seconds, and what failed."""
    probers = [Prober(through, key) for key in range(1, RANGES_FOR_FAILOVER + 1)]
    for prober in probers:
        prober.start()
    time.sleep(1.5)
    began = time.monotonic()
    act()
    time.sleep(6)
    for prober in probers:
        prober.ends.set()
    for prober in probers:
        prober.join(60)
    gaps = [prober.longest_gap(began) for prober in probers]
    return max(gaps), [failure for prober in probers for failure in prober.failures]


def hurt_in_turn(options, folder, times, act):
    """`act(cluster, victim, its id, RPC address of another)` on one node after the other, which is then restarted: the longest gap of each time in seconds, and what failed."""
    cluster = Cluster(options.program, folder)
    try:
        make_probe_table(cluster, RANGES_FOR_FAILOVER)
        gaps, failures = [], []
        for number in range(times):
            victim, other = number % 3 + 1, (number + 1) % 3
            before = cluster.status(other)[victim]
            gap, failed = probed(cluster.nodes[other], lambda: act(cluster, victim, before["id"], cluster.nodes[other].rpc))
            gaps.append(gap)
            failures += failed
            print(f"#   {number + 1}: node {victim} with {before['leases']} leases: {gap:.3f} s, {len(failed)} failed statements", flush=True)
            cluster.run("restart", str(victim))
            cluster.wait_replicated()
            time.sleep(4)
        print_told(failures)
        return gaps, failures
    finally:
        cluster.stop()


def bench_failover(options, folder):
    """kill -9 of each node in turn; the gap of the range that was longest without service."""
    kill = lambda cluster, victim, ident, rpc: cluster.run("kill", str(victim))
    gaps, failures = hurt_in_turn(options, folder, options.kills, kill)
    return {"median_s": statistics.median(gaps), "worst_s": max(gaps), "kills": len(gaps), "failed_statements": len(failures)}


def bench_drain(options, folder):
    """`meridian node drain`: no statement through the others fails or waits."""
    drain = lambda cluster, victim, ident, rpc: subprocess.run(
        [options.program, "node", "drain", str(ident), "--rpc", rpc], check=True, capture_output=True)
    gaps, failures = hurt_in_turn(options, folder, options.drains, drain)
    return {"median_ms": statistics.median(gaps) * 1000, "worst_ms": max(gaps) * 1000, "failed_statements": len(failures)}


class Pooled(threading.Thread):
    """One client as behind a pool: before each statement it looks whether its connection was ended, and takes another node's then."""

    def __init__(self, nodes, key):
        super().__init__(daemon=True)
        self.nodes, self.key = nodes, key
        self.done, self.moves, self.failures, self.slowest = 0, 0, [], 0.0
        self.ends = threading.Event()

    def connected(self):
        for attempt in range(200):
            self.key += 1
            try:
                return connect(self.nodes[self.key % len(self.nodes)])
            except Exception:  # That one is stopping: the next.
                time.sleep(0.01)
        raise RuntimeError("no node lets in")

    def run(self):
        import select
        connection, row = self.connected(), self.key % RANGES_FOR_FAILOVER + 1
        while not self.ends.is_set():
            if select.select([connection.fileno()], [], [], 0)[0]:
                connection.close()
                connection = self.connected()
                self.moves += 1
            began = time.monotonic()
            try:
                connection.execute("UPDATE probe SET v = v + 1 WHERE id = %s", (row,))
                self.done += 1
                self.slowest = max(self.slowest, time.monotonic() - began)
            except Exception as error:
                self.failures.append(told(error))
                connection.close()
                connection = self.connected()
            self.ends.wait(0.002)


def bench_rolling(options, folder):
    """Every node is stopped in order and started again, under load: statements that failed."""
    cluster = Cluster(options.program, folder)
    try:
        make_probe_table(cluster, RANGES_FOR_FAILOVER)
        clients = [Pooled(cluster.nodes, key) for key in range(9)]
        for client in clients:
            client.start()
        time.sleep(2)
        for node in cluster.nodes:
            began = time.monotonic()
            cluster.run("restart", str(node.number))
            print(f"#   node {node.number} restarted in {time.monotonic() - began:.1f} s", flush=True)
            time.sleep(8)
        for client in clients:
            client.ends.set()
        for client in clients:
            client.join(60)
        failures = [failure for client in clients for failure in client.failures]
        print_told(failures)
        return {"statements": sum(c.done for c in clients), "failed_statements": len(failures),
                "connections_moved": sum(c.moves for c in clients), "slowest_ms": max(c.slowest for c in clients) * 1000}
    finally:
        cluster.stop()


def latencies(node, sql, key, seconds):
    with connect(node) as connection:
        times = []
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            began = time.perf_counter()
            connection.execute(sql, (key,)).fetchall() if sql.startswith("SELECT") else connection.execute(sql, (key,))
            times.append((time.perf_counter() - began) * 1e6)
        times = times[len(times) // 10:]
        return statistics.median(times), statistics.quantiles(times, n=100)[98]


def bench_latency(options, folder):
    """A single-row statement on the node of the lease, and through another."""
    cluster = Cluster(options.program, folder)
    try:
        make_probe_table(cluster, 1)
        figures = {}
        for name, sql in (("read", "SELECT v FROM probe WHERE id = %s"), ("write", "UPDATE probe SET v = v + 1 WHERE id = %s")):
            by_node = [(*latencies(node, sql, 1, options.seconds), node.number) for node in cluster.nodes]
            # The lease is on one of the three: reads there are the fastest.
            if name == "read":
                leaseholder = min(by_node)[2]
            for place, chosen in (("leaseholder", [l for l in by_node if l[2] == leaseholder]),
                                  ("gateway", [l for l in by_node if l[2] != leaseholder])):
                figures[f"{name}_{place}_median_us"] = statistics.median(l[0] for l in chosen)
                figures[f"{name}_{place}_p99_us"] = statistics.median(l[1] for l in chosen)
        return figures
    finally:
        cluster.stop()


def bench_rounds(options, folder):
    """Rounds of consensus that a commit waits for: counted by the coordinator."""
    cluster = Cluster(options.program, folder)
    try:
        make_probe_table(cluster, 4)
        node = cluster.nodes[0]
        figures = {}
        with connect(node) as connection:
            one = lambda: connection.execute("UPDATE probe SET v = v + 1 WHERE id = 1")

            def two():
                with connection.transaction():
                    connection.execute("UPDATE probe SET v = v + 1 WHERE id = 2")
                    connection.execute("UPDATE probe SET v = v + 1 WHERE id = 4")

            for name, act in (("single_range", one), ("cross_range", two)):
                for _ in range(20):
                    act()
                before = node.metrics()
                for _ in range(200):
                    act()
                after = node.metrics()
                grown = lambda metric: after[metric] - before[metric]
                commits = grown("meridian_txn_commits_total")
                figures[f"{name}_rounds"] = grown("meridian_txn_commit_rounds_total") / commits
                figures[f"{name}_commits"] = commits
        return figures
    finally:
        cluster.stop()


class Replicated(Postgres):
    """PostgreSQL with two standbys, of which one at least has a commit on its disk before it is acknowledged."""

    def __init__(self, folder):
        super().__init__(folder)
        self.standbys = []
        run = lambda *command: subprocess.run([*self.user, *command], check=True, stdout=subprocess.DEVNULL,
                                              stderr=subprocess.DEVNULL, cwd=folder)
        for number in (1, 2):
            data = os.path.join(folder, f"standby{number}")
            port = free_port()
            connection = f"host=127.0.0.1 port={self.port} user=postgres application_name=s{number}"
            run(postgres_program("pg_basebackup"), "-D", data, "-d", connection, "-R", "-X", "stream", "-c", "fast")
            options = f"-c port={port} -c unix_socket_directories={data} -c listen_addresses=127.0.0.1"
            run(postgres_program("pg_ctl"), "-D", data, "-o", options, "-l", os.path.join(data, "log"), "-w", "start")
            self.standbys.append(data)
        self.psql("ALTER SYSTEM SET synchronous_standby_names = 'ANY 1 (s1, s2)'")
        self.psql("SELECT pg_reload_conf()")
        deadline = time.monotonic() + 30
        while self.psql("SELECT count(*) FROM pg_stat_replication WHERE sync_state = 'quorum'").strip() != "2":
            if time.monotonic() > deadline:
                sys.exit("the standbys are not synchronous")
            time.sleep(0.1)

    def stop(self):
        super().stop()
        for data in self.standbys:
            subprocess.run([*self.user, postgres_program("pg_ctl"), "-D", data, "-m", "immediate", "stop"],
                           stdout=subprocess.DEVNULL, cwd="/")


def bench_tpcb(options, folder):
    """pgbench's TPC-B: three local nodes (clients on the first) against PostgreSQL with two synchronous standbys."""
    postgres = Replicated(folder)
    cluster = Cluster(options.program, os.path.join(folder, "cluster"))
    try:
        servers = [postgres, cluster.nodes[0]]
        cluster.nodes[0].name = "Meridian"
        cluster.wait_replicated()
        compare.prepare_pgbench(servers, options)
        cluster.wait_replicated()
        time.sleep(5)
        figures = {}
        for mode in compare.MODES:
            for clients in compare.CLIENTS:
                values = [[], []]
                for _ in range(options.rounds):
                    for index, server in enumerate(servers):
                        values[index].append(pgbench(server, "-M", mode, "-c", str(clients), "-j", str(min(clients, 2)),
                                                     "-T", str(options.seconds)))
                ratio = statistics.median(values[1]) / statistics.median(values[0])
                print(f"#   TPC-B -M {mode} -c {clients}: {compare.spread(values[0])} | {compare.spread(values[1])} | {ratio:.2f}", flush=True)
                figures[f"{mode}_{clients}"] = ratio
        return figures
    finally:
        cluster.stop()
        postgres.stop()


def cost_of(cluster, seconds):
    """Share of a core and resident MiB of each node over a time in which nothing is asked of it, and Raft messages in all."""
    ticks = os.sysconf("SC_CLK_TCK")

    def processor(pid):
        fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / ticks

    pids = [node.pid() for node in cluster.nodes]
    messages = lambda: sum(node.metrics()["meridian_rpc_raft_messages_sent_total"] for node in cluster.nodes)
    before, sent = [processor(pid) for pid in pids], messages()
    time.sleep(seconds)
    share = [(processor(pid) - begun) / seconds for pid, begun in zip(pids, before)]
    return share, [compare.resident_mib(pid) for pid in pids], messages() - sent


def bench_idle(options, folder):
    """An empty cluster, and the same one with 2,000 ranges."""
    cluster = Cluster(options.program, folder)
    try:
        cluster.wait_replicated()
        time.sleep(10)
        empty = cost_of(cluster, options.idle_seconds)
        node = cluster.nodes[0]
        node.psql("CREATE TABLE idle (id int PRIMARY KEY, v int)")
        began = time.monotonic()
        for first in range(1, options.idle_ranges, 100):
            keys = ", ".join(f"({key})" for key in range(first, min(first + 100, options.idle_ranges)))
            node.psql(f"ALTER TABLE idle SPLIT AT VALUES {keys}")
        print(f"#   {options.idle_ranges} ranges after {time.monotonic() - began:.1f} s", flush=True)
        cluster.wait_replicated(600)
        print(f"#   at rest {cluster.wait_settled():.1f} s later", flush=True)
        full = cost_of(cluster, options.idle_seconds)
        return {
            "ranges": [row["ranges"] for row in cluster.status().values()],
            "leases": [row["leases"] for row in cluster.status().values()],
            "core_share_above_empty": [round(b - a, 4) for a, b in zip(empty[0], full[0])],
            "core_share_empty": [round(a, 4) for a in empty[0]],
            "mib_above_empty": [round(b - a, 1) for a, b in zip(empty[1], full[1])],
            "raft_messages_empty": empty[2],
            "raft_messages": full[2],
            "seconds": options.idle_seconds,
        }
    finally:
        cluster.stop()


class Worker(threading.Thread):
    """One client: reads and writes random rows, and keeps (moment, latency)."""

    def __init__(self, node, rows, seed):
        super().__init__(daemon=True)
        import random
        self.node, self.rows, self.random = node, rows, random.Random(seed)
        self.samples, self.failures = [], []
        self.ends = threading.Event()

    def run(self):
        connection = connect(self.node)
        while not self.ends.is_set():
            key = self.random.randrange(1, self.rows + 1)
            began = time.monotonic()
            try:
                if self.random.random() < 0.5:
                    connection.execute("SELECT filler FROM grown WHERE id = %s", (key,)).fetchall()
                else:
                    connection.execute("UPDATE grown SET v = v + 1 WHERE id = %s", (key,))
                now = time.monotonic()
                self.samples.append((now, now - began))
            except Exception as error:
                self.failures.append(str(error).splitlines()[0])
            self.ends.wait(0.01)


def bench_add(options, folder):
    """A fourth node joins under load: data move to it, and the 99th percentile of latency before, while, after."""
    rows = 200_000
    cluster = Cluster(options.program, folder, flags=["--range-size-kib", "2048"])
    try:
        node = cluster.nodes[0]
        node.psql("CREATE TABLE grown (id int PRIMARY KEY, v int, filler text)")
        for first in range(1, rows, 20_000):
            node.psql(f"INSERT INTO grown SELECT i, 0, repeat('x', 300) FROM generate_series({first}, {first + 19_999}) i")
        cluster.wait_replicated(300)
        time.sleep(options.settle_seconds)
        workers = [Worker(cluster.nodes[number % 3], rows, number) for number in range(8)]
        for worker in workers:
            worker.start()
        time.sleep(20)
        began = time.monotonic()
        cluster.run("add")
        cluster.nodes.append(Node(cluster, 4))
        arrived = None
        while time.monotonic() - began < options.move_seconds:
            counts = cluster.status()
            mean = sum(row["ranges"] for row in counts.values()) / 4
            if counts.get(4, {"ranges": 0})["ranges"] >= 0.8 * mean:
                arrived = time.monotonic()
                break
            time.sleep(1)
        ended = time.monotonic()
        time.sleep(20)
        for worker in workers:
            worker.ends.set()
        for worker in workers:
            worker.join(60)
        samples = sorted(sample for worker in workers for sample in worker.samples)
        p99 = lambda low, high: statistics.quantiles([l for t, l in samples if low <= t < high], n=100)[98] * 1000
        return {
            "ranges": {number: row["ranges"] for number, row in cluster.status().items()},
            "moved_within_s": arrived and arrived - began,
            "p99_before_ms": p99(began - 15, began),
            "p99_while_ms": p99(began, ended),
            "p99_after_ms": p99(ended + 2, ended + 20),
            "failed_statements": sum(len(worker.failures) for worker in workers),
        }
    finally:
        cluster.stop()


DISTRIBUTED = {
    "lookup by key": "SELECT count(*), sum(r.v) FROM generate_series(1, 100000) i JOIN wide r ON r.id = i * 6 WHERE r.v % 20 = 3",
    "lookup by index": "SELECT count(*), sum(r.v) FROM generate_series(1, 5000) i JOIN wide r ON r.k = i * 12 WHERE r.v % 20 = 3",
    "lookup, all sent": "SELECT count(*), sum(r.v) FROM generate_series(1, 100000) i JOIN wide r ON r.id = i * 6",
    "index scan": "SELECT count(*), sum(v) FROM (SELECT v FROM wide WHERE k < 10000 AND filler <> 'y' AND v % 20 = 3 OFFSET 0) x",
    "backwards": "SELECT id FROM wide WHERE v = -1 AND id > 0 ORDER BY id DESC LIMIT 1",
}


def bench_distributed(options, folder):
    """600,000 rows that mostly lie on other nodes, looked up and scanned: with distributed execution, and without, in ms."""
    cluster = Cluster(options.program, folder)
    try:
        node = cluster.nodes[0]
        node.psql("CREATE TABLE wide (id int PRIMARY KEY, k int, v int, filler text)")
        for first in range(1, 600_000, 20_000):
            node.psql("INSERT INTO wide SELECT i, i::bigint * 7919 % 600000 / 10, i % 1000, repeat('x', 100) "
                      f"FROM generate_series({first}, {first + 19_999}) i")
        node.psql("CREATE INDEX wide_k ON wide (k)")
        node.psql("ALTER TABLE wide SPLIT AT VALUES " + ", ".join(f"({at})" for at in range(60_000, 600_000, 60_000)))
        node.psql("ANALYZE wide")
        cluster.wait_replicated()
        # Each drain moves leases about: until the node that asks has few.
        leases = "SELECT leaseholder, count(*) FROM meridian.ranges WHERE table_name = 'wide' GROUP BY 1"
        for attempt in range(30):
            with connect(node) as connection:
                counts = dict(connection.execute(leases).fetchall())
            if len(counts) > 2 and counts.get(1, 0) * 3 <= sum(counts.values()):
                break
            for flags in ((), ("--cancel",)):
                line = [options.program, "node", "drain", str(attempt % 3 + 1), *flags, "--rpc", node.rpc]
                subprocess.run(line, check=True, capture_output=True)
            time.sleep(1)
        figures = {"leases": counts}
        with connect(node) as connection:
            for name, query in DISTRIBUTED.items():
                answers = set()
                for setting in ("off", "on"):
                    connection.execute(f"SET distributed_execution = {setting}")
                    times = []
                    for _ in range(options.rounds + 1):
                        began = time.perf_counter()
                        answers.add(str(connection.execute(query).fetchall()))
                        times.append((time.perf_counter() - began) * 1e3)
                    figures[f"{name}, {setting}"] = statistics.median(times[1:])
                if len(answers) != 1:
                    sys.exit(f"{name}: {answers}")
        return figures
    finally:
        cluster.stop()


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("bench", nargs="*", choices=[*BENCHES, []])
    parser.add_argument("--program", default=os.environ.get("MERIDIAN", "meridian"), help="the meridian binary")
    parser.add_argument("--seconds", type=int, default=5, help="length of one measurement")
    parser.add_argument("--rounds", type=int, default=3, help="measurements of each system")
    parser.add_argument("--scale", type=int, default=10, help="pgbench scale")
    parser.add_argument("--kills", type=int, default=50, help="failover: how often a node is killed")
    parser.add_argument("--drains", type=int, default=6, help="drain: how often")
    parser.add_argument("--idle-ranges", type=int, default=2000)
    parser.add_argument("--idle-seconds", type=int, default=30)
    parser.add_argument("--settle-seconds", type=int, default=20, help="time for balance after a change")
    parser.add_argument("--move-seconds", type=int, default=180, help="add: how long data may take to move")
    parser.add_argument("--json", help="write all figures to this file")
    options = parser.parse_args()
    figures = {}
    for name in options.bench or BENCHES:
        folder = tempfile.mkdtemp(prefix=f"meridian-{name}-")
        os.chmod(folder, 0o755)
        try:
            print(f"# {name}: {globals()['bench_' + name].__doc__}", flush=True)
            figures[name] = globals()[f"bench_{name}"](options, folder)
            for figure, value in figures[name].items():
                print(f"{name:<9} {figure:<28} {round(value, 3) if isinstance(value, float) else value}", flush=True)
        finally:
            shutil.rmtree(folder, ignore_errors=True)
    if options.json:
        pathlib.Path(options.json).write_text(json.dumps(figures, indent=1))


if __name__ == "__main__":
    main()
