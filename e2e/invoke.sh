#!/usr/bin/env bash
# README's first command as a developer types it, with sessions in the cookie and with sessions in memcached.
. "$(dirname "$0")/lib.sh"

secret=$(fresh_secret)
port=$(free_port)

# play WORDS…: what `make invoke` prints, with nothing but these words and a secret of its own.
play() {
  env -u SESSION_STORE -u MEMCACHE_SERVERS -u STORE SECRET_KEY_BASE="$secret" make --no-print-directory invoke "$@" 2>&1
}

seen=$(play STORE=cookie)
same "make invoke: the session comes back" "$(grep -c '"color": "blue"' <<<"$seen")" 1
matches "make invoke: and it is seen to grow" "$seen" '\+ color: "blue"'

seen=$(SESSION_STORE=memcached SECRET_KEY_BASE="$secret" target/debug/lambda-session doctor 2>&1 || true)
matches "a doctor without memcached says how to get one with it" "$seen" \
  'store +bad +memcached, and this program was built without it'$'\n'' +-> `cargo install lambda-session --features cli,memcached`'

seen=$(play STORE=memcached MEMCACHE_SERVERS="localhost:$port")
same "make invoke STORE=memcached: the session comes back" "$(grep -c '"color": "blue"' <<<"$seen")" 1
matches "make invoke STORE=memcached: the cookie only names it" "$seen" 'kept by the function, so not seen here'
matches "make invoke STORE=memcached: what it starts, it says" "$seen" "started a memcached on localhost:$port"
if (: >"/dev/tcp/localhost/$port") 2>/dev/null; then
  not_ok "make invoke STORE=memcached: and it stops it again"
else
  ok "make invoke STORE=memcached: and it stops it again"
fi

in_background "$scratch/memcached.log" env MEMCACHE_SERVERS="localhost:$port" e2e/with-memcached.sh sleep 600
wait_for_port "$port" "$scratch/memcached.log"
seen=$(SECRET_KEY_BASE="$secret" MEMCACHE_SERVERS="localhost:$port" make --no-print-directory doctor STORE=memcached 2>&1 || true)
matches "make doctor: a good node" "$seen" 'write +good +a throw-away value was written, read and deleted'
matches "make doctor: a good verdict" "$seen" $'\n''verdict +good'
stop_last
lacks "no secret is shown" "$seen" "$secret"

finish
