"""A private PostgreSQL server for the tests: its own folder, a socket in it, no port."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOTS = ("/usr/lib/postgresql", "/usr/local/pgsql", "/opt/homebrew/opt/postgresql")


def programs() -> Path:
    """The folder of `pg_ctl` and `initdb`."""
    found = [p.parent for root in ROOTS for p in sorted(Path(root).glob("**/bin/pg_ctl"), reverse=True)]
    on_path = shutil.which("pg_ctl")
    if on_path:
        found.append(Path(on_path).parent)
    if not found:
        raise RuntimeError(
            "these tests need a PostgreSQL server, and no pg_ctl was found."
            " Debian: apt-get install postgresql; macOS: brew install postgresql"
        )
    return found[0]


class Cluster:
    """A server; `start` and `stop` it, and make databases in it."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.data, self.bin = folder, folder / "data", programs()
        self._made: dict[str, str] = {}
        self._as = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []
        if self._as:
            folder.chmod(0o755)
            shutil.chown(folder, "postgres", "postgres")
        self._call("initdb", "-D", self.data, "-A", "trust", "-U", "tests", "--no-sync", "-E", "UTF8")

    def start(self) -> None:
        options = (
            f"-k {self.folder} -c listen_addresses= -c fsync=off -c shared_buffers=32MB -c max_connections=60"
        )
        self._call("pg_ctl", "-D", self.data, "-w", "-l", self.folder / "log", "-o", options, "start")

    def stop(self, mode: str = "fast") -> None:
        self._call("pg_ctl", "-D", self.data, "-w", "-m", mode, "stop")

    def database(self, name: str) -> str:
        """A new database's address."""
        self._call("createdb", "-h", self.folder, "-U", "tests", name)
        return f"postgresql://tests@/{name}?host={self.folder}"

    def emptied(self, name: str) -> str:
        """A database's address, made at the first call and emptied at the others."""
        if name not in self._made:
            self._made[name] = self.database(name)
        else:
            sql = "DROP SCHEMA public CASCADE; CREATE SCHEMA public"
            self._call("psql", "-q", "-h", self.folder, "-U", "tests", "-d", name, "-c", sql)
        return self._made[name]

    def _call(self, program: str, *words: object) -> None:
        done = subprocess.run(
            [*self._as, str(self.bin / program), *map(str, words)],
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE if program != "pg_ctl" else subprocess.DEVNULL,
            stderr=subprocess.STDOUT if program != "pg_ctl" else subprocess.DEVNULL,
            check=False,
        )
        if done.returncode:
            raise RuntimeError(f"{program} failed: {(done.stdout or b'').decode(errors='replace')}")


@contextmanager
def cluster() -> Iterator[Cluster]:
    """A running server until the block ends."""
    memory = Path("/dev/shm")  # a cluster has thousands of files, and none is kept
    place = memory if os.access(memory, os.W_OK) else Path("/tmp")
    folder = Path(tempfile.mkdtemp(prefix="vs-pg-", dir=place))  # a socket's path must be short
    try:
        made = Cluster(folder)
        made.start()
        try:
            yield made
        finally:
            made.stop("immediate")
    finally:
        shutil.rmtree(folder, ignore_errors=True)
