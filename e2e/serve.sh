#!/usr/bin/env bash
# `lambda-session serve` before the example, as every front door of AWS, with curl and its cookie jar for a browser.
. "$(dirname "$0")/lib.sh"

binaries=${BINARIES:-target/release}
secret=$(fresh_secret)

# browse PATH [CURL-OPTION…]. For localhost curl keeps Secure cookies, __Host- ones too, of plain http.
browse() {
  local path=$1
  shift
  curl -sS --max-time 30 -b "$jar" -c "$jar" "$@" "http://localhost:$port$path"
}

# What the jar holds of ours: its flags for Secure and HttpOnly, and the value.
kept() { awk '$6 == "__Host-session" { print ($1 ~ /^#HttpOnly_/ ? "HttpOnly" : "-"), ($4 == "TRUE" ? "Secure" : "-"), $7 }' "$jar"; }

for front in http-api rest alb alb-multi function-url; do
  log=$scratch/$front.log
  jar=$scratch/$front.jar
  port=$(free_port)
  touch "$jar"
  in_background "$log" env SECRET_KEY_BASE="$secret" "$binaries/lambda-session" serve --as "$front" --port "$port" \
    --bootstrap "$binaries/bootstrap" --record "$scratch/$front"
  wait_for_port "$port" "$log"

  same "$front: a visit without a session is answered, and nothing kept" "$(browse /posts)$(kept)" "{}"
  same "$front: post" "$(browse /posts -H 'content-type: application/json' -d '{"color":"blue"}')" \
    '{"message":"set some data in the session"}'
  first=$(kept)
  matches "$front: the jar keeps the cookie" "$first" '^HttpOnly Secure [0-9A-Za-z_-]+$'
  same "$front: get: the session comes back" "$(browse /posts | jq -c .color)" '"blue"'
  matches "$front: a form logs in and its redirect leads to the index" \
    "$(browse /login -L -w '%{http_code} %{num_redirects}' -d 'user=bob')" 'bob.*200 1$'
  if [ "$(kept)" != "$first" ]; then ok "$front: with another cookie"; else not_ok "$front: with another cookie"; fi
  same "$front: [::1] and 127.0.0.1 are the same gateway" \
    "$(curl -sS "http://127.0.0.1:$port/health")$(curl -sS "http://[::1]:$port/health" 2>/dev/null || echo ok)" okok
  matches "$front: the gateway says what became of the session" "$(browse /_session)" 'POST /login'
  same "$front: logout" "$(browse /logout -X POST -H 'content-type: application/json')" '{"message":"logged out"}'
  same "$front: the jar is empty" "$(kept)" ""
  lacks "$front: no secret is in the log" "$(cat "$log")" "$secret"

  played=$(SECRET_KEY_BASE="$secret" "$binaries/lambda-session" invoke --json --no-jar --bootstrap "$binaries/bootstrap" "$scratch/$front"/*.event.json 2>/dev/null |
    jq -r .status | sort | uniq -c | tr -s ' \n' ' ')
  matches "$front: what was recorded is played again" "$played" '200 .*303'
  stop_last
done

finish
