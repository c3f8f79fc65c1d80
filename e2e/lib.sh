# Sourced by the scripts beside it: counts promises, keeps a scratch folder, ends what was started.
# shellcheck shell=bash
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

root=$PWD
part=$(basename "$0" .sh)
scratch=$(mktemp -d)
passed=0
failed=0
finished=no
groups=()
log=

export PATH="$root/.tools/venv/bin:$PATH"
export SAM_CLI_TELEMETRY=0

ok() {
  passed=$((passed + 1))
  echo "ok: $part: $1"
}

# not_ok PROMISE [WHAT WAS SEEN]
not_ok() {
  failed=$((failed + 1))
  echo "FAILED: $part: $1"
  [ -z "${2:-}" ] || echo "    ${2//$'\n'/$'\n'    }"
}

# same PROMISE SEEN WANTED
same() {
  if [ "$2" = "$3" ]; then ok "$1"; else not_ok "$1" "seen:   $2"$'\n'"wanted: $3"; fi
}

# promises FILE: what a program says of its promises, one JSON array each: [promise, seen, wanted].
promises() {
  local promise seen wanted
  while IFS= read -r -d '' promise && IFS= read -r -d '' seen && IFS= read -r -d '' wanted; do
    same "$promise" "$seen" "$wanted"
  done < <(jq -j '.[] | . + "\u0000"' "$1")
}

# matches PROMISE SEEN EXTENDED-REGEX
matches() {
  if [[ $2 =~ $3 ]]; then ok "$1"; else not_ok "$1" "seen: $2"$'\n'"wanted to match: $3"; fi
}

# lacks PROMISE SEEN FIXED-STRING
lacks() {
  if [[ $2 != *"$3"* ]]; then ok "$1"; else not_ok "$1" "found what must not be there: $3"; fi
}

# passes PROMISE COMMAND…: the command's output is shown only where it fails.
passes() {
  local promise=$1 output
  shift
  if output=$("$@" 2>&1); then ok "$promise"; else not_ok "$promise" "$output"; fi
}

# skip WHAT AND WHY: says so; where CI is set nothing may be skipped.
skip() {
  if [ -n "${CI:-}" ]; then not_ok "nothing is skipped" "$1"; else echo "SKIPPED: $part: $1"; fi
}

# skip_all WHAT AND WHY: this whole part.
skip_all() {
  skip "$1"
  finish
  exit
}

# must_be_built PROGRAM…
must_be_built() {
  local program
  for program in "$@"; do
    [ -x "$program" ] || { echo "$part: no $program: build it first" >&2; exit 1; }
  done
}

free_port() {
  python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}

fresh_secret() {
  head -c 32 /dev/urandom | base64 -w 0 | tr '+/' '-_' | tr -d '='
}

# in_background LOG COMMAND…: in a process group of its own, so that its children can be ended with it.
in_background() {
  local log=$1
  shift
  setsid "$@" >"$log" 2>&1 </dev/null &
  groups+=($!)
}

# stop_last: ends what in_background started last.
stop_last() {
  local group=${groups[-1]}
  unset 'groups[-1]'
  end_group "$group"
}

end_group() {
  kill -TERM -- "-$1" 2>/dev/null || true
  for _ in $(seq 50); do
    kill -0 -- "-$1" 2>/dev/null || break
    sleep 0.1
  done
  kill -KILL -- "-$1" 2>/dev/null || true
  wait "$1" 2>/dev/null || true
}

# wait_for_port PORT LOG
wait_for_port() {
  for _ in $(seq 100); do
    if (: >"/dev/tcp/127.0.0.1/$1") 2>/dev/null; then return 0; fi
    sleep 0.1
  done
  echo "$part: nothing listens on port $1 after 10 s; its log ends with:" >&2
  tail -20 "$2" >&2
  return 1
}

finish() {
  finished=yes
  echo "$part: $passed passed, $failed failed, $SECONDS s"
  [ "$failed" -eq 0 ]
}

clean_up() {
  local status=$?
  for group in "${groups[@]}"; do end_group "$group"; done
  if [ "$status" -ne 0 ] && [ -s "$log" ]; then
    echo "$part: the log ends with:"
    tail -20 "$log"
  fi
  rm -rf "$scratch"
  if [ "$finished" = no ]; then
    echo "FAILED: $part: stopped half way (exit $status)"
    [ "$status" -ne 0 ] || status=1
  fi
  exit "$status"
}
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
