#!/usr/bin/env bash
# The real bootstrap in AWS's own Runtime Interface Emulator, event by event.
. "$(dirname "$0")/lib.sh"
. e2e/emulator.sh

secret=$(fresh_secret)
tokens=()

plain_attributes="HttpOnly Path=/ SameSite=Lax Secure"
rfc3339='^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]+)?(Z|[+-][0-9]{2}:[0-9]{2})$'

a_session_comes_back() {
  local kind=$1 answer line cookie sent
  answer=$(visit "$kind-first")
  same "$kind: the first visit is answered" "$(status "$answer") $(body "$answer")" '200 {"message":"set some data in the session"}'
  line=$(set_cookies "$kind" "$answer")
  cookie=$(pair "$line")
  tokens+=("${cookie#*=}")
  matches "$kind: it sets one cookie, named $cookie_name" "$line" "^$cookie_name=[0-9A-Za-z_-]+;[^"$'\n'"]*$"
  same "$kind: with exactly the attributes promised" "$(attributes "$line")" "$plain_attributes"
  same "$kind: nobody may store that answer" "$(header "$kind" "$answer" cache-control)" no-store

  answer=$(visit_with "$kind-returning" "$cookie")
  matches "$kind: the session comes back" "$(body "$answer" | jq -r .current_time)" "$rfc3339"
  sent=$(jq -c '(if .isBase64Encoded then .body | @base64d else .body end) // "" | if . == "" then {} else fromjson end' "events/$kind-first.json")
  same "$kind: with what was posted" "$(body "$answer" | jq -c 'del(.current_time)')" "$sent"
  same "$kind: a young, unchanged session sets no cookie" "$(set_cookies "$kind" "$answer")" ""
  same "$kind: the answer varies by cookie" "$(header "$kind" "$answer" vary | tr '[:upper:]' '[:lower:]')" cookie

  answer=$(visit "$kind-returning")
  same "$kind: without the cookie there is nothing" "$(status "$answer") $(body "$answer") $(set_cookies "$kind" "$answer")" "200 {} "
  answer=$(visit_with "$kind-returning" "$(forge "$cookie")")
  same "$kind: nor with a forged one" "$(status "$answer") $(body "$answer") $(set_cookies "$kind" "$answer")" "200 {} "
}

start_function plain SECRET_KEY_BASE="$secret"
for kind in http-api rest alb alb-multi function-url; do
  a_session_comes_back "$kind"
done

cookie=$(pair "$(set_cookies http-api "$(visit http-api-first)")")

# Three requests that lambda_http by itself gets wrong.
answer=$(jq --arg pair "$cookie" '.multiValueHeaders.Cookie = [$pair, "theme=dark"]' events/rest-returning.json | invoke)
same "rest: a session in the first of two Cookie lines is found" "$(body "$answer" | jq -c .color)" '"blue"'
answer=$(with_cookie events/alb-returning.json "$cookie" | jq '.headers.host = "a b" | .headers["x-forwarded-proto"] = "https, http"' | invoke)
same "alb: a Host that is none is answered all the same" "$(status "$answer") $(body "$answer" | jq -c .color)" '200 "blue"'
answer=$(with_cookie events/http-api-returning.json "$cookie" | jq '.rawQueryString = "q=<a b\""' | invoke)
same "http-api: nor does an unencoded query string harm" "$(status "$answer") $(body "$answer" | jq -c .color)" '200 "blue"'

# What follows does not depend on the kind of event.
answer=$(visit_with http-api-index "$cookie")
same "the index counts visits: one cookie" "$(status "$answer") $(attributes "$(set_cookies http-api "$answer")")" "200 $plain_attributes"
matches "and it is HTML" "$(header http-api "$answer" content-type)" '^text/html'

answer=$(visit_with http-api-health "$cookie")
same "health answers ok" "$(status "$answer") $(body "$answer")" "200 ok"
same "and never touches the session" "$(set_cookies http-api "$answer")$(header http-api "$answer" vary)" ""

