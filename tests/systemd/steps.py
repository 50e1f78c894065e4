"""What happens to an installed daemon, in the order of its life. Each name is what is shown."""

import contextlib
import hashlib
import json
import os
import re
import signal
import socket
import sqlite3
import tempfile
import time
from pathlib import Path

from container import wait_for
from installed import ADMIN, APPID, CONFIG, GRPC, SECOND, SECRETS, SOCKET, UNIT, Callers

MESSAGES, MESSAGES_PORT, MESSAGES_ADMIN = "zhongkong-messages.service", 7790, 7791
LOGIN, LOGIN_PORT, LOGIN_ADMIN = "zhongkong-oauth.service", 7792, 7793
PAGES, PAGES_PORT, PAGES_ADMIN = "zhongkong-jssdk.service", 7794, 7795
BUSINESS, BUSINESS_PORT, BUSINESS_ADMIN = "zhongkong-business.service", 7796, 7797
PROGRAM = "a-business-programs-token-0123456789"
SEAL_KEY = "6b1f" * 16
MESSAGE_TOKEN, MESSAGE_KEY = "8fa35e1c7d90b624", "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG"
DEBIAN = {"DEBIAN_FRONTEND": "noninteractive"}
STEPS = []


def step(function):
    STEPS.append((function, False))
    return function


def needed(function):
    """A step without which the others have nothing to look at."""
    STEPS.append((function, True))
    return function


def install(site, package):
    target = site.box.path(f"/root/{package.name}")
    target.write_bytes(package.read_bytes())
    # As dpkg without questions: a changed configuration is kept.
    return site.box.run("dpkg", "--force-confold", "-i", f"/root/{package.name}", env=DEBIAN, timeout=120)


@needed
def a_fresh_installation_is_enabled_not_started_and_says_what_is_left_to_do(site):
    said = install(site, site.package).out
    for words in ("no account yet", "/etc/zhongkong/secrets/", "check-config", "systemctl start zhongkong"):
        assert words in said, said
    assert site.show("ActiveState", "UnitFileState") == ("inactive", "enabled")
    assert site.show("ActiveState", "UnitFileState", unit=SOCKET) == ("inactive", "enabled")
    modes = site.box.run("stat", "-c", "%a %U:%G", CONFIG, "/etc/zhongkong/secrets", "/var/lib/zhongkong", "/run/zhongkong").out
    assert modes.splitlines() == ["640 root:zhongkong", "750 root:zhongkong", "700 zhongkong:zhongkong", "755 zhongkong:zhongkong"], modes
    # The file as it was packaged is a good one, for the user that the daemon has.
    checked = site.box.run("runuser", "-u", "zhongkong", "--", "/usr/bin/zhongkong", "check-config")
    assert checked.out.startswith("ok: 0 accounts, 1 client"), checked
    for path in ("bash-completion/completions/zhongkong", "zsh/vendor-completions/_zhongkong",
                 "fish/vendor_completions.d/zhongkong.fish", "man/man1/zhongkong.1.gz", "man/man1/zhongkong-status.1.gz",
                 "man/man1/zhongkong-serve.1.gz", "man/man1/zhongkong-messages-send.1.gz", "man/man5/zhongkong.toml.5.gz",
                 "doc/zhongkong/examples/rules.toml"):
        # This root leaves manual pages out of no package: debootstrap has no such filter.
        assert site.box.path(f"/usr/share/{path}").exists(), path


@needed
def a_start_is_over_when_every_credential_has_a_value_and_not_before(site):
    site.start_wechat(site.executable)
    site.write_secrets()
    site.configure()
    # WeChat holds its answer back: the daemon runs, and is not ready.
    site.wechat("/_sim/faults", {"endpoint": "stable_token", "fault": "hold_answer"})
    mark = site.mark()
    site.systemctl("start", "--no-block", UNIT)
    wait_for("the call that is held", lambda: site.wechat("/_sim/state")["held"] == 1)
    assert site.show("ActiveState") == "activating"
    assert site.http(ADMIN, "GET", "/readyz")[0] == 503
    site.wechat("/_sim/release", {})
    site.wait_active(10)
    assert site.http(ADMIN, "GET", "/readyz")[0] == 200
    assert site.show("ActiveState", unit=SOCKET) == "active"
    wait_for("the status line", lambda: re.match(r"1 key fresh", site.show("StatusText")))
    assert "Started zhongkong.service" in site.journal(mark), site.journal(mark)


