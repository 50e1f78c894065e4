"""A Debian 12 with systemd as PID 1, in a container that leaves nothing behind.

The root is made once by debootstrap and kept as a tar archive; each run unpacks it, boots it
with systemd-nspawn in a network of its own, and removes it at the end, also after a failure or
Ctrl-C. Commands run inside through nsenter: no bus, no machinectl, no ssh.
"""

import fcntl
import hashlib
import os
import pty
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from pathlib import Path

SUITE = "bookworm"
PACKAGES = ["ca-certificates", "systemd", "systemd-sysv", "dbus", "init-system-helpers", "memcached", "procps"]
CACHE = Path("/var/cache/zhongkong-test")
INSIDE = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8", "HOME": "/root", "SYSTEMD_COLORS": "0"}


def mirror():
    """Where this machine's apt gets Debian from."""
    sources = [Path("/etc/apt/sources.list"), *sorted(Path("/etc/apt/sources.list.d").glob("*"))]
    for source in sources:
        if not source.is_file():
            continue
        for line in source.read_text().splitlines():
            words = line.split()
            if words[:1] == ["URIs:"] or words[:1] == ["deb"]:
                found = [word.rstrip("/") for word in words if word.startswith("http") and word.rstrip("/").endswith("/debian")]
                if found:
                    return found[0]
    return "http://deb.debian.org/debian"


