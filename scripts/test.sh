#!/usr/bin/env bash
# `make test`: every test, on real services. The last line is the count: "N passed, N failed".
#
#   scripts/test.sh [fast|faults|lab|browser|NAME…]
#
# fast leaves out the fault, model and browser tests; faults is the fault tests and the full forms of the protocol's model,
# the kill sweep and the fault lab, lab the lab alone as LAB_… ask for it (docs/fault-lab.md); any other word is a filter
# for the names of the Rust tests.
# Starts a RabbitMQ node and a PostgreSQL cluster of its own in .run/test/ and stops them at the end, however that comes;
# the logs stay there. UNSTUCK_TEST_AMQP_URL with UNSTUCK_TEST_MANAGEMENT_URL, or UNSTUCK_TEST_POSTGRES_URL, name others
# to use. Fails when a test fails, is skipped, or never ends.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=scripts/lib.sh
source scripts/lib.sh

dir=$PWD/.run/test
mkdir -p "$dir"
exec 8>"$dir/lock"
flock --nonblock 8 || die "The tests run in this checkout already."

mark=$$.$RANDOM$RANDOM passed=0 failed=0
# The fault tests and the full lab drive the program as it is shipped.
programs=debug limit=35m
if [ "${1:-}" = faults ]; then programs=release limit=4h; fi

# Ends what is still running, then the services, and prints the count: whether the tests ended, could not start or were
# interrupted. Whatever ended early counts as one failure.
finish() {
  local status=$?
  trap '' INT TERM HUP
  end_step
  RMQ_BASE=$dir/rabbitmq scripts/node.sh destroy || true
  PG_BASE=$dir/postgres scripts/postgres.sh destroy || true
  [ $((passed + failed)) != 0 ] && [ $status = 0 ] || failed=$((failed + (failed == 0)))
  echo "$passed passed, $failed failed" | tee "$dir/count"
  [ "$failed" = 0 ] || exit $((status ? status : 1))
}
trap finish EXIT
trap 'exit 130' INT TERM HUP

