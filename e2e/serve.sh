#!/usr/bin/env bash
# `lambda-session serve` before the example, as every front door of AWS, with curl and its cookie jar for a browser.
. "$(dirname "$0")/lib.sh"
. e2e/jar.sh

binaries=${BINARIES:-target/release}
secret=$(fresh_secret)
ipv6=$(grep '^0\{31\}1 ' /proc/net/if_inet6 || true)
[ -n "$ipv6" ] || skip "what serve answers at [::1]: this machine has no IPv6"

# status_at HOST [CURL-OPTION…] ADDRESS: what is answered to a request of that Host.
status_at() { curl -sS --max-time 30 -o /dev/null -w '%{http_code}' -H "host: $1" "${@:2:$#-2}" "http://${*: -1}"; }

# over_ipv6 FRONT: the same by ::1, where localhost leads on many machines.
over_ipv6() {
  local front=$1 six="[::1]:$port" own=$scratch/$1.six
  same "$front: localhost over IPv6 is the same gateway, with the same session" \
    "$(browse /posts --resolve "localhost:$port:[::1]" | jq -c .color)" '"blue"'
  : >"$own"
  curl -sS --max-time 30 -b "$own" -c "$own" -H 'content-type: application/json' -d '{"color":"red"}' -o /dev/null "http://$six/posts"
  same "$front: [::1] is a host of its own, with a session of its own" \
    "$(curl -sS --max-time 30 -b "$own" "http://$six/posts" | jq -c .color)" '"red"'
  same "$front: the gateway's page is seen at [::1], by this machine's names" \
    "$(for host in "$six" '[::1]' "localhost:$port" 127.0.0.1; do status_at "$host" "$six/_session"; done)" 200200200200
  same "$front: and by no other, though the function answers to one more" \
    "$(for host in shop.example "shop.example:$port" '[::1].shop.example' '[::2]'; do status_at "$host" "$six/_session"; done) $(status_at shop.example "$six/health")" \
    "403403403403 200"
  same "$front: nor through a proxy" "$(status_at "$six" -H 'x-forwarded-for: ::1' "$six/_session")" 403
}

for front in http-api rest alb alb-multi function-url; do
  log=$scratch/$front.log
  jar=$scratch/$front.jar
  port=$(free_port)
  site=http://localhost:$port
  touch "$jar"
  in_background "$log" env SECRET_KEY_BASE="$secret" "$binaries/lambda-session" serve --as "$front" --port "$port" \
    --host shop.example --bootstrap "$binaries/bootstrap" --record "$scratch/$front"
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
  same "$front: 127.0.0.1 is the same gateway" "$(curl -sS "http://127.0.0.1:$port/health")" ok
  if [ -n "$ipv6" ]; then over_ipv6 "$front"; fi
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