def base_archive():
    """The archive of the root, made if it is missing. Two runs at once make it once."""
    recipe = hashlib.sha256(" ".join([SUITE, *PACKAGES]).encode()).hexdigest()[:12]
    CACHE.mkdir(parents=True, exist_ok=True)
    archive = CACHE / f"{SUITE}-{recipe}.tar"
    with open(CACHE / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if archive.exists():
            return archive
        root = Path(tempfile.mkdtemp(prefix="make-", dir=CACHE))
        try:
            subprocess.run(
                ["debootstrap", "--variant=minbase", "--include=" + ",".join(PACKAGES), SUITE, root / "root", mirror()],
                check=True, stdout=subprocess.DEVNULL)
            shutil.rmtree(root / "root/var/cache/apt/archives", ignore_errors=True)
            subprocess.run(["tar", "-C", root / "root", "-cf", root / "tar", "."], check=True)
            os.rename(root / "tar", archive)
        finally:
            shutil.rmtree(root, ignore_errors=True)
    return archive


class Ran:
    """A command's end."""

    def __init__(self, args, done):
        self.args, self.code = args, done.returncode
        self.out, self.err = done.stdout, done.stderr

    def __str__(self):
        return f"`{' '.join(map(str, self.args))}` gave {self.code}\n{self.out}{self.err}"


class Container:
    def __init__(self, work):
        work.mkdir(parents=True, exist_ok=True)
        self.dir = Path(tempfile.mkdtemp(prefix="run-", dir=work))
        self.root = self.dir / "root"
        self.console = self.dir / "console.log"
        self.nspawn = self.leader = None
        self.groups = []

    def boot(self):
        self.root.mkdir()
        subprocess.run(["tar", "-C", self.root, "-xf", base_archive()], check=True)
        (self.root / "etc/machine-id").write_text("")
        # On a disk of its own size the journal would be small, and a full one loses what we read.
        journal = self.root / "etc/systemd/journald.conf.d/test.conf"
        journal.parent.mkdir(parents=True)
        journal.write_text("[Journal]\nStorage=volatile\nRateLimitIntervalSec=0\n")
        self.groups = own_groups(name := f"zhongkong-{os.getpid()}")
        # nspawn with --boot wants a terminal.
        ours, theirs = pty.openpty()
        self.nspawn = subprocess.Popen(
            ["systemd-nspawn", "--quiet", f"--directory={self.root}", f"--machine={name}", "--boot", "--register=no",
             "--keep-unit", "--private-network", "--resolv-conf=off", "--timezone=off", "--link-journal=no"],
            stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True,
            preexec_fn=self._enter_groups)
        os.close(theirs)
        threading.Thread(target=self._log, args=(ours,), daemon=True).start()
        self.leader = wait_for("the container's init", self._init, 30)
        wait_for("the end of the boot", self._booted, 60)

    def _enter_groups(self):
        for group in self.groups:
            (group / "cgroup.procs").write_text(str(os.getpid()))

    def _log(self, terminal):
        with open(self.console, "wb") as log, os.fdopen(terminal, "rb", buffering=0) as said:
            try:
                while chunk := said.read(4096):
                    log.write(chunk)
                    log.flush()
            except OSError:
                pass

    def _init(self):
        """The process that is 1 in there: a descendant of nspawn."""
        if self.nspawn.poll() is not None:
            raise AssertionError(f"systemd-nspawn ended:\n{self.console.read_text(errors='replace')}")
        for pid in descendants(self.nspawn.pid):
            try:
                status = Path(f"/proc/{pid}/status").read_text()
            except OSError:
                continue
            ids = next((line.split()[1:] for line in status.splitlines() if line.startswith("NSpid:")), [])
            if len(ids) > 1 and ids[-1] == "1":
                return pid
        return None

    def _booted(self):
        state = self.run("systemctl", "is-system-running", check=False).out.strip()
        return state in ("running", "degraded")

    def run(self, *args, check=True, timeout=60, text=None, env=None):
        """Runs a command inside; with `check` it must succeed."""
        command = ["nsenter", "-t", str(self.leader), "-a", "--", *map(str, args)]
        done = subprocess.run(command, input=text, stdin=None if text else subprocess.DEVNULL, capture_output=True,
                              text=True, timeout=timeout, env={**INSIDE, **(env or {})}, cwd="/")
        ran = Ran(args, done)
        assert not check or ran.code == 0, str(ran)
        return ran

    def in_its_network(self, *args, **more):
        """A program of this machine, in the container's network."""
        return subprocess.Popen(["nsenter", "-t", str(self.leader), "-n", "--", *map(str, args)], text=True, **more)

    def path(self, inside):
        """A file of the container, seen from here."""
        return Path(f"/proc/{self.leader}/root") / inside.lstrip("/")

    def close(self):
        """Ends every process in there and removes its files. May be called twice."""
        if self.leader:
            kill(self.leader)
        if self.nspawn:
            try:
                self.nspawn.wait(10)
            except subprocess.TimeoutExpired:
                kill(self.nspawn.pid)
                self.nspawn.wait(10)
        # Its mounts went with its namespace; what is left are plain files.
        shutil.rmtree(self.dir, ignore_errors=True)
        for group in self.groups:
            for below, _, _ in os.walk(group, topdown=False):
                try:
                    os.rmdir(below)
                except OSError:
                    pass


def own_groups(name):
    """A control group of our own, so that two runs do not share the one of their container."""
    groups = []
    for line in Path("/proc/self/cgroup").read_text().splitlines():
        number, controllers, path = line.split(":", 2)
        if controllers == "name=systemd":
            mount = Path("/sys/fs/cgroup/systemd")
        elif number == "0":
            mount = Path("/sys/fs/cgroup/unified")
            mount = mount if mount.exists() else Path("/sys/fs/cgroup")
        else:
            continue
        group = mount / path.lstrip("/") / name
        try:
            group.mkdir()
        except OSError:
            # Not ours to divide: the container's group is then the one that we are in.
            continue
        groups.append(group)
    return groups


def descendants(pid):
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:
        return
    for child in children:
        yield int(child)
        yield from descendants(child)


def kill(pid):
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        pass


def wait_for(what, look, seconds=20):
    """The first true answer of `look`."""
    end = time.monotonic() + seconds
    while True:
        if found := look():
            return found
        assert time.monotonic() < end, f"{what}: not within {seconds} s"
        time.sleep(0.05)
