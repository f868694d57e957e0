#!/usr/bin/env bash
# Builds target/release/unstuck, front-end files included, from a clean checkout.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

scripts/setup.sh run
mkdir -p .run
flock .run/assets.lock node scripts/assets.mjs # two builds at once install once
exec cargo build --release --locked