@step
def root_reads_a_token_on_the_unix_socket_and_memcached_has_its_copy(site):
    value = site.command("get", APPID).out.strip()
    assert len(value) > 20, "a token"
    # memcached's text protocol, in the container's network.
    def copy():
        with socket.create_connection(("127.0.0.1", 11211), timeout=5) as memcached:
            memcached.sendall(f"get zhongkong:{APPID}:access_token\r\n".encode())
            return memcached.recv(4096).decode()
    assert value in wait_for("the copy", lambda: (text := site.network.submit(copy).result()) != "END\r\n" and text)


@step
def the_process_has_no_privilege_and_its_files_are_its_own(site):
    pid = site.pid()
    status = dict(line.split(":\t", 1) for line in site.box.path(f"/proc/{pid}/status").read_text().splitlines() if ":\t" in line)
    user = site.box.run("id", "-u", "zhongkong").out.strip()
    assert status["Uid"].split() == [user] * 4, status["Uid"]
    assert {status[name] for name in ("CapEff", "CapPrm", "CapBnd", "CapAmb", "CapInh")} == {"0" * 16}
    assert (status["NoNewPrivs"], status["Seccomp"]) == ("1", "2")
    limits = site.box.path(f"/proc/{pid}/limits").read_text()
    # The daemon raised the soft limit to all that it was granted (this machine may cap the unit's
    # number), and no filter kept it from that.
    soft, hard = re.search(r"Max open files +(\d+) +(\d+)", limits).groups()
    assert soft == hard and int(hard) > 1024, limits
    assert site.show("LimitNOFILE") == "524288"
    assert re.search(r"Max core file size +0 +0", limits), limits
    modes = site.box.run("sh", "-c", "cd /var/lib/zhongkong && stat -c '%a %U %n' . *").out.splitlines()
    assert modes[0] == "700 zhongkong ." and len(modes) > 1, modes
    assert all(line.startswith("600 zhongkong ") for line in modes[1:]), modes
    # Nobody else can write where it reads, and it cannot write elsewhere.
    assert site.box.run("stat", "-c", "%a %U:%G", "/run/zhongkong/grpc.sock").out.strip() == "660 zhongkong:zhongkong"
    other = site.box.run("runuser", "-u", "nobody", "--", "/usr/bin/zhongkong", "status", check=False)
    assert other.code == 1, other
    # What a sandbox could have taken away from the figures about the process itself.
    metrics = site.http(ADMIN, "GET", "/metrics")[1]
    for name in ("process_resident_memory_bytes", "process_open_fds", "process_start_time_seconds"):
        assert name not in metrics or re.search(rf"^{name} [1-9]", metrics, re.M), name


@step
def the_journal_has_levels_and_fields_and_no_secret(site):
    pid = site.pid()
    said = site.box.run("journalctl", f"ZHONGKONG_APP={APPID}", f"_PID={pid}", "--output=json", "--quiet").out
    entries = [json.loads(line) for line in said.splitlines()]
    # Its level is the journal's: `journalctl -p warning` shows what somebody should look at.
    assert entries and all(entry["PRIORITY"] == "6" and entry["SYSLOG_IDENTIFIER"] == "zhongkong" for entry in entries), said
    everything = site.box.run("journalctl", "--output=export").out
    for secret in (*SECRETS.values(), site.command("get", APPID).out.strip()):
        # The simulated WeChat has its secrets as arguments, which systemd logs.
        lines = [line for line in everything.splitlines() if secret in line and "/opt/wechat" not in line]
        assert not lines, lines[:3]


@step
def doctor_finds_nothing_wrong_with_an_installation(site):
    found = site.command("doctor", check=False)
    assert found.code == 0 and "fail" not in found.out.split(), found


@step
def a_good_file_is_taken_over_by_a_reload_in_the_same_process(site):
    pid, mark = site.pid(), site.mark()
    site.configure(accounts=(APPID, SECOND))
    site.systemctl("reload", UNIT)
    site.says(mark, "configuration taken over")
    wait_for("the new account's value", lambda: len(site.fingerprints()) == 2 and all(key[0] for key in site.fingerprints().values()))
    assert site.pid() == pid and site.show("ActiveState", "NRestarts") == ("active", "0")


@step
def a_reload_with_a_broken_file_is_refused_and_says_why_while_the_old_one_goes_on(site):
    pid, mark, before = site.pid(), site.mark(), site.fingerprints()
    site.configure(mistake='grase = "5s"')
    refused = site.systemctl("reload", UNIT, check=False)
    assert refused.code != 0 and "failed" in refused.err, refused
    site.says(mark, "did you mean grace")
    assert "configuration taken over" not in site.journal(mark)
    assert site.show("ActiveState", "NRestarts") == ("active", "0") and site.pid() == pid
    assert site.fingerprints() == before
    site.configure(accounts=(APPID, SECOND))
    site.systemctl("reload", UNIT)


