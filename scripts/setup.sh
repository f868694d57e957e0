#!/usr/bin/env bash
# Installs what is missing to run Unstuck from source, or to test it. Debian 12 or later, or a like Ubuntu.
#
#   scripts/setup.sh [run|test]
#
# Needs the Rust toolchain, which it only looks for; the rest comes from apt-get (with sudo when not root). Never starts,
# stops or changes a RabbitMQ or PostgreSQL service: the scripts run private ones from the same packages. `run` asks for no
# RabbitMQ when UNSTUCK_AMQP_URL names one. Under a second when nothing is missing.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=scripts/lib.sh
source scripts/lib.sh

what=${1:-run}
case $what in run | test) ;; *) die "usage: scripts/setup.sh [run|test]" ;; esac

# The Rust toolchain, at least the rust-version of Cargo.toml.
check_rust() {
  local wanted found
  wanted=$(sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml)
  has cargo || die "Rust's toolchain is missing. Get it from https://rustup.rs, for example
  curl --proto '=https' --tlsv1.2 -sSf https://sh.rustup.rs | sh
then open a new shell, so that cargo is on the PATH."
  found=$(cargo --version | cut -d' ' -f2)
  at_least "$found" "$wanted" || die "Rust $wanted or later is needed, this is $found. Run: rustup update stable"
}

has() { command -v "$1" >/dev/null 2>&1; }
at_least() { [ "$(printf '%s\n' "$1" "$2" | sort -V | head -1)" = "$2" ]; }

# Prints the packages that are missing.
missing() {
  has cc || echo gcc libc6-dev
  has curl || echo curl ca-certificates
  has git || echo git
  if ! has node; then
    echo nodejs npm
  elif ! has npm; then
    echo npm
  fi
  [ "$what" = run ] && [ -n "${UNSTUCK_AMQP_URL:-}" ] || rabbitmq_sbin >/dev/null || echo rabbitmq-server
  [ "$what" = test ] || return 0
  at_least "$(postgres_version)" 15 || echo postgresql
  find_chromium >/dev/null || echo chromium
  has fc-list && [ -n "$(fc-list :lang=zh-cn family)" ] || echo fontconfig fonts-noto-cjk
  python_with_pika >/dev/null || echo python3 python3-pika
  has strace || echo strace
  compgen -G '/usr/lib/*/faketime/libfaketimeMT.so.1' >/dev/null || echo libfaketime
  has prlimit || echo util-linux
}

# Keeps the packages' services from starting, now and at the next boot, without touching what is there already.
# The policy file is Debian's way to forbid starts; a machine's own is put back at the end.
quietly_install() {
  local packages=("$@") policy=/usr/sbin/policy-rc.d no_cluster=/etc/postgresql-common/createcluster.d/unstuck.conf
  local services=() service
  [[ " $* " != *" rabbitmq-server "* ]] || services=(rabbitmq-server epmd.socket epmd.service)
  # shellcheck disable=SC2016 # the other shell expands it
  as_root bash -euc '
    policy=$1 no_cluster=$2
    restore() {
      rm -f "$policy" "$no_cluster"
      [ ! -e "$policy.unstuck" ] || mv "$policy.unstuck" "$policy"
    }
    trap restore EXIT
    if [ -e "$policy" ] && [ ! -e "$policy.unstuck" ]; then mv "$policy" "$policy.unstuck"; fi
    printf "#!/bin/sh\nexit 101\n" >"$policy"
    chmod 755 "$policy"
    mkdir -p "$(dirname "$no_cluster")"
    echo "create_main_cluster = false" >"$no_cluster"
    export DEBIAN_FRONTEND=noninteractive
    apt-get -o DPkg::Lock::Timeout=300 update
    apt-get -o DPkg::Lock::Timeout=300 install -y --no-install-recommends "${@:3}"
  ' setup "$policy" "$no_cluster" "${packages[@]}" </dev/null >&2
  for service in "${services[@]}"; do
    if has systemctl; then as_root systemctl disable --quiet "$service" 2>/dev/null || true; fi
  done
}

as_root() {
  if [ "$EUID" = 0 ]; then "$@"; else sudo "$@"; fi
}

check_rust
read -ra packages <<<"$(missing | tr '\n' ' ')"
if [ ${#packages[@]} -gt 0 ]; then
  has apt-get || die "Missing, to be installed by you as this is no Debian or Ubuntu: ${packages[*]}"
  [ "$EUID" = 0 ] || has sudo || die "Missing, and there is no sudo. As root: apt-get install ${packages[*]}"
  say "Installing with apt-get: ${packages[*]}"
  quietly_install "${packages[@]}" || die "apt-get failed; needed are: ${packages[*]}"
  still=$(missing | tr '\n' ' ')
  [ -z "$still" ] || die "Still missing after the installation (too old in this system's packages?): $still"
fi
at_least "$(node --version | tr -d v)" 18.19 || die "Node.js 18.19 or later is needed, this is $(node --version)"
