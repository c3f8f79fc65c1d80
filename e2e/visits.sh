# Sourced by deployed.sh: what curl with a cookie jar does to the deployed application, through one door after another.
# shellcheck shell=bash disable=SC2154

visit_number() { sed -nE 's/.*<h1>Visit ([0-9]+)<.*/\1/p' <<<"$1"; }

user_on() { sed -nE 's/.*<b id=user>([^<]*)<.*/\1/p' <<<"$1"; }

# browse_json JAR URL JSON [CURL-OPTION…]
browse_json() {
  local jar=$1 url=$2 json=$3
  shift 3
  browse "$jar" "$url" -H 'content-type: application/json' -d "$json" "$@"
}

# key_id NAME=TOKEN: the id of the key that sealed it, which stands in front.
key_id() { python3 -c 'import base64, sys; print(base64.urlsafe_b64decode(sys.argv[1].split("=", 1)[1][:4])[1:3].hex())' "$1"; }

# a_visitor STACK DOOR URL
a_visitor() {
  local stack=$1 at="$1, $2" url=$3 jar=$scratch/jar-$1-$2 page head before copy
  head=$scratch/head
  : >"$jar"

  page=$(browse "$jar" "$url" -D "$head")
  same "$at: the first visit" "$(visit_number "$page") $(user_on "$page")" "1 nobody"
  matches "$at: it sets the cookie by its attributes" "$(tr -d '\r' <"$head" | grep -i '^set-cookie:')" \
    '^[sS]et-[cC]ookie: __Host-session=[0-9A-Za-z_-]+; HttpOnly; SameSite=Lax; Secure; Path=/$'
  page=$(browse "$jar" "$url")
  same "$at: the second is counted: the jar keeps a __Host- cookie" "$(visit_number "$page")" 2

  before=$(cookie_in "$jar")
  page=$(browse "$jar" "${url}login" -L -w '%{num_redirects}' -d user=alice)
  same "$at: a form logs in and leads back" "$(visit_number "$page") $(user_on "$page") ${page: -1}" "3 alice 1"
  if [ "$before" != "$(cookie_in "$jar")" ]; then ok "$at: login renews the cookie"; else not_ok "$at: login renews the cookie"; fi
  browse_json "$jar" "${url}posts" '{"color":"blue","name":"Zoë ☃"}' >/dev/null
  same "$at: what was posted comes back" "$(browse "$jar" "${url}posts" | jq -c '[.user, .color, .name, .visits]')" \
    '["alice","blue","Zoë ☃",3]'

  tabs_at_once "$at" "$url" "$jar"
  if [ "$stack" = cookie ]; then the_largest_cookie "$at" "$url" "$jar"; fi

  copy=$(cookie_in "$jar")
  same "$at: logout" "$(browse "$jar" "${url}logout" -X POST)" '{"message":"logged out"}'
  same "$at: it empties the jar" "$(cookie_in "$jar")" ""
  same "$at: and the session is gone" "$(browse "$jar" "${url}posts")" "{}"
  page=$(browse /dev/null "${url}posts" -H "cookie: $copy" | jq -r .user)
  case $stack in
    cookie) same "$at: a copy of the cookie outlives it, as README says" "$page" alice ;;
    memcached) same "$at: for every copy of the cookie" "$page" null ;;
  esac
}

# tabs_at_once AT URL JAR: five requests change one session at the same time.
tabs_at_once() {
  local at=$1 url=$2 jar=$3 n pids=() statuses
  for n in 1 2 3 4 5; do
    cp "$jar" "$jar.$n"
    browse_json "$jar.$n" "${url}posts" "{\"tab$n\":1}" -o /dev/null -w '%{http_code}\n' >"$scratch/status.$n" &
    pids+=($!)
  done
  wait "${pids[@]}"
  statuses=$(cat "$scratch"/status.? | sort -u)
  same "$at: five tabs at once are all served" "$statuses" 200
  # Sessions in a cookie overwrite each other, the last answer wins; those in memcached are merged.
  case $at in
    cookie,*) n=$(browse "$jar.5" "${url}posts" | jq -c '[.user, .tab5]') && same "$at: and the last answer wins" "$n" '["alice",1]' ;;
    *) n=$(browse "$jar.5" "${url}posts" | jq -c '[.user, .tab1, .tab2, .tab3, .tab4, .tab5]') &&
      same "$at: and merged" "$n" '["alice",1,1,1,1,1]' ;;
  esac
  cp "$jar.5" "$jar"
}

# the_largest_cookie AT URL JAR: grows the session until it is refused; afterwards the jar holds the largest.
the_largest_cookie() {
  local at=$1 url=$2 jar=$3 least=2000 most=4096 middle status length
  while [ $((most - least)) -gt 1 ]; do
    middle=$(((least + most) / 2))
    status=$(browse_json "$jar" "${url}posts" "$(printf '{"big":"%0*d"}' "$middle" 0)" -o /dev/null -w '%{http_code}')
    # What is refused leaves the jar as it was.
    if [ "$status" = 200 ]; then least=$middle; else most=$middle; fi
  done
  length=$(cookie_in "$jar" | tr -d '=\n' | wc -c)
  matches "$at: a cookie of 4,096 bytes is kept" "$length" '^409[3-6]$'
  same "$at: and comes back whole" "$(browse "$jar" "${url}posts" | jq -r '.user, (.big | length)' | paste -s -d ' ')" "alice $least"
}

