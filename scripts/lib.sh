# shellcheck shell=bash
# What the scripts beside this one share. Sourced, never run.

# `say` and `die` speak on standard error: standard output belongs to what a script prints for others to read.
say() { printf '%s\n' "$*" >&2; }
die() { say "$*"; exit 1; }

# started PID: when the process started, in clock ticks since boot. Prints nothing when it is gone or a zombie.
started() {
  local stat
  { stat=$(<"/proc/$1/stat"); } 2>/dev/null || return 0
  read -ra stat <<<"${stat##*) }" # the name before `)` may hold spaces
  [ "${stat[0]}" = Z ] || printf '%s' "${stat[19]}"
}

# remember_pid FILE PID: notes the process in FILE with its start time, so that the pid of a dead one
# which the system gave to a stranger later is never taken for ours.
remember_pid() { printf '%s %s\n' "$2" "$(started "$2")" >"$1"; }

# running_pid FILE: prints the noted pid and succeeds while that very process lives.
running_pid() {
  local pid at
  [ -f "$1" ] && read -r pid at <"$1" && [ -n "$at" ] && [ "$(started "$pid")" = "$at" ] && printf '%s' "$pid"
}

# until_gone PID SECONDS: waits for the end of a process; fails when it outlives the time.
until_gone() {
  local tries=$(($2 * 50))
  while [ -n "$(started "$1")" ]; do
    [ $((tries--)) -gt 0 ] || return 1
    sleep 0.02
  done
}

# end_noted FILE SECONDS: asks the noted process to end, kills it when it has not after the time. Returns when it is gone.
end_noted() {
  local pid
  if pid=$(running_pid "$1"); then
    kill -TERM "$pid" 2>/dev/null || true
    until_gone "$pid" "$2" || { kill -KILL "$pid" 2>/dev/null; until_gone "$pid" 10; } || true
  fi
  rm -f "$1"
}

# port_taken PORT: succeeds when something listens there on 127.0.0.1.
port_taken() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

# free_port: a port nobody listens on, below the range the system gives to outgoing connections.
free_port() {
  local port
  while port=$((RANDOM % 12000 + 20000)); port_taken "$port"; do :; done
  printf '%s' "$port"
}

# secret: 24 random letters and digits.
secret() { head -c 300 /dev/urandom | LC_ALL=C tr -dc 'A-HJ-NP-Za-km-z2-9' | head -c 24 || true; }

# Where things are. Each prints a path and succeeds when it is there.

# The folder of rabbitmq-server and rabbitmqctl. Debian's /usr/sbin/rabbitmq* are wrappers that change the user and drop
# the environment.
rabbitmq_sbin() { newest /usr/lib/rabbitmq/lib/rabbitmq_server-*/sbin/rabbitmq-server; }

# The folder of the newest PostgreSQL server's programs; `postgres_version` is its major version, 0 for none.
postgres_bin() { newest /usr/lib/postgresql/*/bin/initdb; }
postgres_version() { basename "$(dirname "$(postgres_bin || echo 0/0)")"; }

# A Chromium or Chrome; CHROMIUM names another.
find_chromium() { command -v "${CHROMIUM:-chromium}" || command -v chromium-browser || command -v google-chrome; }

# A Python with the AMQP client pika; PYTHON names another.
python_with_pika() {
  local python
  for python in "${PYTHON:-/usr/bin/python3}" python3; do
    if "$python" -c 'import importlib.util as u, sys; sys.exit(u.find_spec("pika") is None)' 2>/dev/null; then
      command -v "$python"
      return
    fi
  done
  return 1
}

# newest FILE…: the folder of the last of the files by version, of those that exist.
newest() {
  local last
  last=$(printf '%s\n' "$@" | sort -V | tail -1)
  [ -x "$last" ] && dirname "$last"
}