for refused in 'not JSON' '[1]' '{"user":"eve"}' '{"current_time":1}'; do
  answer=$(jq --arg body "$refused" '.body = $body' events/http-api-first.json | invoke)
  same "to post $refused is refused and stores nothing" "$(status "$answer") $(set_cookies http-api "$answer")" "400 "
done
answer=$(with_cookie events/http-api-first.json "$cookie" | jq '.body = ({big: ("x" * 4096)} | tojson)' | invoke)
same "a session too large for a cookie is a plain 500 and sets none" "$(status "$answer") $(body "$answer") $(set_cookies http-api "$answer")" "500 internal server error "
matches "the log says by how much" "$(cat "$log")" 'session of [0-9]+ bytes does not fit a cookie of 4096 bytes.*"big"'
same "the old cookie stays good" "$(body "$(visit_with http-api-returning "$cookie")" | jq -c '[.color, .big]')" '["blue",null]'

before=$(body "$(visit_with http-api-returning "$cookie")" | jq -r .current_time)
answer=$(visit_with http-api-login "$cookie")
same "login answers" "$(status "$answer") $(body "$answer")" '200 {"message":"logged in"}'
renewed=$(pair "$(set_cookies http-api "$answer")")
tokens+=("${renewed#*=}")
if [ "${renewed%%=*}" = "$cookie_name" ] && [ "$renewed" != "$cookie" ]; then ok "login renews the cookie"; else not_ok "login renews the cookie" "$renewed"; fi
same "the renewed session knows the user and keeps its data" \
  "$(body "$(visit_with http-api-returning "$renewed")" | jq -r '.user, .color, .current_time' | paste -s -d ' ')" "alice blue $before"

again=$(pair "$(set_cookies http-api "$(visit_with http-api-login "$renewed")")")
if [ -n "$again" ] && [ "$again" != "$renewed" ]; then ok "so does a login that changes nothing else"; else not_ok "so does a login that changes nothing else" "$again"; fi

answer=$(visit_with http-api-login-form "$cookie")
same "a form logs in, too, and leads back to the index" "$(status "$answer") $(header http-api "$answer" location)" "303 ./"
same "with one cookie" "$(attributes "$(set_cookies http-api "$answer")")" "$plain_attributes"
hostile=$(jq '.body = "{\"user\":\"<b>eve\"}"' events/http-api-login.json | invoke)
answer=$(visit_with http-api-index "$(pair "$(set_cookies http-api "$hostile")")")
lacks "the index escapes the user's name" "$(body "$answer")" "<b>eve"
matches "and shows it" "$(body "$answer")" '&lt;b(&gt;|>)eve'

answer=$(visit_with http-api-logout "$renewed")
same "logout answers" "$(status "$answer") $(body "$answer")" '200 {"message":"logged out"}'
line=$(set_cookies http-api "$answer")
same "and removes the cookie" "$(pair "$line")" "$cookie_name="
same "by the attributes it was set with, and Max-Age=0" "$(attributes "$line" | sed -E 's/Expires=[^=]* GMT //')" "HttpOnly Max-Age=0 Path=/ SameSite=Lax Secure"
same "logout without a cookie sets none" "$(set_cookies http-api "$(visit http-api-logout)")" ""

answer=$(invoke <<<'{}')
same "a payload that is no event gets no HTTP answer" "$(status "$answer")" none
message=$(jq -r '.errorMessage // ""' <<<"$answer")
for kind in "HTTP API" REST ALB "function URL"; do
  if grep -qi -- "$kind" <<<"$message"; then ok "its error names the kind $kind"; else not_ok "its error names the kind $kind" "$answer"; fi
done
same "and the next event is served" "$(status "$(visit http-api-health)")" 200

logs_hide "$secret" "${tokens[@]}"
same "nothing panicked" "$(grep -i panicked "$log" || true)" ""

finish
