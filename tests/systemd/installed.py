"""An installed zhongkong in a container: its units, journal, configuration, and WeChat.

WeChat is `zhongkong simulate`, a transient unit on loopback, from a copy of the executable that
no upgrade touches. Everything is asked of systemd and of the sockets, as an administrator does.
"""

import ctypes
import http.client
import json
import os
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor

from container import wait_for

UNIT = "zhongkong.service"
SOCKET = "zhongkong.socket"
APPID = "wxsystemd00000001"
SECOND = "wxsystemd00000002"
SECRETS = {APPID: "0123456789abcdef0123456789abcdef", SECOND: "fedcba9876543210fedcba9876543210"}
GRPC, ADMIN, WECHAT = 7780, 7781, 7770
CONFIG = "/etc/zhongkong/config.toml"
CLONE_NEWNET = 0x40000000


class Installed:
    def __init__(self, container):
        self.box = container
        # Sockets belong to the network of the thread that made them.
        self.network = ThreadPoolExecutor(1, initializer=self.enter_network)
        self.packaged = None

    def enter_network(self):
        handle = os.open(f"/proc/{self.box.leader}/ns/net", os.O_RDONLY)
        assert ctypes.CDLL(None, use_errno=True).setns(handle, CLONE_NEWNET) == 0, os.strerror(ctypes.get_errno())
        os.close(handle)

    # WeChat.

    def start_wechat(self, binary):
        copy = self.box.root / "opt/wechat"
        copy.parent.mkdir(exist_ok=True)
        copy.write_bytes(binary.read_bytes())
        copy.chmod(0o755)
        accounts = [f"--account={appid}:{secret}" for appid, secret in SECRETS.items()]
        self.box.run("systemd-run", "--unit=wechat", "--collect", "--property=StandardOutput=null",
                     "/opt/wechat", "simulate", f"--listen=127.0.0.1:{WECHAT}", *accounts)
        wait_for("the simulated WeChat", lambda: self.answers(WECHAT, "/_sim/log"))

    def wechat(self, path, body=None):
        status, text = self.http(WECHAT, "POST" if body is not None else "GET", path, body)
        assert status == 200, f"{path}: {status} {text}"
        return json.loads(text)

    def calls(self):
        """How often WeChat was called, for whatever."""
        return self.wechat("/_sim/log")["last_seq"]

    # Sockets.

    def http(self, port, method, path, body=None, timeout=10, token=None):
        def ask():
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)
            text = None if body is None else json.dumps(body)
            headers = {"content-type": "application/json"} if text else {}
            if token:
                headers["authorization"] = f"Bearer {token}"
            connection.request(method, path, text, headers)
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        return self.network.submit(ask).result()

    def answers(self, port, path):
        try:
            return self.http(port, "GET", path)[0] == 200
        except OSError:
            return False

    def ready(self):
        wait_for("readiness", lambda: self.answers(ADMIN, "/readyz"), 40)

    def command(self, *args, check=True):
        """`zhongkong …` as root inside."""
        return self.box.run("/usr/bin/zhongkong", *args, check=check)

    def fingerprints(self):
        keys = json.loads(self.command("status", "--json").out)["keys"]
        return {(key["appid"], key["kind"]): (key["fingerprint"], key["generation"]) for key in keys}

    # Units.

    def show(self, *names, unit=UNIT):
        said = self.box.run("systemctl", "show", unit, "--property=" + ",".join(names)).out
        found = dict(line.split("=", 1) for line in said.splitlines() if "=" in line)
        return found[names[0]] if len(names) == 1 else tuple(found[name] for name in names)

    def systemctl(self, *args, check=True, timeout=120):
        return self.box.run("systemctl", *args, check=check, timeout=timeout)

    def pid(self):
        return int(self.show("MainPID"))

    def host_pid(self):
        """The main process as this machine numbers it."""
        inside = str(self.pid())
        for entry in os.listdir("/proc"):
            try:
                with open(f"/proc/{entry}/status") as status:
                    ids = next(line.split()[1:] for line in status if line.startswith("NSpid:"))
                if entry.isdigit() and len(ids) > 1 and ids[-1] == inside and \
                        os.readlink(f"/proc/{entry}/ns/pid") == os.readlink(f"/proc/{self.box.leader}/ns/pid"):
                    return int(entry)
            except (OSError, StopIteration):
                continue
        raise AssertionError(f"no process {inside} in the container")

    def wait_active(self, seconds=40, unless_pid=0):
        def look():
            state, sub, pid = self.show("ActiveState", "SubState", "MainPID")
            return state == "active" and sub == "running" and int(pid) not in (0, unless_pid)
        wait_for(f"{UNIT} active", look, seconds)

    def drop_in(self, name, text):
        """A change as `systemctl edit` makes it; without text it is taken back."""
        path = self.box.path(f"/etc/systemd/system/{UNIT}.d/{name}.conf")
        if text is None:
            path.unlink()
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        self.systemctl("daemon-reload")

    # Journal.

    def mark(self):
        said = self.box.run("journalctl", "--lines=0", "--show-cursor", "--quiet").out
        return said.split("cursor: ", 1)[1].strip()

    def journal(self, mark, unit=UNIT):
        return self.box.run("journalctl", f"--unit={unit}", f"--after-cursor={mark}", "--output=cat", "--quiet").out

    def says(self, mark, words, seconds=20):
        """Waits until the journal has these words of the unit."""
        wait_for(f"{words!r} in the journal", lambda: words in self.journal(mark), seconds)

    # Configuration.

    def configure(self, accounts=(APPID,), source="file", mistake=""):
        """The packaged file with WeChat's address, memcached and accounts, and perhaps a mistake."""
        text = self.packaged or self.box.path(CONFIG).read_text()
        self.packaged = text
        for old, new in [('#api_base = "https://api.weixin.qq.com"', f'api_base = "http://127.0.0.1:{WECHAT}"'),
                         ("#servers = []", 'servers = ["127.0.0.1:11211"]'),
                         ('#grace = "15s"', mistake or '#grace = "15s"')]:
            assert old in text, f"{old} is not in the packaged file"
            # The first: [serve] has a grace, too.
            text = text.replace(old, new, 1)
        for appid in accounts:
            secret = f'secret_credential = "{appid}"' if source == "credential" else f'secret_file = "/etc/zhongkong/secrets/{appid}"'
            text += f'\n[[account]]\nappid = "{appid}"\n{secret}\n'
        # In place, so that owner and mode stay those of the package.
        self.box.path(CONFIG).write_text(text)

    def write_secrets(self, owner="zhongkong"):
        for appid, secret in SECRETS.items():
            path = f"/etc/zhongkong/secrets/{appid}"
            self.box.run("install", "-o", owner, "-m", "600", "/dev/stdin", path, text=secret + "\n")


