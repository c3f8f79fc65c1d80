#!/usr/bin/env bash
# docs/getting-started.md, walked through from its first line to its last.
. "$(dirname "$0")/lib.sh"

mkdir -p "$scratch/bin"
port=$(free_port)
memcached=$(free_port)
# `cargo install` finds what `make build` has built, and puts it where this test has it; the shop's own build is a debug one.
export CARGO_INSTALL_ROOT=$scratch CARGO_TERM_COLOR=never
PATH=$scratch/bin:$PATH MEMCACHE_SERVERS=localhost:$memcached CARGO_INCREMENTAL=0 \
  e2e/with-memcached.sh python3 e2e/walk.py docs/getting-started.md "$root" \
  "../shop=$scratch/shop" "../lambda-session=$root" "localhost:3000=localhost:$port" \
  "lambda-session serve=lambda-session serve --port $port" >"$scratch/promises" || not_ok "the page was read to its end"
promises "$scratch/promises"
matches "the page has its commands" "$(wc -l <"$scratch/promises")" '^1[0-9]$'

finish
