#!/usr/bin/env bash
# A private RabbitMQ node in a folder of its own; needs the rabbitmq-server package, not its service.
#
#   RMQ_BASE=DIR scripts/node.sh start     start it and wait until it answers; nothing to do when it is up
#                                stop      clean stop, its epmd too; the data stays
#                                kill9     kill -9: no clean stop; `start` brings it back with its data
#                                sync      write down which quorum queues exist. RabbitMQ does so up to 5 s after a
#                                          declare; killed before, it forgets the queue's confirmed messages
#                                wait      wait until AMQP and management answer
#                                status    "up PID" or "down"
#                                env       AMQP_URL=… and MANAGEMENT_URL=…, for `eval` or a test
#                                ctl ARG…  rabbitmqctl on this node
#                                destroy   stop it and delete the folder
#
# Free ports are picked at the first start and remembered in the folder, as are the options. Everything listens on
# 127.0.0.1; cookie, epmd, log and data are the folder's own, so any number of nodes run side by side, as root or not.
# Options: RMQ_FAST=1 (statistics right after 1-2 s instead of 10), RMQ_CONSUMER_TIMEOUT_MS (the broker's deadline
# for acknowledgements, then checked each second), RMQ_PORT and RMQ_HTTP (ports instead of free ones).
set -euo pipefail
umask 077
# shellcheck source=scripts/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

base=${RMQ_BASE:?set RMQ_BASE to the folder of the node}
sbin=$(rabbitmq_sbin) || die "rabbitmq-server is not installed: run scripts/setup.sh"

# Fixes ports and options of the node: those remembered, overruled by those in the environment.
settle() {
  local asked_fast=${RMQ_FAST:-} asked_timeout=${RMQ_CONSUMER_TIMEOUT_MS:-}
  amqp='' http='' dist='' epmd='' fast='' consumer_timeout_ms=''
  # shellcheck source=/dev/null
  [ ! -f "$base/settings" ] || source "$base/settings"
  fast=${asked_fast:-$fast} consumer_timeout_ms=${asked_timeout:-$consumer_timeout_ms}
  amqp=${RMQ_PORT:-${amqp:-$(free_port)}} http=${RMQ_HTTP:-${http:-$(free_port)}}
  dist=${dist:-$(free_port)} epmd=${epmd:-$(free_port)}
  printf '%s\n' "amqp=$amqp http=$http dist=$dist epmd=$epmd" "fast=$fast consumer_timeout_ms=$consumer_timeout_ms" \
    >"$base/settings.new"
  mv "$base/settings.new" "$base/settings"
}

# The environment of the node and of rabbitmqctl. No file of the system's own RabbitMQ is read or written.
environment() {
  local name
  for name in "${!RABBITMQ_@}" NOTIFY_SOCKET; do unset "$name"; done
  export HOME="$base/home" # the Erlang cookie is made there
  export RABBITMQ_NODENAME=unstuck@localhost RABBITMQ_NODE_IP_ADDRESS=127.0.0.1 RABBITMQ_NODE_PORT="$amqp" RABBITMQ_DIST_PORT="$dist"
  export RABBITMQ_MNESIA_BASE="$base/data" RABBITMQ_LOG_BASE="$base/log" RABBITMQ_PID_FILE="$base/rabbitmq.pid"
  export RABBITMQ_CONFIG_FILE="$base/etc/rabbitmq.conf" RABBITMQ_CONFIG_FILES="$base/etc/conf.d"
  export RABBITMQ_ADVANCED_CONFIG_FILE="$base/etc/advanced.config" RABBITMQ_CONF_ENV_FILE="$base/etc/rabbitmq-env.conf"
  export RABBITMQ_ENABLED_PLUGINS_FILE="$base/etc/enabled_plugins"
  export ERL_EPMD_PORT="$epmd" ERL_EPMD_ADDRESS=127.0.0.1 ERL_CRASH_DUMP="$base/log/erl_crash.dump"
  local loopback="-kernel inet_dist_use_interface {127,0,0,1}" # else the distribution port is open to the network
  export RABBITMQ_CTL_ERL_ARGS="$loopback"
  # A shared machine: the schedulers sleep at once instead of spinning for work.
  export RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS="$loopback +sbwt none +sbwtdcpu none +sbwtdio none"
  export RUNNING_UNDER_SYSTEMD=true # the start script then becomes the VM, so that its pid is the node's
  export LC_ALL=C.UTF-8
}

