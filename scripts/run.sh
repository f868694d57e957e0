#!/usr/bin/env bash
# `make run`: the demo, from nothing to a page in the browser. Ctrl-C stops all that it started.
#
# Everything it makes is in .run/N/: a private RabbitMQ node, the SQLite database, the log. N is 1, or the next free number
# when another one is running, so that two of them never meet. UNSTUCK_AMQP_URL in the environment names a RabbitMQ to use
# instead; UNSTUCK_LISTEN an address instead of 127.0.0.1:8080 or the next free port.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=scripts/lib.sh
source scripts/lib.sh

# Takes the folder of this run for as long as it lives: the lock ends with the process, however that ends.
take_folder() {
  local n
  if [ -n "${UNSTUCK_AMQP_URL:-}" ]; then
    # Tasks belong to the broker that carries them: a folder for each, used by one run at a time.
    dir=.run/broker-$(cksum <<<"$UNSTUCK_AMQP_URL" | cut -d' ' -f1)
    mkdir -p "$dir"
    exec 8>"$dir/lock"
    flock --nonblock 8 || die "A demo runs on the broker of UNSTUCK_AMQP_URL already; two would take each other's tasks."
    return
  fi
  for ((n = 1; ; n++)); do
    dir=.run/$n
    mkdir -p "$dir"
    exec 8>"$dir/lock"
    ! flock --nonblock 8 || return 0
  done
}

# Stops the demo first, while its broker is there, then the broker.
# shellcheck disable=SC2317 # called by the trap
stop_all() {
  trap '' INT TERM HUP
  [ -z "$building" ] || kill -TERM -- "-$building" 2>/dev/null || true
  [ ! -f "$dir/pid" ] || say "Stopping …"
  end_noted "$dir/pid" 20
  [ ! -d "$dir/rabbitmq" ] || RMQ_BASE=$dir/rabbitmq scripts/node.sh stop
}

mkdir -p .run
take_folder
building='' node=''
trap stop_all EXIT
trap 'exit 0' INT TERM HUP
end_noted "$dir/pid" 20 # of an earlier run in this folder that was killed

scripts/setup.sh run 8>&-
if [ -z "${UNSTUCK_AMQP_URL:-}" ]; then
  RMQ_BASE=$dir/rabbitmq scripts/node.sh start 8>&- & # boots while the rest is built
  node=$!
fi
setsid scripts/build.sh </dev/null 8>&- & # in the background, so that a signal is answered at once
building=$!
wait $building
building=
if [ -n "$node" ]; then
  wait "$node" || die "The private RabbitMQ node did not start; its log is in $dir/rabbitmq/log."
  eval "$(RMQ_BASE=$dir/rabbitmq scripts/node.sh env)"
  export UNSTUCK_AMQP_URL=$AMQP_URL UNSTUCK_MANAGEMENT_URL=$MANAGEMENT_URL
fi

# The address: as asked for, else the same as last time, else 8080, else any free port.
if [ -z "${UNSTUCK_LISTEN:-}" ]; then
  port=$(cat "$dir/port" 2>/dev/null || echo 8080)
  if port_taken "$port"; then port=$(free_port); fi
  echo "$port" >"$dir/port"
  UNSTUCK_LISTEN=127.0.0.1:$port
fi
if [ ! -s .run/password ]; then (umask 077 && secret >.run/password.$$ && mv .run/password.$$ .run/password); fi

export UNSTUCK_LISTEN UNSTUCK_DATABASE_URL=sqlite://$PWD/$dir/unstuck.db UNSTUCK_DATA_DIR=$PWD/$dir/data
export UNSTUCK_ADMIN_EMAIL=admin@example.com UNSTUCK_ADMIN_PASSWORD
UNSTUCK_ADMIN_PASSWORD=$(cat .run/password)
"${CARGO_TARGET_DIR:-target}/release/unstuck" demo </dev/null >"$dir/unstuck.log" 2>&1 8>&- &
demo=$!
remember_pid "$dir/pid" $demo

url=http://$UNSTUCK_LISTEN
end=$((SECONDS + 60))
until curl -sf -o /dev/null --max-time 2 "$url/healthz"; do
  if [ -z "$(started $demo)" ] || [ $SECONDS -ge $end ]; then
    tail -n 20 "$dir/unstuck.log" >&2
    die "The demo did not start; its log is $dir/unstuck.log."
  fi
  sleep 0.1
done
cat <<TEXT

  Unstuck is running at  $url/admin

      e-mail    $UNSTUCK_ADMIN_EMAIL
      password  $UNSTUCK_ADMIN_PASSWORD

  Tasks come in steadily, and troubles are staged again and again; give them a minute. Then look at
      $url/admin           the ledger: what the database expects of each queue, what RabbitMQ holds
      $url/admin/stalls    stalled tasks, why, and on what evidence; requeue them and see them finish
      $url/admin/tasks     every task, its timeline and attempts
      $url/report          what a user sees who wants to report a problem
      $url/api/docs        the API
  RabbitMQ's own view: ${UNSTUCK_MANAGEMENT_URL:-as of your broker}
  Log: $dir/unstuck.log

  Ctrl-C stops everything.

TEXT
status=0
wait $demo || status=$?
tail -n 20 "$dir/unstuck.log" >&2
die "The demo ended by itself (status $status); its log is $dir/unstuck.log."
