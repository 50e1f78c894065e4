# The two commands of the README are `make demo` and `make test`. Both work on a fresh Debian
# machine that has Rust, make and a C compiler (SQLite is built from source; no protoc).

CARGO ?= cargo

# What the tests use besides Rust. Each is installed by its target, or the target says how.
NEEDS := needs-memcached needs-promtool needs-systemd needs-chromium needs-nginx needs-postgresql needs-wechatpy needs-npm-tools

# What stands beside ours in the benches, and nowhere else.
BENCH_NEEDS := needs-memcached needs-redis needs-bench-python needs-bench-node

.PHONY: help demo test js check fmt clippy unit docs instructions bench bench-page fuzz needs-cargo-fuzz deb test-systemd needs-nspawn needs-cargo-deb needs-valgrind $(NEEDS) $(BENCH_NEEDS)

help:
	@echo 'make demo    a simulated WeChat, the daemon and the business services in one process; Ctrl-C ends it'
	@echo 'make test    format, lints, every test, documentation'
	@echo 'make js      zhongkong.min.js, after a change of zhongkong.js'
	@echo 'make instructions   counts the hot paths anew, after a change that is meant to move them'
	@echo 'make bench   the figures of docs/performance.md'
	@echo 'make fuzz    what strangers may send to the message service, made up at random'
	@echo 'make deb     a Debian package in target/debian'
	@echo 'make test-systemd   as root: the package in a container, under a real systemd'

demo:
	$(CARGO) build --bin zhongkong
	@$(CARGO) run --quiet --bin zhongkong -- demo

test: $(NEEDS) fmt clippy unit docs

fmt:
	$(CARGO) fmt --check

clippy:
	$(CARGO) clippy --all-targets -- -D warnings

# Unit tests, tests/it over real sockets, doc tests.
# Then a search of all that they wrote for every value and secret that was in them.
unit: $(NEEDS) needs-valgrind
	tests/secrecy.sh $(CARGO) test

docs:
	RUSTDOCFLAGS='-D warnings' $(CARGO) doc --no-deps --document-private-items

# tests/instructions.toml anew. The commit that has it says why.
instructions: needs-valgrind
	ZHONGKONG_RENEW_INSTRUCTIONS=1 $(CARGO) test --quiet --test instructions hot_paths_take
	@cat tests/instructions.toml

# What is served of zhongkong.js; a test fails when it is not what the source gives.
JS := src/services/jssdk/script/zhongkong

js: needs-npm-tools
	target/npm/node_modules/.bin/terser $(JS).js --config-file tests/npm/terser.json --output $(JS).min.js

# Writes docs/performance.md, its plots and its data; of SCENARIOS only, if there are any. What cannot
# be installed is missing in its tables, and a scenario that fails is recorded there as failed; the
# others are run, and the end is not 0.
bench:
	-@$(MAKE) --no-print-directory --keep-going $(BENCH_NEEDS)
	$(CARGO) bench --no-fail-fast --bench heap --bench scale -- --write $(SCENARIOS)

# The same page from its words, benches/report/page.md, and the figures that are there.
bench-page:
	$(CARGO) bench --profile dev --bench heap -- --page

# Each fuzz target for so many seconds; fuzz/README.md says what they are. What was found on the way
# is in fuzz/found, from where the next run goes on.
FUZZ_SECONDS ?= 60
FUZZ_TARGETS = envelope xml json rules
# Without a sanitizer, which slows the search down: there is no unsafe code here to watch.
FUZZ_HOW = --fuzz-dir fuzz --sanitizer none --target-dir $(CURDIR)/target/fuzz
FUZZ_LIMITS = -max_total_time=$(FUZZ_SECONDS) -max_len=8192 -timeout=10 -dict=fuzz/words.dict -print_final_stats=1
FUZZ_SEEDS_xml = tests/data/messages

fuzz: needs-cargo-fuzz fuzz/Cargo.lock
	$(CARGO) +nightly fuzz build $(FUZZ_HOW)
	$(foreach target,$(FUZZ_TARGETS),$(call fuzz-one,$(target)))

define fuzz-one
@mkdir -p fuzz/found/$(1)
$(CARGO) +nightly fuzz run $(FUZZ_HOW) $(1) fuzz/found/$(1) fuzz/corpus/$(1) $(FUZZ_SEEDS_$(1)) -- $(FUZZ_LIMITS) || { \
  echo 'A fault was found: what brings it about is in fuzz/artifacts/$(1), the newest file. Show it again with' >&2; \
  echo '  $(CARGO) +nightly fuzz run $(FUZZ_HOW) $(1) FILE' >&2; \
  echo 'mend it with a test that has the input in it, and then remove the file.' >&2; exit 1; }

endef

# The versions that are built are the versions that are fuzzed.
fuzz/Cargo.lock: Cargo.lock
	cp Cargo.lock fuzz/Cargo.lock

needs-cargo-fuzz:
	@command -v rustup >/dev/null || { echo 'Fuzzing needs a nightly compiler, which rustup installs: see https://rustup.rs' >&2; exit 1; }
	@rustup toolchain list | grep -q '^nightly' || rustup toolchain install nightly --profile minimal
	@command -v cargo-fuzz >/dev/null || $(CARGO) install cargo-fuzz --version 0.13.2 --locked --target-dir target/cargo-fuzz

