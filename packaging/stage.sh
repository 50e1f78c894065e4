#!/bin/sh
# Lays out in target/package what a .deb needs besides the executable:
#
#   packaging/stage.sh EXECUTABLE
#
# Completions and manual pages are what the executable itself prints, so that they cannot fall
# behind it. `make deb` calls this.
set -eu
cd "$(dirname "$0")/.."
executable=$1
out=target/package
rm -rf "$out"
mkdir -p "$out/man"
"$executable" man "$out/man" >/dev/null
for shell in bash zsh fish; do
    "$executable" completions "$shell" >"$out/completions.$shell"
done

# The configuration is the example with every key. Some of its lines are made real: the user, so
# that `zhongkong start` by root does not run as root; the journal, which knows levels and fields;
# the Unix socket with a client for root, so that root can ask the daemon from the first minute on.
sed -e '/^#listen = \["127.0.0.1:7780"\]$/d' \
    -e 's|^#: \(listen = \["127.0.0.1:7780", "unix:/run/zhongkong/grpc.sock"\]\)$|\1|' \
    -e 's|^#: \(user = "zhongkong"\)$|\1|' \
    -e 's|^#format = "text"$|format = "journald"|' \
    config.toml >"$out/config.toml"
cat >>"$out/config.toml" <<'END'

# root on this machine, known by its uid on the Unix socket: `sudo zhongkong status`.
[[client]]
name = "root"
uid = 0
accounts = ["*"]
actions = ["read", "complain", "force", "status", "admin"]
END
for line in 'user = "zhongkong"' 'format = "journald"' 'listen = ["127.0.0.1:7780", "unix:/run/zhongkong/grpc.sock"]'; do
    grep -qxF "$line" "$out/config.toml" || {
        echo "packaging/stage.sh: config.toml has no example any more that says: $line" >&2
        exit 1
    }
done
# This machine need not have the user.
grep -v '^user = ' "$out/config.toml" >"$out/checked.toml"
"$executable" check-config --config "$out/checked.toml" >/dev/null 2>"$out/warnings" || {
    cat "$out/warnings" >&2
    exit 1
}
rm "$out/checked.toml" "$out/warnings"