class Callers:
    """Programs that connect again and again, and count who was refused."""

    def __init__(self, site):
        self.site = site
        self.stop = threading.Event()
        self.answered, self.bad = 0, []
        self.threads = [threading.Thread(target=self.call, args=(what,), daemon=True) for what in ("admin", "grpc", "unix")]

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        wait_for("the first callers", lambda: self.answered > 20)
        return self

    def __exit__(self, *_):
        before = self.answered
        wait_for("callers after it", lambda: self.answered > before + 20, 40)
        self.stop.set()
        for thread in self.threads:
            thread.join(60)

    def call(self, what):
        self.site.enter_network()
        while not self.stop.is_set():
            try:
                getattr(self, what)()
                self.answered += 1
            except OSError as error:
                self.bad.append(f"{what}: {error!r}")
            time.sleep(0.002)

    def admin(self):
        connection = http.client.HTTPConnection("127.0.0.1", ADMIN, timeout=60)
        connection.request("GET", "/healthz", headers={"connection": "close"})
        status = connection.getresponse().status
        if status != 200:
            raise OSError(f"/healthz said {status}")

    def grpc(self):
        with socket.create_connection(("127.0.0.1", GRPC), timeout=60) as connection:
            self.greet(connection)

    def unix(self):
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(60)
            connection.connect(str(self.site.box.path("/run/zhongkong/grpc.sock")))
            self.greet(connection)

    @staticmethod
    def greet(connection):
        """HTTP/2's preface and empty settings; the server's own settings are its answer."""
        connection.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0\0\0\4\0\0\0\0\0")
        if not connection.recv(9):
            raise OSError("closed without a word")