# The mirror is tested against Debian's memcached, a real one.
needs-memcached:
	@test -x /usr/bin/memcached || tests/needs.sh memcached memcached

# Reads are measured beside Debian's Redis.
needs-redis:
	@test -x /usr/bin/redis-server || tests/needs.sh Redis redis-server

# The message service is measured beside those of others, on the same bodies.
needs-bench-python:
	@cmp -s benches/peers/wechatpy/requirements.txt target/peers/python/installed || { \
	  python3 -c 'import ensurepip' 2>/dev/null || tests/needs.sh 'a virtual environment of Python' python3-venv; \
	  rm -rf target/peers/python && python3 -m venv target/peers/python && \
	  target/peers/python/bin/pip install --quiet --disable-pip-version-check -r benches/peers/wechatpy/requirements.txt && \
	  cp benches/peers/wechatpy/requirements.txt target/peers/python/installed || { \
	  echo 'Message services in Python could not be installed into target/peers/python: the benches leave them out.' >&2; exit 1; }; }

needs-bench-node:
	@cmp -s benches/peers/express/package-lock.json target/peers/node/installed || { \
	  command -v npm >/dev/null || tests/needs.sh npm nodejs npm; \
	  rm -rf target/peers/node && mkdir -p target/peers/node && \
	  cp benches/peers/express/package.json benches/peers/express/package-lock.json target/peers/node && \
	  npm ci --prefix target/peers/node --ignore-scripts --no-audit --no-fund --silent && \
	  cp benches/peers/express/package-lock.json target/peers/node/installed || { \
	  echo 'Message services on Node could not be installed into target/peers/node: the benches leave them out.' >&2; exit 1; }; }

# Alert rules and the format of /metrics are judged by promtool, of Debian's prometheus.
needs-promtool:
	@command -v promtool >/dev/null || tests/needs.sh promtool prometheus

# Pages are looked at in Debian's Chromium.
needs-chromium:
	@command -v chromium >/dev/null && command -v chromedriver >/dev/null || tests/needs.sh Chromium chromium chromium-driver

# Logins are asked for by a real proxy.
needs-nginx:
	@test -x /usr/sbin/nginx || tests/needs.sh nginx nginx-light

# Users and sessions are kept in a real PostgreSQL, by clusters that the tests make for themselves.
needs-postgresql:
	@ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || tests/needs.sh PostgreSQL postgresql

# systemd-analyze checks the units.
needs-systemd:
	@command -v systemd-analyze >/dev/null || tests/needs.sh systemd-analyze systemd

# Instructions of the hot paths are counted by callgrind. Where it cannot be had the test says so
# and passes: a machine without it tells nothing about them, and everything about the rest.
needs-valgrind:
	@command -v valgrind >/dev/null || tests/needs.sh valgrind valgrind || true

# The envelope, messages and replies are judged by wechatpy, of PyPI, in a virtual environment.
needs-wechatpy:
	@target/wechatpy/bin/python -c 'import wechatpy.crypto, jwt' 2>/dev/null || { \
	  python3 -c 'import ensurepip' 2>/dev/null || tests/needs.sh 'a virtual environment of Python' python3-venv; \
	  rm -rf target/wechatpy && python3 -m venv target/wechatpy && \
	  target/wechatpy/bin/pip install --quiet --disable-pip-version-check -r tests/peers/wechatpy.txt || { \
	  echo 'The tests need wechatpy from PyPI, which pip could not install into target/wechatpy.' >&2; exit 1; }; }

# What makes zhongkong.js small and checks its types, of npm; nothing of it is in the program.
needs-npm-tools:
	@cmp -s tests/npm/package-lock.json target/npm/installed || { \
	  command -v npm >/dev/null || tests/needs.sh npm nodejs npm; \
	  rm -rf target/npm && mkdir -p target/npm && cp tests/npm/package.json tests/npm/package-lock.json target/npm && \
	  npm ci --prefix target/npm --ignore-scripts --no-audit --no-fund --silent && \
	  cp tests/npm/package-lock.json target/npm/installed || { \
	  echo 'The tests need terser and typescript from npm, which could not be installed into target/npm.' >&2; exit 1; }; }

# The package, and what proves it. systemd/README.md and packaging/ say what is in it.
deb: needs-cargo-deb
	$(CARGO) build --release --bin zhongkong
	packaging/stage.sh target/release/zhongkong
	$(CARGO) deb --no-build --no-dbgsym --output target/debian/

# Of the debug build, which has the fail-points.
test-systemd: needs-nspawn needs-cargo-deb
	$(CARGO) build --bin zhongkong
	tests/systemd/packages.sh target/debug/zhongkong target/package-test
	tests/systemd/run target/debug/zhongkong target/package-test/zhongkong_0.1.0-1.deb target/package-test/zhongkong_0.1.1-1.deb

needs-nspawn:
	@test "$$(id -u)" = 0 || { echo 'A container needs root. Run:  sudo make test-systemd' >&2; exit 1; }
	@command -v systemd-nspawn >/dev/null && command -v debootstrap >/dev/null && command -v python3 >/dev/null || { \
	  apt-get update -q && apt-get install -y -q systemd-container debootstrap python3; }

needs-cargo-deb:
	@command -v cargo-deb >/dev/null || $(CARGO) install cargo-deb --version 3.8.0 --locked --target-dir target/cargo-deb