@step
def a_kill_9_is_answered_by_a_start_that_keeps_the_tokens_and_calls_nobody(site):
    pid, before, calls = site.pid(), site.fingerprints(), site.calls()
    restarts = int(site.show("NRestarts"))
    with Callers(site) as callers:
        os.kill(site.host_pid(), signal.SIGKILL)
        site.wait_active(20, unless_pid=pid)
    site.ready()
    assert int(site.show("NRestarts")) == restarts + 1
    assert site.fingerprints() == before
    assert site.calls() == calls, "WeChat was called"
    # A killed process takes its accepted connections with it; nobody new is turned away.
    refused = [text for text in callers.bad if "Refused" in text or "No such file" in text]
    assert not refused, refused[:5]


@step
def a_stuck_hub_starves_the_watchdog_though_every_thread_is_alive(site):
    quick = "[Service]\nWatchdogSec=2s\nTimeoutAbortSec=1s\n"
    # Well for eight questions of the watchdog, four in 2 s, and never again.
    site.drop_in("watchdog", quick + "Environment=ZHONGKONG_FAILPOINTS=hub.block=block:8\n")
    site.systemctl("restart", UNIT)
    pid, before, calls, mark = site.pid(), site.fingerprints(), site.calls(), site.mark()
    begun, restarts = time.monotonic(), int(site.show("NRestarts"))
    # The next one is well for good; this one keeps the environment that it has.
    site.drop_in("watchdog", quick)
    site.says(mark, "Watchdog timeout")
    assert time.monotonic() - begun > 2, "it was bitten while it was fed"
    site.says(mark, "Failed with result 'watchdog'")
    site.wait_active(20, unless_pid=pid)
    site.ready()
    assert int(site.show("NRestarts")) == restarts + 1
    assert (site.fingerprints(), site.calls()) == (before, calls)


@step
def a_process_that_is_stopped_is_ended_by_the_watchdog_and_a_healthy_one_is_not(site):
    pid, before, calls, mark = site.pid(), site.fingerprints(), site.calls(), site.mark()
    # Well fed, it lives longer than its watchdog's time.
    time.sleep(3)
    assert site.pid() == pid, "the watchdog bit a healthy daemon"
    restarts = int(site.show("NRestarts"))
    os.kill(site.host_pid(), signal.SIGSTOP)
    site.says(mark, "Failed with result 'watchdog'")
    site.wait_active(20, unless_pid=pid)
    assert int(site.show("NRestarts")) == restarts + 1
    site.ready()
    assert (site.fingerprints(), site.calls()) == (before, calls)
    site.drop_in("watchdog", None)
    site.systemctl("restart", UNIT)


@step
def a_restart_refuses_no_connection(site):
    pid, before, calls = site.pid(), site.fingerprints(), site.calls()
    with Callers(site) as callers:
        for _ in range(3):
            site.systemctl("restart", UNIT)
    assert site.pid() != pid
    assert not callers.bad, callers.bad[:5]
    assert (site.fingerprints(), site.calls()) == (before, calls)


@step
def secrets_come_as_credentials_that_nobody_else_can_open(site):
    # Only root can read the files now, and the daemon has the directory's copies.
    site.write_secrets(owner="root")
    lines = "".join(f"LoadCredential={appid}:/etc/zhongkong/secrets/{appid}\n" for appid in SECRETS)
    site.drop_in("credentials", "[Service]\n" + lines)
    site.configure(accounts=(APPID, SECOND), source="credential")
    site.systemctl("restart", UNIT)
    # The daemon proves the secret: WeChat refuses another one.
    answer = json.loads(site.command("refresh", APPID, "--force", "--json").out)
    assert answer["outcome"] == "refreshed", answer
    # The check before a reload sees them as well.
    site.systemctl("reload", UNIT)
    directory = f"/run/credentials/{UNIT}"
    assert site.box.run("cat", f"{directory}/{APPID}").out.strip() == SECRETS[APPID]
    for path in (f"{directory}/{APPID}", f"/etc/zhongkong/secrets/{APPID}"):
        denied = site.box.run("runuser", "-u", "nobody", "--", "cat", path, check=False)
        assert denied.code != 0 and "Permission denied" in denied.err, denied
    denied = site.box.run("runuser", "-u", "zhongkong", "--", "cat", f"/etc/zhongkong/secrets/{APPID}", check=False)
    assert denied.code != 0, denied
    # All files of a directory at once, as Debian's systemd can.
    site.drop_in("credentials", "[Service]\nLoadCredential=secrets:/etc/zhongkong/secrets\n")
    text = site.box.path(CONFIG).read_text().replace('secret_credential = "', 'secret_credential = "secrets_')
    site.box.path(CONFIG).write_text(text)
    site.systemctl("restart", UNIT)
    site.drop_in("credentials", None)
    site.write_secrets()
    site.configure(accounts=(APPID, SECOND))
    site.systemctl("restart", UNIT)


