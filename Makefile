# What can be done with this checkout. Each target installs what it needs first; see scripts/.
.DEFAULT_GOAL := help
.PHONY: help run build check fmt test test-fast faults browser bench clean

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | while IFS="$$(printf '\t')" read -r name what; do printf 'make %-10s %s\n' "$$name" "$$what"; done

run: ## a demo to look at: a private RabbitMQ, SQLite, the site with its login printed; Ctrl-C stops all of it
	@scripts/run.sh

build: ## target/release/unstuck
	@scripts/build.sh

check: ## formatting, lints, licences, known vulnerabilities
	@scripts/check.sh

fmt: ## formats what `make check` looks at
	@scripts/check.sh --fix

test: ## everything, on a private RabbitMQ and PostgreSQL and in Chromium; the last line is the count
	@scripts/test.sh

test-fast: ## the quick part of it: no faults, no model, no browser
	@scripts/test.sh fast

faults: ## only what kills, stops and cuts things, the protocol's model, and the whole fault lab; ONLY=F18,F29 SEED=7 for some of the lab
	@LAB_ONLY='$(ONLY)' LAB_SEED='$(SEED)' scripts/test.sh faults

browser: ## only the browser tests
	@scripts/test.sh browser

bench: ## throughput and page times, as ratios of one run
	@scripts/bench.sh

clean: ## deletes what was built, and the private services with their data
	@scripts/clean.sh
