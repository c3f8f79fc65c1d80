#!/usr/bin/env bash
# with-memcached.sh COMMAND…: runs a command with a memcached at hand. Where nothing listens on this machine's port, one is
# started, and stopped again after the command. Servers elsewhere (MEMCACHE_SERVERS) are left to their owner.
set -euo pipefail

tell() { echo "with-memcached: $1" >&2; }

# As a function reads it: the process wins over files, .env.local over .env, the last line of a file over those before.
servers() {
  local file line
  if [ -n "${MEMCACHE_SERVERS:-}" ]; then
    echo "$MEMCACHE_SERVERS"
    return
  fi
  for file in .env.local .env; do
    line=$(sed -nE 's/^[[:space:]]*(export[[:space:]]+)?MEMCACHE_SERVERS=//p' "$file" 2>/dev/null | tail -n 1)
    if [ -n "$line" ]; then
      tr -d "\"' \r" <<<"$line"
      return
    fi
  done
  echo localhost:11211
}

listens() { (: >"/dev/tcp/localhost/$1") 2>/dev/null; }

install_memcached() {
  if ! command -v apt-get >/dev/null || [ "$(id -u)" -ne 0 ]; then
    tell "memcached is not here: please install it (as root on Debian: apt-get install memcached), then run this again"
    exit 3
  fi
  tell "installing memcached: sessions are to be kept in it"
  apt-get -qq update
  DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends memcached >/dev/null
}

server=$(servers)
case $server in
  localhost | 127.0.0.1) port=11211 ;;
  localhost:*[!0-9]* | 127.0.0.1:*[!0-9]* | *,*) port= ;;
  localhost:* | 127.0.0.1:*) port=${server##*:} ;;
  *) port= ;;
esac

if [ -z "$port" ]; then
  tell "sessions are kept in $server (MEMCACHE_SERVERS)"
  exec "$@"
fi
# Where there is systemd, the package starts one for good.
listens "$port" || command -v memcached >/dev/null || install_memcached
if listens "$port"; then
  tell "sessions are kept in the memcached that runs on localhost:$port"
  exec "$@"
fi

user=()
[ "$(id -u)" -ne 0 ] || user=(-u nobody)
memcached -l 127.0.0.1 -p "$port" -U 0 -m 64 "${user[@]}" &
memcached=$!
trap 'kill "$memcached" 2>/dev/null || true; wait "$memcached" 2>/dev/null || true' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
for _ in $(seq 100); do
  if listens "$port"; then break; fi
  if ! kill -0 "$memcached" 2>/dev/null; then
    tell "memcached does not start on localhost:$port"
    exit 3
  fi
  sleep 0.05
done
tell "started a memcached on localhost:$port; it ends with this command, and its sessions with it"
"$@"