@step
def the_message_service_gets_its_secrets_answers_the_consoles_check_and_reloads(site):
    # Everything that an administrator does: secrets, the drop-in of the examples, a rule, a client.
    for name, text in (("shop-token", MESSAGE_TOKEN), ("shop-aes-key", MESSAGE_KEY)):
        site.box.run("install", "-m", "600", "/dev/stdin", f"/etc/zhongkong/secrets/{name}", text=text + "\n")
    example = site.box.path("/usr/share/doc/zhongkong/examples/messages-credentials.conf").read_text()
    drop_in = site.box.path(f"/etc/systemd/system/{MESSAGES}.d/credentials.conf")
    drop_in.parent.mkdir(parents=True)
    drop_in.write_text(example)
    site.systemctl("daemon-reload")
    rules = site.box.path("/etc/zhongkong/rules.toml")
    rules.write_text('[[rule]]\nname = "hello"\nwhen.content = "hello"\nreply = "from the unit"\n')
    rules.chmod(0o644)
    user = site.box.run("id", "-u", "zhongkong-messages").out.strip()
    packaged = site.box.path(CONFIG).read_text()
    text = packaged
    for example, real in [('#: rules = "rules.toml"', 'rules = "/etc/zhongkong/rules.toml"'),
                          ('#: file = "/var/log/zhongkong-messages/messages.log"', 'file = "/var/log/zhongkong-messages/messages.log"')]:
        assert text.count(example) == 1, f"{example} is not in the packaged file"
        text = text.replace(example, real)
    site.box.path(CONFIG).write_text(text + f"""
[[messages.account]]
appid = "{APPID}"
path = "shop"
token_credential = "shop-token"
aes_key_credential = "shop-aes-key"
[[client]]
name = "messages"
uid = {user}
accounts = ["*"]
actions = ["read", "complain"]
""")
    # The file names accounts and holds no secret; the service reads it by its group.
    site.systemctl("reload", UNIT)
    mark = site.mark()
    site.systemctl("start", MESSAGES)
    assert site.show("ActiveState", "User", unit=MESSAGES) == ("active", "zhongkong-messages")
    # WeChat's console asks for the URL, and somebody without the Token does.
    assert site.http(MESSAGES_PORT, "GET", verification("5Abc")) == (200, "5Abc")
    assert site.http(MESSAGES_PORT, "GET", verification("5Abc", token="other"))[0] == 403
    credentials = f"/run/credentials/{MESSAGES}"
    send = ("messages", "send", f"http://127.0.0.1:{MESSAGES_PORT}/wechat/shop", "text", "Content=hello", f"--appid={APPID}",
            f"--token-file={credentials}/shop-token", f"--aes-key-file={credentials}/shop-aes-key")
    # Over the Unix socket the daemon knows its uid: late answers could be sent.
    wait_for("the link to the daemon", lambda: 'zhongkong_daemon_reachable{service="messages"} 1' in site.http(MESSAGES_ADMIN, "GET", "/metrics")[1])
    assert site.http(MESSAGES_ADMIN, "GET", "/readyz") == (200, "ready\n")
    assert "from the unit" in site.command(*send).out
    found = site.command("doctor", check=False)
    assert "fail" not in found.out.split() and "Message service" in found.out, found
    # A new rule, and the same process.
    pid = site.show("MainPID", unit=MESSAGES)
    rules.write_text('[[rule]]\nname = "hello"\nwhen.content = "hello"\nreply = "from the reload"\n')
    site.systemctl("reload", MESSAGES)
    wait_for("the new rule", lambda: "from the reload" in site.command(*send).out)
    assert site.show("MainPID", unit=MESSAGES) == pid
    wait_for("the status line", lambda: site.show("StatusText", unit=MESSAGES) == "1 account, 1 rule, 0 programs")
    log = site.box.path("/var/log/zhongkong-messages/messages.log").read_text()
    assert '"handler":"rules: hello"' in log and "from the unit" not in log, log
    site.systemctl("stop", MESSAGES)
    assert site.show("ActiveState", "Result", "ExecMainStatus", unit=MESSAGES) == ("inactive", "success", "0")
    said = site.journal(mark, MESSAGES)
    assert MESSAGE_TOKEN not in said and MESSAGE_KEY not in said and "SIGKILL" not in said, said
    # As if it had never been there.
    site.box.path(CONFIG).write_text(packaged)
    site.box.run("rm", "-rf", str("/etc/systemd/system/" + MESSAGES + ".d"), "/etc/zhongkong/rules.toml",
                 "/etc/zhongkong/secrets/shop-token", "/etc/zhongkong/secrets/shop-aes-key")
    site.systemctl("daemon-reload")
    site.systemctl("reload", UNIT)


