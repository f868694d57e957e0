#!/usr/bin/env bash
# Deletes what the other scripts made in this checkout. Private services of a run that was killed are stopped first;
# refuses while `make run` or `make test` is at work.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=scripts/lib.sh
source scripts/lib.sh

shopt -s nullglob
for lock in .run/*/lock; do
  flock --nonblock "$lock" true || die "$(dirname "$lock") is in use; stop that first"
done
for demo in .run/*/pid; do end_noted "$demo" 20; done
for folder in .run/*/rabbitmq; do RMQ_BASE=$folder scripts/node.sh destroy; done
for folder in .run/*/postgres; do PG_BASE=$folder scripts/postgres.sh destroy; done
rm -rf .run node_modules static/vendor
if command -v cargo >/dev/null; then cargo clean; fi
