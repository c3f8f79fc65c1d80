# Sourced: puts a cookie into an event as its gateway would, and reads the function's answers, each by its own rule.
# shellcheck shell=bash

cookie_name=__Host-session

# with_cookie EVENT-FILE NAME=VALUE: the event with one more cookie, beside those that it carries.
with_cookie() {
  jq --arg pair "$2" '
    # In the maps of headers the cookies are one line, whatever the case of its name.
    def on_the_line(put): with_entries(if (.key | ascii_downcase) == "cookie" then .value |= put else . end);
    if has("rawPath") then .cookies += [$pair] else . end
    | if has("headers") then .headers |= on_the_line(. + "; " + $pair) else . end
    | if has("multiValueHeaders") then .multiValueHeaders |= on_the_line(.[:-1] + [.[-1] + "; " + $pair]) else . end
  ' "$1"
}

# forge NAME=VALUE: the same with one character changed.
forge() {
  local value=${1#*=} other=A
  [ "${value:40:1}" != A ] || other=B
  echo "$cookie_name=${value:0:40}$other${value:41}"
}

# set_cookies KIND ANSWER: the Set-Cookie lines, read only where this kind of gateway looks for them.
set_cookies() {
  local place
  case $1 in
    http-api | function-url) place='.cookies // [] | .[]' ;;
    rest | alb-multi) place='.multiValueHeaders // {} | to_entries[] | select(.key | ascii_downcase == "set-cookie") | .value[]' ;;
    alb) place='.headers // {} | to_entries[] | select(.key | ascii_downcase == "set-cookie") | .value' ;;
  esac
  jq -r "$place" <<<"$2"
}

# header KIND ANSWER NAME: its values, a line each.
header() {
  local map=headers
  case $1 in rest | alb-multi) map=multiValueHeaders ;; esac
  jq -r --arg map "$map" --arg name "$3" \
    '.[$map] // {} | to_entries[] | select(.key | ascii_downcase == $name) | .value | if type == "array" then .[] else . end' <<<"$2"
}

body() { jq -r 'if .isBase64Encoded then .body | @base64d else .body end' <<<"$1"; }

status() { jq -r '.statusCode // "none"' <<<"$1"; }

# The part of a Set-Cookie line that goes back to the server: NAME=VALUE.
pair() { cut -d ';' -f 1 <<<"$1"; }

# The attributes of a Set-Cookie line as a set: sorted, on one line.
attributes() { cut -s -d ';' -f 2- <<<"$1" | tr ';' '\n' | sed 's/^ *//' | LC_ALL=C sort | paste -s -d ' '; }
