#!/usr/bin/env bash
# Runs the tests given as arguments, then searches everything that the run wrote for every value
# and secret that was in it (S7). tests/it/support/record.rs keeps both.
#
#   tests/secrecy.sh cargo test
set -euo pipefail
cd "$(dirname "$0")/.."

record=$PWD/target/secrecy
rm -rf "$record"
mkdir -p "$record/output" "$record/canary"
ZHONGKONG_TEST_RECORD=$record "$@" 2>&1 | tee "$record/output/run"

fail() {
  echo "secrecy: $*" >&2
  exit 1
}

# A search for nothing, or in nothing, finds nothing.
test -s "$record/secrets.txt" || fail 'no secret was recorded: the recording is broken'
sort -u "$record/secrets.txt" >"$record/secrets"
secrets=$(wc -l <"$record/secrets")
outputs=$(find "$record/output" -type f | wc -l)
test "$secrets" -ge 1000 || fail "only $secrets parts of secrets were recorded: the recording is broken"
test "$outputs" -ge 100 || fail "only $outputs outputs were recorded: the recording is broken"
find "$record/output" -name '*-events' -size +100k | grep -q . || fail 'no events were recorded'

# Line numbers only: what is found must not be printed.
search() {
  LC_ALL=C grep -rnF -f "$record/secrets" "$1" | cut -d: -f1,2
}

# The search finds one among them that is planted, at the end of a long line.
{
  printf 'a line with much before it %0500d' 0
  shuf -n 1 "$record/secrets"
} >"$record/canary/planted"
test "$(search "$record/canary" || true)" = "$record/canary/planted:1" || fail 'the planted secret was not found'

found=$(search "$record/output" || true)
if test -n "$found"; then
  echo "$found" | head -50 >&2
  fail "secrets are in what was written: $(echo "$found" | wc -l) lines, see above"
fi
echo "secrecy: none of $secrets parts of secrets is in $(du -sh "$record/output" | cut -f1) of $outputs outputs"
rm -rf "$record"
