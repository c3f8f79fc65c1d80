# Sourced by deployed.sh: what comes over people with a session while the stacks are up, by whichever door they came in.
# shellcheck shell=bash disable=SC2154

# key_id NAME=TOKEN: the id of the key that sealed it, which stands in front.
key_id() { python3 -c 'import base64, sys; print(base64.urlsafe_b64decode(sys.argv[1].split("=", 1)[1][:4])[1:3].hex())' "$1"; }

# everywhere COMMAND: with a stack, the name of a door, its address and the jar of somebody who comes in there.
everywhere() {
  local stack door
  for stack in cookie memcached; do
    for door in "${doors[@]}"; do "$1" "$stack" "$door" "${address[$stack $door]}" "$scratch/jar-long-$stack-$door"; done
  done
}

# a_rotation: the key is exchanged while sessions are in use.
a_rotation() {
  local before lost=() minute=0 sealing
  arrives() { : >"$4" && browse "$4" "$3" -o /dev/null; }
  comes_back() {
    local page
    page=$(browse "$4" "$3")
    [ "$(visit_number "$page")" = $((minute + 1)) ] || lost+=("$1, $2, after $minute minutes: $page")
  }
  is_resealed() { same "$1, $2: a rotation in mid-flight: the session is sealed anew" "$(key_id "$(cookie_in "$4")")" "$sealing"; }

  everywhere arrives
  before=$(key_id "$(cookie_in "$scratch/jar-long-cookie-HttpApi")")
  passes "keys rotate, in mid-flight" keys rotate --parameter "$parameter"
  for minute in $(seq 22); do
    later 60
    everywhere comes_back
  done
  same "a rotation: nobody lost a session in 22 minutes, by any door" "${lost[*]}" ""
  sealing=$(keys list --parameter "$parameter" --json | jq -r '.keys[] | select(.state == "sealing") | .id')
  if [ "$sealing" != "$before" ]; then ok "a rotation: another key seals"; else not_ok "a rotation: another key seals" "$sealing"; fi
  everywhere is_resealed
}

# an_expiry: nobody comes for longer than a session may be idle.
an_expiry() {
  is_there() {
    matches "$1, $2: an expiry: after 29 minutes without a visit the session is there" "$(visit_number "$(browse "$4" "$3")")" '^[0-9]{2}$'
  }
  is_over() {
    same "$1, $2: an expiry: after 31 it is not" "$(browse "$4" "${3}posts")" "{}"
    same "$1, $2: an expiry: and another begins" "$(visit_number "$(browse "$4" "$3")")" 1
  }
  comes() { browse "$4" "$3" -o /dev/null; }
  everywhere comes
  later 1740
  everywhere is_there
  later 1860
  everywhere is_over
}

# a_node_down: one of two nodes freezes, and goes on.
a_node_down() {
  local url=${address[memcached HttpApi]} jar n status out=0 others=0 waits='' theirs='' left='' door
  asks() { browse /dev/null "$1" -H "cookie: $2" -o /dev/null -w '%{http_code} '; }
  # Half of them are on either node; that all 16 are on one happens once in 32,768 runs.
  for n in $(seq 16); do
    jar=$scratch/jar-node-$n
    : >"$jar"
    browse "$jar" "$url" -o /dev/null
  done
  kill -STOP -- "-${nodes[0]}"
  for n in $(seq 16); do
    jar=$scratch/jar-node-$n
    status=$(browse "$jar" "$url" -o /dev/null -D "$scratch/head-$n" -w '%{http_code}')
    case $status in
      503)
        out=$((out + 1)) theirs=$(cookie_in "$jar")
        waits=$(tr -d '\r' <"$scratch/head-$n" | grep -i '^retry-after:')
        ;;
      200) others=$((others + 1)) left=$(cookie_in "$jar") ;;
    esac
  done
  # To the function it is one session, whichever door its cookie comes through.
  for door in "${doors[@]}"; do
    url=${address[memcached $door]}
    same "memcached, $door: a node is down: its session is 503, another's goes on, a new one is made elsewhere" \
      "$(asks "${url}posts" "$theirs"; asks "${url}posts" "$left"; asks "$url" a=b)" "503 200 200 "
  done
  kill -CONT -- "-${nodes[0]}"
  same "a node is down: each is answered with its session, or 503" "$((out + others))" 16
  matches "a node is down: its own sessions are 503" "$out" '^[1-9][0-9]?$'
  matches "a node is down: with the time to wait" "$waits" '^[rR]etry-[aA]fter: 1$'
  matches "a node is down: all others go on" "$others" '^[1-9][0-9]?$'
  # Owed by README.
  sleep 2
  out=0 url=${address[memcached HttpApi]}
  for n in $(seq 16); do
    [ "$(browse "$scratch/jar-node-$n" "$url" -o /dev/null -w '%{http_code}')" = 200 ] || out=$((out + 1))
  done
  same "a node is back: 2 s later nobody is turned away" "$out" 0
  status=$(for n in $(seq 16); do visit_number "$(browse "$scratch/jar-node-$n" "$url")"; done | sort -u | paste -s -d ' ')
  matches "a node is back: and its sessions are whole" "$status" '^3 4$|^4$'
}

# least_privilege: the function's role may read its parameter, that one alone, and needs the policy for it.
least_privilege() {
  local function url other=/lambda-session/prod/session/other
  function=$(output cookie FunctionName)
  url=${address[cookie HttpApi]}posts
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

# each_alarm_has_its_metric: what the template's alarms watch of ours has been written by a function in trouble, and under the function's
# name alone. Keys that cannot be fetched come last, for what takes them away is not put back.
each_alarm_has_its_metric() {
  edit strip "$(output memcached FunctionName)"
  later 400
  browse /dev/null "${address[memcached HttpApi]}" -o /dev/null
  edit log "$(output memcached LogGroupName)" | grep -F '"CloudWatchMetrics"' |
    jq -r '._aws.CloudWatchMetrics[] | "\(.Namespace) \(.Dimensions[0][]) \(.Metrics[].Name)"' | sort -u >"$scratch/written"
  grep -A 1 'Namespace: lambda-session' template.yaml | sed -n 's/ *MetricName: /lambda-session FunctionName /p' | sort >"$scratch/watched"
  matches "memcached: alarms watch metrics of ours" "$(wc -l <"$scratch/watched")" '^[5-9]$'
  same "memcached: and the function has written each of them" "$(comm -23 "$scratch/watched" "$scratch/written")" ""
}