@step
def the_login_and_js_sdk_services_run_beside_the_daemon_as_users_of_their_own(site):
    # Everything that an administrator does: the seal key, the drop-in of the examples, sections, clients, a ticket.
    site.box.run("install", "-m", "600", "/dev/stdin", "/etc/zhongkong/secrets/oauth-seal-keys", text=f"2026:{SEAL_KEY}\n")
    example = site.box.path("/usr/share/doc/zhongkong/examples/oauth-credentials.conf").read_text()
    drop_in = site.box.path(f"/etc/systemd/system/{LOGIN}.d/credentials.conf")
    drop_in.parent.mkdir(parents=True)
    drop_in.write_text(example)
    site.systemctl("daemon-reload")
    users = [site.box.run("id", "-u", name).out.strip() for name in ("zhongkong-oauth", "zhongkong-jssdk")]
    packaged = site.box.path(CONFIG).read_text()
    text = packaged
    for example, real in [('#: base_url = "https://wx.example.com"', 'base_url = "https://wx.example.com"'),
                          ('#: seal_keys_credential = "oauth-seal-keys"', 'seal_keys_credential = "oauth-seal-keys"'),
                          (f'\n[[account]]\nappid = "{APPID}"\n', f'\n[[account]]\nappid = "{APPID}"\ntickets = ["jsapi_ticket"]\n')]:
        assert text.count(example) == 1, f"{example} is not in the packaged file"
        text = text.replace(example, real)
    site.box.path(CONFIG).write_text(text + f"""
[[oauth.account]]
appid = "{APPID}"
path = "shop"
[[jssdk.account]]
appid = "{APPID}"
path = "shop"
hosts = ["h5.example.com"]
[[client]]
name = "oauth"
uid = {users[0]}
accounts = ["*"]
actions = ["exchange"]
[[client]]
name = "jssdk"
uid = {users[1]}
accounts = ["*"]
kinds = ["jsapi_ticket"]
actions = ["read"]
""")
    site.systemctl("reload", UNIT)
    mark = site.mark()
    site.systemctl("start", LOGIN, PAGES)
    assert site.show("ActiveState", "User", unit=LOGIN) == ("active", "zhongkong-oauth")
    assert site.show("ActiveState", "User", unit=PAGES) == ("active", "zhongkong-jssdk")
    # A login goes to WeChat, not to where a stranger's link would have it; nobody is logged in yet.
    assert site.http(LOGIN_PORT, "GET", "/oauth/shop/login?return_to=%2Fcart")[0] == 302
    assert site.http(LOGIN_PORT, "GET", "/oauth/shop/login?return_to=%2F%2Fevil.example")[0] == 400
    assert site.http(LOGIN_PORT, "GET", "/oauth/me")[0] == 401
    modes = site.box.run("stat", "-c", "%a %U", "/var/lib/zhongkong-oauth", "/var/lib/zhongkong-oauth/oauth.db").out
    assert modes.splitlines() == ["700 zhongkong-oauth", "600 zhongkong-oauth"], modes
    # A page is signed when the ticket is there, a foreign one never.
    page = "/jssdk/shop/config?url=https%3A%2F%2Fh5.example.com%2Fa"
    wait_for("a signature", lambda: site.answers(PAGES_PORT, page))
    assert json.loads(site.http(PAGES_PORT, "GET", page)[1])["url"] == "https://h5.example.com/a"
    assert site.http(PAGES_PORT, "GET", "/jssdk/shop/config?url=https%3A%2F%2Fevil.example%2Fa")[0] == 403
    for port in (LOGIN_ADMIN, PAGES_ADMIN):
        wait_for("readiness without a but", lambda: site.http(port, "GET", "/readyz") == (200, "ready\n"))
    # A reload keeps the processes.
    pids = [site.show("MainPID", unit=unit) for unit in (LOGIN, PAGES)]
    site.systemctl("reload", LOGIN, PAGES)
    assert [site.show("MainPID", unit=unit) for unit in (LOGIN, PAGES)] == pids
    site.systemctl("stop", LOGIN, PAGES)
    for unit in (LOGIN, PAGES):
        assert site.show("ActiveState", "Result", "ExecMainStatus", unit=unit) == ("inactive", "success", "0")
        assert SEAL_KEY not in site.journal(mark, unit)
    # As if they had never been there, but for the users' database.
    site.box.path(CONFIG).write_text(packaged)
    site.box.run("rm", "-rf", f"/etc/systemd/system/{LOGIN}.d", "/etc/zhongkong/secrets/oauth-seal-keys")
    site.systemctl("daemon-reload")
    site.systemctl("reload", UNIT)


