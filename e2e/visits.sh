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

# a_visitor STACK DOOR URL JAR
a_visitor() {
  local stack=$1 at="$1, $2" url=$3 jar=$4 page head before copy
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
    *) same "$at: for every copy of the cookie" "$page" null ;;
  esac
}

# tabs_at_once AT URL JAR: five requests change one session at the same time. Each has sent its cookie before any is answered: their
# bodies are held back until all five heads are out.
tabs_at_once() {
  local at=$1 url=$2 jar=$3 n pids=() last seen heads=0 answers
  rm -f "$scratch/go"
  for n in 1 2 3 4 5; do
    cp "$jar" "$jar.$n"
    : >"$scratch/head.$n"
    held_back "{\"tab$n\":1}" | browse "$jar.$n" "${url}posts" -X POST -T . -H 'expect:' -H 'content-type: application/json' -v \
      -o /dev/null -w '%{http_code}\n' >"$scratch/status.$n" 2>>"$scratch/head.$n" &
    pids+=($!)
  done
  for _ in $(seq 200); do
    heads=$(cat "$scratch"/head.? | grep -c '^> cookie: __Host-session=' || true)
    [ "$heads" -lt 5 ] || break
    sleep 0.05
  done
  answers=$(cat "$scratch"/status.? | wc -l)
  touch "$scratch/go"
  wait "${pids[@]}"
  same "$at: five tabs at once: all had sent their cookie before one was answered, and all are served" \
    "$heads $answers $(sort "$scratch"/status.? | uniq -c | xargs)" "5 0 5 200"
  # A browser's one jar keeps what it was given last.
  last=$(find "$jar".[1-5] -printf '%T@ %p\n' | sort -n | tail -1 | cut -d ' ' -f 2)
  seen=$(browse "$last" "${url}posts" | jq -c '[.user, (keys[] | select(startswith("tab")))]')
  case $at in
    cookie,*) same "$at: the last answer's session is the one that stands, whole and alone" "$seen" "[\"alice\",\"tab${last##*.}\"]" ;;
    *) same "$at: they are merged, and none is lost" "$seen" '["alice","tab1","tab2","tab3","tab4","tab5"]' ;;
  esac
  cp "$last" "$jar"
}

held_back() {
  until [ -e "$scratch/go" ]; do sleep 0.02; done
  echo "$1"
}

# cookie_bytes JAR: name and value together, as browsers count.
cookie_bytes() { cookie_in "$1" | tr -d '=\n' | wc -c; }

# the_largest_cookie AT URL JAR: one of the 4,096 bytes that browsers keep, and one more. Sealed and in base64url 4,096 and 4,097 are
# a byte of JSON apart: the digit by which visit 10 is longer than visit 9.
the_largest_cookie() {
  local at=$1 url=$2 jar=$3 size=2800 bytes=0 page
  while [ "$(visit_number "$(browse "$jar" "$url")")" -lt 8 ]; do :; done
  # When it was posted stands in the session too, and is shorter one time in ten: its last digits are not written if they are 0.
  for _ in $(seq 60); do
    if [ "$(browse_json "$jar" "${url}posts" "$(printf '{"big":"%0*d"}' "$size" 0)" -o /dev/null -w '%{http_code}')" = 200 ]; then
      bytes=$(cookie_bytes "$jar")
      [ "$bytes" -ne 4096 ] || break
      size=$((size + ((4096 - bytes) * 3 + 3) / 4))
    else
      size=$((size - 1))
    fi
  done
  page=$(browse "$jar" "$url")
  same "$at: a cookie of 4,096 bytes is kept and comes back" "$bytes $(visit_number "$page") $(cookie_bytes "$jar")" "4096 9 4096"
  same "$at: one of 4,097 is refused, and the jar left alone" \
    "$(browse "$jar" "$url" -o /dev/null -w '%{http_code}') $(cookie_bytes "$jar")" "500 4096"
  same "$at: what it held comes back whole" "$(browse "$jar" "${url}posts" | jq -c '[.user, .visits, (.big | length)]')" "[\"alice\",9,$size]"
}
