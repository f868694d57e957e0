#!/usr/bin/env bash
# The fault lab: scenarios whose verdicts are held against what was true. See docs/fault-lab.md.
#
#   scripts/lab.sh [--only F18,F29] [--seed N] [--full] [--keep DIR] [--report FILE]
#
# It is the test `lab::` of `make test`, with its words shown as they come. It brings its own RabbitMQ and PostgreSQL, as
# scripts/test.sh does.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

usage() { sed -n '2,/^set /s/^# \{0,1\}//p' "$0" >&2; exit 2; }

while [ $# -gt 0 ]; do
  case $1 in
    --full) export LAB_FORM=full; shift; continue ;;
    --only | --seed | --keep | --report) [ $# -gt 1 ] || usage ;;
    *) usage ;;
  esac
  case $1 in
    --only) export LAB_ONLY=$2 ;;
    --seed) export LAB_SEED=$2 ;;
    --keep) LAB_KEEP=$(realpath -m "$2"); export LAB_KEEP ;;
    --report) LAB_REPORT=$(realpath -m "$2"); export LAB_REPORT ;;
  esac
  shift 2
done
exec scripts/test.sh lab
