#!/usr/bin/env bash
# What the variables of the environment do to the real bootstrap in AWS's own Runtime Interface Emulator.
. "$(dirname "$0")/lib.sh"
. e2e/emulator.sh

old=$(fresh_secret)
new=$(fresh_secret)

first_cookie() { pair "$(set_cookies http-api "$(visit http-api-first)")"; }

color_with() { body "$(visit_with http-api-returning "$1")" | jq -c .color; }

start_function old SECRET_KEY_BASE="$old" SECRET_KEY_BASE_OLD=
cookie=$(first_cookie)
same "an empty variable counts as unset" "$(color_with "$cookie")" '"blue"'
stop_last

start_function both SECRET_KEY_BASE="$new" SECRET_KEY_BASE_OLD="$old"
answer=$(visit_with http-api-returning "$cookie")
same "after a rotation the old cookie still opens" "$(body "$answer" | jq -c .color)" '"blue"'
resealed=$(pair "$(set_cookies http-api "$answer")")
stop_last

start_function new SECRET_KEY_BASE="$new"
same "it was resealed: the new secret alone opens it" "$(color_with "$resealed")" '"blue"'
same "but no longer the old one" "$(color_with "$cookie")" null
stop_last

start_function scope SECRET_KEY_BASE="$new" SESSION_SCOPE=another
same "nor does a function of another scope" "$(color_with "$resealed")" null
stop_last

# readable COOKIE: what anyone can read of its value.
readable() {
  local value=${1#*=}
  tr -- '-_' '+/' <<<"$value==" | base64 -di 2>/dev/null | tr -cd '[:print:]' || true
}
lacks "an encrypted cookie cannot be read" "$(readable "$cookie")" blue
start_function signed SECRET_KEY_BASE="$new" SESSION_PROTECTION=signed
signed=$(first_cookie)
matches "a signed one can" "$(readable "$signed")" '"color":"blue"'
same "and comes back" "$(color_with "$signed")" '"blue"'
same "unless forged" "$(color_with "$(forge "$signed")")" null
stop_last

start_function memory SECRET_KEY_BASE="$new" SESSION_STORE=memory
memory=$(first_cookie)
same "a session in memory comes back" "$(color_with "$memory")" '"blue"'
answer=$(visit_with http-api-logout "$memory")
same "and is gone after logout, for a copy of its cookie, too" "$(color_with "$memory")" null
stop_last

start_function short SECRET_KEY_BASE="$new" SESSION_IDLE=1
short=$(first_cookie)
# The one thing that cannot be told the time.
sleep 2
same "an expired session is none" "$(color_with "$short")" null
stop_last

# sets PROMISE WANTED VARIABLE=VALUE…: the name and the attributes of the cookie that is set.
sets() {
  local promise=$1 wanted=$2 line
  shift 2
  start_function sets SECRET_KEY_BASE="$new" "$@"
  line=$(set_cookies http-api "$(visit http-api-first)")
  same "$promise" "${line%%=*} $(attributes "$line")" "$wanted"
  stop_last
}
sets "SESSION_EXPIRE_AFTER is Max-Age" "__Host-session HttpOnly Max-Age=3600 Path=/ SameSite=Lax Secure" SESSION_EXPIRE_AFTER=1h
sets "SESSION_DOMAIN is Domain, and gives up __Host-" \
  "__Secure-session Domain=example.com HttpOnly Path=/ SameSite=Lax Secure" SESSION_DOMAIN=example.com
sets "SESSION_PATH is Path, and gives up __Host-" "__Secure-session HttpOnly Path=/shop SameSite=Lax Secure" SESSION_PATH=/shop
sets "SESSION_SAME_SITE and SESSION_PARTITIONED" \
  "__Host-session HttpOnly Partitioned Path=/ SameSite=None Secure" SESSION_SAME_SITE=none SESSION_PARTITIONED=on
sets "SESSION_SECURE=off leaves HttpOnly" "session HttpOnly Path=/ SameSite=Lax" SESSION_SECURE=off

# refuses PROMISE LINE [VARIABLE=VALUE…]: the function does not start and says why in one line.
refuses() {
  local promise=$1 line=$2 answer
  shift 2
  start_function refuses "$@"
  answer=$(visit http-api-first || true)
  lacks "$promise: nothing is served" "$answer" statusCode
  same "$promise: one line says why" "$(grep -cE -- "$line" "$log")" 1
  stop_last
}
refuses "no secret" 'SECRET_KEY_BASE.*lambda-session secret'
placeholder=change-me-change-me-change-me-change-me-change-me
refuses "a placeholder for a secret" 'SECRET_KEY_BASE.*lambda-session secret' SECRET_KEY_BASE="$placeholder"
lacks "the placeholder is not repeated, it might be a secret" "$(cat "$log")" "$placeholder"
refuses "an unknown store" 'SESSION_STORE is "redis": give cookie or memcached or memory' SECRET_KEY_BASE="$new" SESSION_STORE=redis
refuses "a duration that is none" 'SESSION_IDLE is "soon"' SECRET_KEY_BASE="$new" SESSION_IDLE=soon
refuses "a name that contradicts the domain" 'SESSION_NAME.*SESSION_DOMAIN|SESSION_DOMAIN.*SESSION_NAME' \
  SECRET_KEY_BASE="$new" SESSION_NAME=__Host-x SESSION_DOMAIN=example.com

logs_hide "$old" "$new" "${cookie#*=}" "${resealed#*=}" "${signed#*=}" "${memory#*=}"

finish