# a_rotation: the key is exchanged while sessions are in use.
a_rotation() {
  local stack jar url before page lost=() visits=0 sealing
  for stack in cookie memcached; do
    jar=$scratch/jar-rotation-$stack
    : >"$jar"
    browse "$jar" "$(output "$stack" HttpApiUrl)" >/dev/null
  done
  before=$(key_id "$(cookie_in "$scratch/jar-rotation-cookie")")
  passes "keys rotate, in mid-flight" keys rotate --parameter "$parameter"
  for _ in $(seq 22); do
    later 60
    visits=$((visits + 1))
    for stack in cookie memcached; do
      page=$(browse "$scratch/jar-rotation-$stack" "$(output "$stack" HttpApiUrl)")
      [ "$(visit_number "$page")" = $((visits + 1)) ] || lost+=("$stack after $visits minutes: $page")
    done
  done
  same "a rotation: nobody lost a session in 22 minutes" "${lost[*]}" ""
  sealing=$(keys list --parameter "$parameter" --json | jq -r '.keys[] | select(.state == "sealing") | .id')
  if [ "$sealing" != "$before" ]; then ok "a rotation: another key seals"; else not_ok "a rotation: another key seals" "$sealing"; fi
  for stack in cookie memcached; do
    same "a rotation: $stack: the session is sealed anew" "$(key_id "$(cookie_in "$scratch/jar-rotation-$stack")")" "$sealing"
  done
}

# a_node_down: one of two nodes freezes, and goes on.
a_node_down() {
  local url jar n status out=0 others=0 newcomers=() waits
  url=$(output memcached HttpApiUrl)
  # Half of them are on either node; that all 16 are on one happens once in 32,768 runs.
  for n in $(seq 16); do
    jar=$scratch/jar-node-$n
    : >"$jar"
    browse "$jar" "$url" -o /dev/null
  done
  kill -STOP -- "-${nodes[0]}"
  for n in $(seq 16); do
    status=$(browse "$scratch/jar-node-$n" "$url" -o /dev/null -D "$scratch/head-$n" -w '%{http_code}')
    case $status in
      503)
        out=$((out + 1))
        waits=$(tr -d '\r' <"$scratch/head-$n" | grep -i '^retry-after:')
        ;;
      200) others=$((others + 1)) ;;
    esac
  done
  for n in 1 2 3 4; do newcomers+=("$(browse /dev/null "$url" -o /dev/null -w '%{http_code}')"); done
  kill -CONT -- "-${nodes[0]}"
  same "a node is down: each is answered with its session, or 503" "$((out + others))" 16
  matches "a node is down: its own sessions are 503" "$out" '^[1-9][0-9]?$'
  matches "a node is down: with the time to wait" "$waits" '^[rR]etry-[aA]fter: 1$'
  matches "a node is down: all others go on" "$others" '^[1-9][0-9]?$'
  same "a node is down: new sessions are made elsewhere" "${newcomers[*]}" "200 200 200 200"
  # Owed by README.
  sleep 2
  out=0
  for n in $(seq 16); do
    [ "$(browse "$scratch/jar-node-$n" "$url" -o /dev/null -w '%{http_code}')" = 200 ] || out=$((out + 1))
  done
  same "a node is back: 2 s later nobody is turned away" "$out" 0
  status=$(for n in $(seq 16); do visit_number "$(browse "$scratch/jar-node-$n" "$url")"; done | sort -u | paste -s -d ' ')
  matches "a node is back: and its sessions are whole" "$status" '^3 4$|^4$'
}

# an_expiry: nobody comes for longer than a session may be idle.
an_expiry() {
  local stack jar page
  for stack in cookie memcached; do
    jar=$scratch/jar-rotation-$stack
    browse "$jar" "$(output "$stack" HttpApiUrl)" >/dev/null
  done
  later 1740
  for stack in cookie memcached; do
    page=$(browse "$scratch/jar-rotation-$stack" "$(output "$stack" HttpApiUrl)posts" | jq .visits)
    matches "an expiry: $stack: after 29 minutes the session is there" "$page" '^[0-9]{2}$'
  done
  later 1860
  for stack in cookie memcached; do
    same "an expiry: $stack: after 31 more it is not" "$(browse "$scratch/jar-rotation-$stack" "$(output "$stack" HttpApiUrl)posts")" "{}"
    page=$(browse "$scratch/jar-rotation-$stack" "$(output "$stack" HttpApiUrl)")
    same "an expiry: $stack: and another begins" "$(visit_number "$page")" 1
  done
}

# least_privilege: the function's role may read its parameter, that one alone, and needs the policy for it.
least_privilege() {
  local function url other=/lambda-session/prod/session/other
  function=$(output cookie FunctionName)
  url=$(output cookie HttpApiUrl)posts
  status_of() { browse /dev/null "$url" -H 'cookie: __Host-session=none' -o /dev/null -w '%{http_code}'; }

  keys init --parameter "$other" >/dev/null
  edit set "$function" SESSION_KEYS_PARAMETER="$other"
  same "least privilege: another parameter cannot be read, the function does not start" "$(status_of)" 500
  # The emulator keeps the words of a start that fails in its own log.
  matches "least privilege: and says what permission is missing" "$(grep -F "$other" "$log")" \
    "AccessDeniedException; allow the function's role ssm:GetParameter on it"
  edit set "$function" SESSION_KEYS_PARAMETER="$parameter"
  same "least privilege: its own can" "$(status_of)" 200
  edit strip "$function"
  edit set "$function" RUST_LOG=info
  same "least privilege: and not without the template's policy" "$(status_of)" 500
}