configure() {
  mkdir -p "$base"/{data,log,home,etc/conf.d}
  : >"$base/etc/rabbitmq-env.conf"
  echo '[rabbitmq_management].' >"$base/etc/enabled_plugins"
  {
    printf '%s\n' "listeners.tcp.default = 127.0.0.1:$amqp" "management.tcp.ip = 127.0.0.1" "management.tcp.port = $http" \
      "log.file.level = info" "log.console = false" "disk_free_limit.absolute = 50MB"
    [ -z "$fast" ] || printf '%s\n' "collect_statistics_interval = 1000" \
      "management.sample_retention_policies."{global,basic}".minute = 1" \
      "management.sample_retention_policies."{global,basic}".hour = 60" \
      "management.sample_retention_policies.detailed.10 = 1"
  } >"$base/etc/rabbitmq.conf"
  local rabbit=()
  [ -z "$fast" ] || rabbit+=("{quorum_tick_interval,1000}")
  [ -z "$consumer_timeout_ms" ] || rabbit+=("{consumer_timeout,$consumer_timeout_ms}" "{channel_tick_interval,1000}")
  local IFS=,
  echo "[{rabbit,[${rabbit[*]}]}]." >"$base/etc/advanced.config"
}

# Succeeds when both ports answer. About 10 ms a try: rabbitmqctl would cost a second of CPU each time.
answers() { curl -sf -o /dev/null --max-time 2 -u guest:guest "http://127.0.0.1:$http/api/health/checks/port-listener/$amqp"; }

# Waits up to 90 s; fails as soon as the node's process has ended.
until_ready() {
  local end=$((SECONDS + 90))
  until answers; do
    running_pid "$base/pid" >/dev/null && [ "$SECONDS" -lt "$end" ] || return 1
    sleep 0.1
  done
}

boot() {
  configure
  if ! running_pid "$base/epmd.pid" >/dev/null; then
    setsid epmd -port "$epmd" -address 127.0.0.1 </dev/null >"$base/log/epmd.out" 2>&1 9>&- &
    remember_pid "$base/epmd.pid" $!
  fi
  setsid "$sbin/rabbitmq-server" </dev/null >"$base/log/console.out" 2>&1 9>&- &
  remember_pid "$base/pid" $!
  until_ready
}

stays_taken() {
  local try
  for try in {1..50}; do
    port_taken "$1" || return 1
    sleep 0.2
  done
}

start() {
  local try port
  if running_pid "$base/pid" >/dev/null; then
    until_ready || die "the node in $base does not answer; its log is in $base/log"
    return
  fi
  for try in 1 2 3; do
    # A port may have been taken by somebody else since the folder was made, for a moment or for good: then the node moves.
    for port in "$amqp" "$http" "$dist" $(running_pid "$base/epmd.pid" >/dev/null || echo "$epmd"); do
      if stays_taken "$port"; then
        say "port $port is taken: the node in $base moves"
        stop_epmd
        rm -f "$base/settings"
        settle
        environment
        break
      fi
    done
    ! boot || return 0
    halt KILL
  done
  tail -n 20 "$base"/log/*.out "$base"/log/*.log >&2 || true
  die "the node in $base did not start in $try tries"
}

# halt SIGNAL: ends the node and returns when it is gone. Nothing to do when it is down.
halt() {
  local pid
  if pid=$(running_pid "$base/pid"); then
    kill "-$1" "$pid" 2>/dev/null || true
    until_gone "$pid" 30 || { kill -KILL "$pid"; until_gone "$pid" 10; }
  fi
  rm -f "$base/pid"
}

stop_epmd() {
  local pid
  if pid=$(running_pid "$base/epmd.pid"); then
    kill "$pid" 2>/dev/null || true
    until_gone "$pid" 5
  fi
  rm -f "$base/epmd.pid"
}

action=${1:-}
case $action in
  start | stop | kill9 | sync | wait | status | env | ctl | destroy) shift ;;
  *) sed -n '2,/^set /s/^# \{0,1\}//p' "$0" >&2; exit 2 ;;
esac
if [ "$action" = start ]; then mkdir -p "$base"; fi
if [ ! -f "$base/settings" ]; then
  case $action in
    start) ;;
    status) echo down; exit 0 ;;
    stop | destroy) exit 0 ;;
    *) die "there is no node in $base: start one first" ;;
  esac
fi
base=$(cd "$base" && pwd)
case $action in start | stop | kill9 | destroy)
  exec 9>"$base/lock"
  flock 9 # one change at a time
  ;;
esac
settle
environment
case $action in
  start) start ;;
  stop) halt TERM; stop_epmd ;;
  kill9) halt KILL ;;
  sync) "$sbin/rabbitmqctl" -q -n "$RABBITMQ_NODENAME" eval '[ok = dets:sync(T) || T <- dets:all()], ok.' >/dev/null ;;
  wait) until_ready || die "the node in $base does not answer" ;;
  status) if pid=$(running_pid "$base/pid"); then echo "up $pid"; else echo down; fi ;;
  env) printf '%s\n' "AMQP_URL=amqp://guest:guest@127.0.0.1:$amqp/%2f" "MANAGEMENT_URL=http://guest:guest@127.0.0.1:$http" ;;
  ctl) exec "$sbin/rabbitmqctl" -n "$RABBITMQ_NODENAME" "$@" ;;
  destroy) halt KILL; stop_epmd; rm -rf "$base" ;;
esac