# Kills every process that the running step started, whatever session it moved to: they carry the step's mark in their
# environment. Says which ones a test left behind.
end_step() {
  local file pid
  while read -r file; do
    pid=${file//[!0-9]/}
    [ -n "$(started "$pid")" ] || continue
    say "left running: $({ tr '\0' ' ' <"/proc/$pid/cmdline"; } 2>/dev/null | cut -c1-150)"
    kill -KILL "$pid" 2>/dev/null || true
  done < <(grep -salz "^TEST_STEP=$mark$" /proc/[0-9]*/environ || true)
}

# run NAME CMD…: runs a step, shows its output and keeps it in NAME.log. Its status is the command's.
run() {
  local log=$dir/$1.log status=0 step shown
  shift
  : >"$log" # the watcher below may be first
  TEST_STEP=$mark setsid timeout --foreground --kill-after=30 $limit "$@" </dev/null >"$log" 2>&1 8>&- &
  step=$!
  tail -n +1 -f --pid=$step "$log" 8>&- &
  shown=$!
  wait $step || status=$?
  end_step
  wait $shown || true
  return $status
}

# count LOG: adds the results that `cargo test` wrote to the log. A skipped test counts as failed.
count() {
  local words
  while read -ra words; do # test result: ok. 12 passed; 0 failed; 0 ignored; …
    passed=$((passed + words[3])) failed=$((failed + words[5] + words[7]))
  done < <(grep -aE '^test result: ' "$1" || true)
}

# The Rust tests; the arguments are those of `cargo test`.
rust() {
  local before=$failed status=0
  run rust cargo test --locked --no-fail-fast "$@" || status=$?
  count "$dir/rust.log"
  # Not built, crashed or out of time: no test says so.
  if [ $status != 0 ] && [ "$failed" = "$before" ]; then failed=$((failed + 1)); fi
}

# The fault lab, alone: it fills the machine by itself, and what it times must not wait for other tests.
lab() { rust --test it -- --nocapture lab::; }

# The browser tests, of the program that the Rust tests were built with: node's own runner, its counts in a file beside
# what is shown. Two files at once, in the order of their names: much of a journey is waiting, and the longest file comes early.
browser() {
  local files=(tests/browser/*.test.mjs) before=$failed status=0 tap=$dir/browser.tap key number
  [ -e "${files[0]}" ] || return 0
  run browser node --test --test-concurrency=2 --test-reporter=spec --test-reporter-destination=stdout \
    --test-reporter=tap --test-reporter-destination="$tap" "${files[@]}" || status=$?
  while read -r _ key number; do
    case $key in
      pass) passed=$((passed + number)) ;;
      fail | cancelled | skipped | todo) failed=$((failed + number)) ;;
    esac
  done < <(grep -aE '^# (pass|fail|cancelled|skipped|todo) [0-9]+$' "$tap" || true)
  if [ $status != 0 ] && [ "$failed" = "$before" ]; then failed=$((failed + 1)); fi
}

scripts/setup.sh test 8>&-
flock .run/assets.lock node scripts/assets.mjs --dev

# A developer's own settings must not reach the tests.
for name in "${!UNSTUCK_@}"; do [[ $name == UNSTUCK_TEST_* ]] || unset "$name"; done

services=()
if [ -z "${UNSTUCK_TEST_AMQP_URL:-}" ]; then
  export RMQ_BASE=$dir/rabbitmq RMQ_FAST=1
  (scripts/node.sh destroy && exec scripts/node.sh start) 8>&- & # both start while the tests are built
  services+=($!)
fi
if [ -z "${UNSTUCK_TEST_POSTGRES_URL:-}" ]; then
  export PG_BASE=$dir/postgres
  (scripts/postgres.sh destroy && exec scripts/postgres.sh start) 8>&- &
  services+=($!)
fi
built=0
[ $programs = debug ] || run shipped scripts/build.sh || built=$?
run build cargo test --locked --no-run || built=$?
for service in "${services[@]}"; do wait "$service" || die "a private service did not start"; done
if [ -z "${UNSTUCK_TEST_AMQP_URL:-}" ]; then
  eval "$(scripts/node.sh env)"
  export UNSTUCK_TEST_AMQP_URL=$AMQP_URL UNSTUCK_TEST_MANAGEMENT_URL=$MANAGEMENT_URL
fi
if [ -z "${UNSTUCK_TEST_POSTGRES_URL:-}" ]; then
  eval "$(scripts/postgres.sh env)"
  export UNSTUCK_TEST_POSTGRES_URL=$DATABASE_URL
fi
unset RMQ_BASE RMQ_FAST PG_BASE # tests that start nodes of their own say where
UNSTUCK_TEST_PYTHON=$(python_with_pika)
CHROMIUM=$(find_chromium)
export UNSTUCK_TEST_PYTHON CHROMIUM UNSTUCK_BIN=${CARGO_TARGET_DIR:-$PWD/target}/$programs/unstuck

if [ $built != 0 ]; then
  failed=1
else
  case ${1:-all} in
    all)
      rust -- --skip lab::
      export LAB_SEED=${LAB_SEED:-1} # the same each time; other seeds are for `make faults`
      lab
      browser
      ;;
    fast) rust -- --skip faults:: --skip lab:: --skip model:: --skip browser ;;
    lab) lab ;;
    faults)
      export UNSTUCK_TEST_SOAK_S=${UNSTUCK_TEST_SOAK_S:-300}
      if [ -z "${LAB_ONLY:-}" ]; then
        rust --test it -- --skip sweep:: faults::
        UNSTUCK_TEST_MODEL=full UNSTUCK_TEST_SWEEP=full rust --test it -- --nocapture model:: sweep::
        export LAB_REPORT=${LAB_REPORT:-$PWD/docs/detector-report.md}
      fi
      export LAB_FORM=${LAB_FORM:-full}
      lab
      ;;
    browser) browser ;;
    *) rust -- "$@" ;;
  esac
fi