@step
def the_service_of_menus_and_codes_knows_its_callers_by_the_daemon(site):
    # Everything that an administrator does: a client of the daemon's for the program. The service needs none.
    packaged = site.box.path(CONFIG).read_text()
    site.box.path(CONFIG).write_text(packaged + f"""
[[client]]
name = "crm"
token_sha256 = "{hashlib.sha256(PROGRAM.encode()).hexdigest()}"
accounts = ["{APPID}"]
actions = ["read", "complain"]
""")
    site.systemctl("reload", UNIT)
    mark = site.mark()
    site.systemctl("start", BUSINESS)
    assert site.show("ActiveState", "User", unit=BUSINESS) == ("active", "zhongkong-business")
    wait_for("readiness without a but", lambda: site.http(BUSINESS_ADMIN, "GET", "/readyz") == (200, "ready\n"))
    menu = f"/business/v1/{APPID}/menu"
    assert site.http(BUSINESS_PORT, "GET", menu)[0] == 401
    assert site.http(BUSINESS_PORT, "GET", menu, token="somebody-elses-token")[0] == 401
    assert site.http(BUSINESS_PORT, "GET", menu.replace(APPID, "wx-of-nobody"), token=PROGRAM)[0] == 403
    buttons = {"button": [{"type": "click", "name": "n", "key": "k"}]}
    status, pushed = site.http(BUSINESS_PORT, "PUT", menu + "?why=unit", buttons, token=PROGRAM)
    assert status == 200 and json.loads(pushed)["changed"], pushed
    modes = site.box.run("stat", "-c", "%a %U", "/var/lib/zhongkong-business", "/var/lib/zhongkong-business/business.db").out
    assert modes.splitlines() == ["700 zhongkong-business", "600 zhongkong-business"], modes
    # root's commands use the same file, and leave it to the service.
    history = json.loads(site.command("menu", "history", "--account", APPID, "--json").out)
    assert history["pushes"][0]["why"] == "unit", history
    site.command("menu", "delete", "--account", APPID, "--yes")
    status, back = site.http(BUSINESS_PORT, "POST", menu + "/rollback", {"number": 1}, token=PROGRAM)
    assert status == 200, back
    pid = site.show("MainPID", unit=BUSINESS)
    site.systemctl("reload", BUSINESS)
    assert site.show("MainPID", unit=BUSINESS) == pid
    # A start knows what the process before it left open, and neither waits for that nor refuses others.
    site.systemctl("stop", BUSINESS)
    # Of a copy: SQLite follows the link by which a file of the container is seen, to a path out here.
    inside = site.box.path("/var/lib/zhongkong-business/business.db")
    assert not inside.with_name("business.db-wal").exists()
    with tempfile.NamedTemporaryFile(suffix=".db") as copy:
        Path(copy.name).write_bytes(inside.read_bytes())
        with contextlib.closing(sqlite3.connect(copy.name)) as database:
            database.execute("PRAGMA journal_mode = DELETE")
            open_again = "UPDATE menu_pushes SET state = 'open', is_current = 0, ended = NULL WHERE kind = 'rollback'"
            assert database.execute(open_again).rowcount == 1
            database.commit()
        inside.write_bytes(Path(copy.name).read_bytes())
    site.systemctl("start", BUSINESS)
    buttons["button"][0]["key"] = "other"
    status, pushed = site.http(BUSINESS_PORT, "PUT", menu + "?why=again", buttons, token=PROGRAM)
    assert status == 200, pushed
    site.systemctl("stop", BUSINESS)
    assert site.show("ActiveState", "Result", "ExecMainStatus", unit=BUSINESS) == ("inactive", "success", "0")
    assert PROGRAM not in site.journal(mark, BUSINESS)
    # As if it had never been there, but for its database.
    site.box.path(CONFIG).write_text(packaged)
    site.systemctl("reload", UNIT)


