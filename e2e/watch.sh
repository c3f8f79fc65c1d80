#!/usr/bin/env bash
# The example under `cargo lambda watch`, with curl and its cookie jar for a browser, and `cargo lambda invoke` for the events
# that watch itself cannot make.
. "$(dirname "$0")/lib.sh"
. e2e/event.sh
. e2e/jar.sh

# cargo-lambda would have rustup add a toolchain in the middle of a build; now it cannot.
export RUSTUP_DIST_SERVER=http://127.0.0.1:1 RUSTUP_UPDATE_ROOT=http://127.0.0.1:1

secret=$(fresh_secret)
log=$scratch/watch.log
jar=$scratch/jar
port=$(free_port)
# cargo lambda listens at this address alone.
site=http://127.0.0.1:$port

# With the flags that target/release was built with cargo finds its work done; what it still has to do, it does before any clock runs.
read -ra flags <<<"${BUILD_FLAGS:---locked --release --all-features}"
cargo build --quiet "${flags[@]}" --bin bootstrap
# There are two binaries: without --bin no path but /lambda-url/bootstrap would lead to this one.
in_background "$log" env SECRET_KEY_BASE="$secret" cargo lambda watch "${flags[@]}" --bin bootstrap \
  --ignore-changes --disable-cors --invoke-address 127.0.0.1 --invoke-port "$port"
wait_for_port "$port" "$log"

browse_json() { browse "$1" -H 'content-type: application/json' -d "$2"; }

touch "$jar"
# Should a file have changed since, the first request waits for cargo.
browse /health --max-time 600 >/dev/null
same "a visit without a session is answered, and nothing kept" "$(browse /posts)$(kept)" "{}"
same "post" "$(browse_json /posts '{"color":"blue"}')" '{"message":"set some data in the session"}'
first=$(kept)
matches "the jar keeps the cookie" "$first" '^HttpOnly Secure [0-9A-Za-z_-]+$'
same "get: the session comes back" "$(browse /posts | jq -c '[.color, has("current_time")]')" '["blue",true]'
same "reading changed nothing in the jar" "$(kept)" "$first"

same "login" "$(browse_json /login '{"user":"alice"}')" '{"message":"logged in"}'
if [ "$(kept)" != "$first" ]; then ok "it renews the cookie in the jar"; else not_ok "it renews the cookie in the jar"; fi
same "and keeps the data" "$(browse /posts | jq -c '[.user, .color]')" '["alice","blue"]'
matches "the index greets the user" "$(browse /)" alice

same "logout" "$(browse /logout -X POST)" '{"message":"logged out"}'
same "it empties the jar" "$(kept)" ""
same "and the session is gone" "$(browse /posts)" "{}"

matches "a form logs in and its redirect leads to the index" "$(browse /login -L -w '%{http_code} %{num_redirects}' -d 'user=bob')" 'bob.*200 1$'
same "health answers" "$(browse /health)" ok

# invoke EVENT-FILE
invoke() { cargo lambda invoke --invoke-address 127.0.0.1 --invoke-port "$port" --data-file "$1"; }

for kind in rest alb; do
  answer=$(invoke "events/$kind-first.json")
  line=$(set_cookies "$kind" "$answer")
  same "cargo lambda invoke, $kind: a cookie is set" "$(attributes "$line")" "HttpOnly Path=/ SameSite=Lax Secure"
  with_cookie "events/$kind-returning.json" "$(pair "$line")" >"$scratch/returning.json"
  answer=$(invoke "$scratch/returning.json")
  same "cargo lambda invoke, $kind: the session comes back" "$(body "$answer" | jq -c .color)" '"blue"'
  with_cookie "events/$kind-returning.json" "$(forge "$(pair "$line")")" >"$scratch/forged.json"
  same "cargo lambda invoke, $kind: but not for a forged cookie" "$(body "$(invoke "$scratch/forged.json")")" "{}"
done

finish
