#!/usr/bin/env bash
# `make bench`: the benchmark report, on a private RabbitMQ and PostgreSQL with their default settings.
#
# UNSTUCK_BENCH_SIZES (10000,1000000): how many finished tasks the page times are taken at.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=scripts/lib.sh
source scripts/lib.sh

dir=$PWD/.run/bench
mkdir -p "$dir"
exec 8>"$dir/lock"
flock --nonblock 8 || die "The benchmark runs in this checkout already."
export RMQ_BASE=$dir/rabbitmq PG_BASE=$dir/postgres
trap 'scripts/node.sh destroy || true; scripts/postgres.sh destroy || true' EXIT
trap 'exit 130' INT TERM HUP

scripts/setup.sh test 8>&-
flock .run/assets.lock node scripts/assets.mjs
for name in "${!UNSTUCK_@}"; do [[ $name == UNSTUCK_BENCH_* ]] || unset "$name"; done
(scripts/node.sh destroy && scripts/node.sh start) 8>&-
(scripts/postgres.sh destroy && scripts/postgres.sh start) 8>&-
eval "$(scripts/node.sh env)"
eval "$(scripts/postgres.sh env)"
export UNSTUCK_TEST_AMQP_URL=$AMQP_URL UNSTUCK_TEST_MANAGEMENT_URL=$MANAGEMENT_URL UNSTUCK_TEST_POSTGRES_URL=$DATABASE_URL
cargo bench --locked --bench report 8>&- | tee "$dir/report.md"