def verification(echo, token=None):
    """What WeChat's console asks for when an address is entered."""
    timestamp = str(int(time.time()))
    signed = "".join(sorted([token or MESSAGE_TOKEN, timestamp, "n0nce"]))
    signature = hashlib.sha1(signed.encode()).hexdigest()
    return f"/wechat/shop?signature={signature}&timestamp={timestamp}&nonce=n0nce&echostr={echo}"


@step
def an_upgrade_of_the_running_daemon_replaces_it_and_refuses_no_connection(site):
    pid, before, calls = site.pid(), site.fingerprints(), site.calls()
    with Callers(site) as callers:
        install(site, site.newer)
        site.wait_active(unless_pid=pid)
    assert not callers.bad, callers.bad[:5]
    version = site.box.run("dpkg-query", "-W", "-f", "${Version}", "zhongkong").out
    assert version in site.newer.name, version
    exe = os.readlink(f"/proc/{site.host_pid()}/exe")
    assert exe == "/usr/bin/zhongkong", exe
    assert (site.fingerprints(), site.calls()) == (before, calls)
    # The administrator's file is kept, with its owner and mode.
    assert APPID in site.box.path(CONFIG).read_text()
    assert site.box.run("stat", "-c", "%a %U:%G", CONFIG).out.strip() == "640 root:zhongkong"


@step
def a_stop_is_clean_and_quick_and_a_stopped_daemon_stays_stopped(site):
    mark, begun = site.mark(), time.monotonic()
    site.systemctl("stop", SOCKET, UNIT)
    assert time.monotonic() - begun < 5
    assert site.show("ActiveState", "Result", "ExecMainStatus") == ("inactive", "success", "0")
    said = site.journal(mark)
    assert "Deactivated successfully" in said and "SIGKILL" not in said, said
    assert not site.answers(ADMIN, "/healthz")
    assert not site.box.path("/run/zhongkong/grpc.sock").exists()
    assert site.show("ActiveState") == "inactive"


@step
def the_first_caller_starts_a_daemon_whose_socket_alone_is_up(site):
    site.systemctl("start", SOCKET)
    assert site.show("ActiveState") == "inactive"
    assert site.answers(ADMIN, "/healthz")
    site.wait_active()


@step
def a_wrong_file_at_the_start_ends_it_with_2_and_no_second_try(site):
    site.systemctl("stop", SOCKET, UNIT)
    restarts, mark = site.show("NRestarts"), site.mark()
    site.configure(mistake='grase = "5s"')
    assert site.systemctl("start", UNIT, check=False).code != 0
    assert site.show("ActiveState", "ExecMainStatus") == ("failed", "2")
    site.says(mark, "did you mean grace")
    time.sleep(2)
    assert site.show("ActiveState", "NRestarts") == ("failed", restarts)
    site.configure(accounts=(APPID, SECOND))
    site.systemctl("restart", UNIT)


@step
def a_wrong_file_is_not_tried_for_ever_for_a_caller_that_waits(site):
    site.configure(mistake='grase = "5s"')
    site.systemctl("stop", UNIT)
    mark = site.mark()
    waiting = site.network.submit(socket.create_connection, ("127.0.0.1", GRPC), 5).result()
    wait_for("the end of the tries", lambda: site.show("ActiveState", "Result", unit=SOCKET) == ("failed", "trigger-limit-hit"), 45)
    wait_for("the last try", lambda: site.show("ActiveState", "ExecMainStatus") == ("failed", "2"))
    tries = site.journal(mark).count("did you mean grace")
    assert tries <= 25, f"{tries} tries"
    waiting.close()
    site.configure(accounts=(APPID, SECOND))
    site.systemctl("start", UNIT)
    site.ready()
    assert site.show("ActiveState", unit=SOCKET) == "active"


@step
def an_upgrade_leaves_a_daemon_alone_that_was_stopped(site):
    # Another machine has its accounts now: a second daemon would kill its tokens.
    site.systemctl("stop", SOCKET, UNIT)
    install(site, site.newer)
    assert site.show("ActiveState") == "inactive"
    assert site.show("ActiveState", unit=SOCKET) == "inactive"
    site.systemctl("start", UNIT)
    site.ready()


