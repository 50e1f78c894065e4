# The two commands of the README are `make demo` and `make test`. Both work on a fresh Debian
# machine that has Rust, make and a C compiler (SQLite is built from source; no protoc).

CARGO ?= cargo

.PHONY: help demo test check fmt clippy unit docs bench needs-memcached needs-promtool

help:
	@echo 'make demo    a simulated WeChat and the daemon in one process; Ctrl-C ends it'
	@echo 'make test    format, lints, every test, documentation'
	@echo 'make bench   the figures of docs/performance.md'

demo:
	$(CARGO) build --bin zhongkong
	@$(CARGO) run --quiet --bin zhongkong -- demo

test: needs-memcached needs-promtool fmt clippy unit docs

fmt:
	$(CARGO) fmt --check

clippy:
	$(CARGO) clippy --all-targets -- -D warnings

# Unit tests, tests/it over real sockets, doc tests.
unit: needs-memcached needs-promtool
	$(CARGO) test

docs:
	RUSTDOCFLAGS='-D warnings' $(CARGO) doc --no-deps --document-private-items

bench:
	$(CARGO) bench

# The mirror is tested against Debian's memcached, a real one.
needs-memcached:
	@command -v memcached >/dev/null || test -x /usr/bin/memcached || { \
	  if [ "$$(id -u)" = 0 ]; then apt-get update -q && apt-get install -y -q memcached; \
	  elif sudo -n true 2>/dev/null; then sudo apt-get update -q && sudo apt-get install -y -q memcached; \
	  else echo 'The tests need memcached. Run:  sudo apt-get install memcached' >&2; exit 1; fi; }

# Alert rules and the format of /metrics are judged by promtool, of Debian's prometheus.
needs-promtool:
	@command -v promtool >/dev/null || { \
	  if [ "$$(id -u)" = 0 ]; then apt-get update -q && apt-get install -y -q --no-install-recommends prometheus; \
	  elif sudo -n true 2>/dev/null; then sudo apt-get update -q && sudo apt-get install -y -q --no-install-recommends prometheus; \
	  else echo 'The tests need promtool. Run:  sudo apt-get install --no-install-recommends prometheus' >&2; exit 1; fi; }
