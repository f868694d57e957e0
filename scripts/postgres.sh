#!/usr/bin/env bash
# A private PostgreSQL cluster in a folder of its own; needs the postgresql package (15 or later), not its service.
#
#   PG_BASE=DIR scripts/postgres.sh start     make it when missing, start it, wait until it answers
#                                   stop      fast shutdown; the data stays
#                                   kill9     kill -9 of every process of it; `start` recovers from its log
#                                   restart   stop and start
#                                   status    "up PID" or "down"
#                                   env       DATABASE_URL=…, for `eval` or a test
#                                   destroy   stop it and delete the folder
#
# It listens on 127.0.0.1 only, on a free port picked at the first start and remembered, with a password of its own
# and no Unix socket. As durable as in production: fsync and synchronous_commit are on.
# PostgreSQL refuses to run as root: started by root, it runs as the user postgres, or nobody.
set -euo pipefail
umask 022
# shellcheck source=scripts/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

base=${PG_BASE:?set PG_BASE to the folder of the cluster}
bin=$(postgres_bin) || die "postgresql is not installed: run scripts/setup.sh test"

# as_server CMD…: runs CMD as the user of the server. It replaces the shell, so that a background job's pid is CMD's.
as_server() {
  local user=postgres
  [ "$EUID" = 0 ] || exec "$@"
  id -u $user >/dev/null 2>&1 || user=nobody
  exec setpriv --reuid="$user" --regid="$(id -g $user)" --clear-groups --inh-caps=-all "$@"
}

# Where the data is. A clone below a folder that only root may enter is out of the server's reach: then /var/tmp.
settle() {
  port='' password='' data=''
  # shellcheck source=/dev/null
  [ ! -f "$base/settings" ] || source "$base/settings"
  if [ -z "$data" ]; then
    data=$base/data
    if ! (as_server test -x "$base"); then
      data=$(mktemp -d /var/tmp/unstuck-postgres.XXXXXX)
      chmod 711 "$data"
      data=$data/data
    fi
  fi
  port=${port:-$(free_port)} password=${password:-$(secret)}
  (umask 077 && printf 'port=%s password=%s data=%q\n' "$port" "$password" "$data" >"$base/settings.new")
  mv "$base/settings.new" "$base/settings"
}

create() {
  rm -rf "$data" # left by an initdb that was interrupted
  mkdir -p "$data"
  (umask 077 && echo "$password" >"$data.password")
  [ "$EUID" != 0 ] || chown "$(as_server id -u):$(as_server id -g)" "$data" "$data.password"
  chmod 700 "$data"
  (as_server "$bin/initdb" -D "$data" -U unstuck --auth=scram-sha-256 --pwfile="$data.password" \
    --encoding=UTF8 --locale=C.UTF-8 </dev/null) >"$base/initdb.log" 2>&1 || { cat "$base/initdb.log" >&2; die "initdb failed"; }
  rm -f "$data.password"
  touch "$base/created"
}

boot() {
  # Nothing of ours: the server finds its data by -D, its settings on the command line.
  (cd / && as_server setsid "$bin/postgres" -D "$data" -p "$port" -c listen_addresses=127.0.0.1 \
    -c unix_socket_directories= -c fsync=on -c synchronous_commit=on -c max_connections=200 \
    -c timezone=UTC -c log_timezone=UTC) </dev/null >>"$base/postgres.log" 2>&1 9>&- &
  remember_pid "$base/pid" $!
  local end=$((SECONDS + 60))
  until PGCONNECT_TIMEOUT=2 "$bin/pg_isready" -q -h 127.0.0.1 -p "$port"; do
    running_pid "$base/pid" >/dev/null && [ "$SECONDS" -lt "$end" ] || return 1
    sleep 0.05
  done
}

start() {
  ! running_pid "$base/pid" >/dev/null || return 0
  [ -f "$base/created" ] || create
  local try
  for try in 1 2 3; do
    if port_taken "$port"; then # by somebody else since the folder was made: then the cluster moves
      sed -i 's/^port=[0-9]*/port=/' "$base/settings"
      settle
    fi
    ! boot || { have_database; return 0; }
    halt KILL
  done
  tail -n 20 "$base/postgres.log" >&2
  die "the cluster in $base did not start in $try tries"
}

# The database that `env` names, made at the first start.
have_database() {
  [ ! -f "$base/database" ] || return 0
  PGPASSWORD=$password "$bin/createdb" -h 127.0.0.1 -p "$port" -U unstuck unstuck
  touch "$base/database"
}

# halt SIGNAL: ends the server and returns when all its processes are gone. Nothing to do when it is down.
halt() {
  local pid child children=()
  if pid=$(running_pid "$base/pid"); then
    read -ra children <"/proc/$pid/task/$pid/children" || true
    kill "-$1" "$pid" 2>/dev/null || true
    # After a kill -9 its children end by themselves, but slowly, and a new server refuses to start beside them.
    [ "$1" != KILL ] || for child in "${children[@]}"; do kill -KILL "$child" 2>/dev/null || true; done
    until_gone "$pid" 60 || die "the server in $base does not end"
    for child in "${children[@]}"; do until_gone "$child" 10 || die "a process of the server in $base does not end"; done
    # All of them are gone. A zombie that nobody has reaped yet would still count as a running server.
    rm -f "$data/postmaster.pid"
  fi
  rm -f "$base/pid"
}

action=${1:-}
case $action in
  start | stop | kill9 | restart | status | env | destroy) ;;
  *) sed -n '2,/^set /s/^# \{0,1\}//p' "$0" >&2; exit 2 ;;
esac
case $action in start | restart) mkdir -p "$base" ;; esac
if [ ! -f "$base/settings" ]; then
  case $action in
    start | restart) ;;
    status) echo down; exit 0 ;;
    env) die "there is no cluster in $base: start one first" ;;
    *) exit 0 ;;
  esac
fi
base=$(cd "$base" && pwd)
case $action in start | stop | kill9 | restart | destroy)
  exec 9>"$base/lock"
  flock 9 # one change at a time
  ;;
esac
settle
case $action in
  start) start ;;
  stop) halt INT ;;
  kill9) halt KILL ;;
  restart) halt INT; start ;;
  status) if pid=$(running_pid "$base/pid"); then echo "up $pid"; else echo down; fi ;;
  env) echo "DATABASE_URL=postgres://unstuck:$password@127.0.0.1:$port/unstuck" ;;
  destroy)
    halt KILL
    [ "$data" = "$base/data" ] || rm -rf "$(dirname "$data")"
    rm -rf "$base"
    ;;
esac