@step
def the_message_service_is_set_up_as_its_page_says_and_an_upgrade_restarts_it(site):
    run = site.box.run
    for name, text in (("shop-token", "Token0OfShop"), ("shop-aes-key", "Key0" * 10 + "Key")):
        run("install", "-o", "zhongkong-messages", "-m", "600", "/dev/stdin", f"/etc/zhongkong/secrets/{name}", text=text + "\n")
    run("install", "-m", "644", "/usr/share/doc/zhongkong/examples/rules.toml", "/etc/zhongkong/rules.toml")
    uid = run("id", "-u", "zhongkong-messages").out.strip()
    text = site.box.path(CONFIG).read_text()
    assert '#: rules = "rules.toml"' in text
    text = text.replace('#: rules = "rules.toml"', 'rules = "rules.toml"') + f"""
[[messages.account]]
appid = "{APPID}"
path = "shop"
token_file = "/etc/zhongkong/secrets/shop-token"
aes_key_file = "/etc/zhongkong/secrets/shop-aes-key"
[[client]]
name = "messages"
uid = {uid}
accounts = ["{APPID}"]
kinds = ["access_token"]
actions = ["read", "complain"]
"""
    site.box.path(CONFIG).write_text(text)
    site.command("check-config")
    site.command("serve", "messages", "--check")
    site.systemctl("reload", UNIT)
    site.systemctl("enable", "--now", MESSAGES)

    def answers():
        url = "http://127.0.0.1:7790/wechat/shop"
        said = site.command("messages", "send", url, "text", "Content=hours", "--account", "shop").out
        assert "the user sees: \"We are there" in said, said

    answers()
    # Known to the daemon by its uid, so that late answers can be sent.
    reachable = lambda: 'zhongkong_daemon_reachable{service="messages"} 1' in site.http(MESSAGES_ADMIN, "GET", "/metrics")[1]
    wait_for("a token of the daemon", reachable, 40)
    pid = site.show("MainPID", unit=MESSAGES)
    install(site, site.newer)
    assert site.show("ActiveState", unit=MESSAGES) == "active"
    assert site.show("MainPID", unit=MESSAGES) != pid
    answers()


@step
def removing_keeps_the_state_and_a_new_installation_goes_on_with_the_same_tokens(site):
    before, calls = site.fingerprints(), site.calls()
    site.box.run("dpkg", "--remove", "zhongkong", env=DEBIAN)
    assert not site.box.path("/usr/bin/zhongkong").exists()
    assert not site.answers(ADMIN, "/healthz") and not site.answers(MESSAGES_ADMIN, "/healthz")
    loaded = site.show("LoadState", "ActiveState")
    assert loaded[0] in ("masked", "not-found") and loaded[1] in ("inactive", "failed"), loaded
    for kept in (CONFIG, f"/etc/zhongkong/secrets/{APPID}", "/var/lib/zhongkong/ledger.db"):
        assert site.box.path(kept).exists(), kept
    install(site, site.newer)
    # An account is configured: it runs at once.
    site.wait_active()
    site.ready()
    assert (site.fingerprints(), site.calls()) == (before, calls)


@step
def purging_leaves_no_file_and_spares_what_a_link_leads_to(site):
    # The administrator put the logs elsewhere.
    site.box.run("sh", "-c", "mkdir /srv/logs && touch /srv/logs/kept && rm -rf /var/log/zhongkong && ln -s /srv/logs /var/log/zhongkong")
    # So are changes to the units, and rules.
    site.box.run("rm", "-rf", f"/etc/systemd/system/{UNIT}.d", "/etc/zhongkong/rules.toml")
    site.box.run("dpkg", "--purge", "zhongkong", env=DEBIAN)
    left = site.box.run("find", "/etc", "/usr", "/lib", "/var", "/run", "-xdev", "-name", "*zhongkong*",
                        "-not", "-path", "/var/log/zhongkong", "-not", "-path", "/run/systemd/*").out
    kept = {"/usr/lib/sysusers.d/zhongkong.conf", "/usr/lib/sysusers.d/zhongkong-messages.conf",
            "/usr/lib/sysusers.d/zhongkong-services.conf"}
    assert set(left.split()) <= kept, left
    assert site.box.path("/srv/logs/kept").exists()
    assert site.box.run("id", "zhongkong").code == 0, "the user stays"


@step
def after_a_purge_an_installation_is_a_fresh_one(site):
    said = install(site, site.package).out
    assert "no account yet" in said, said
    assert site.show("ActiveState", "UnitFileState") == ("inactive", "enabled")
    site.box.run("dpkg", "--purge", "zhongkong", env=DEBIAN)
