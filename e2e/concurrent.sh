#!/usr/bin/env bash
# The real bootstrap in the Runtime Interface Emulator's mode for Managed Instances, four requests at once: four that wait for each
# other are all answered; and of 10,000 requests of 100 browsers nobody is given another's session. The emulator wants the program in
# /var/task, so it runs in a mount namespace of its own, where /var is an overlay; that needs root. Cookie, memory, and a real memcached.
. "$(dirname "$0")/lib.sh"
. e2e/emulator.sh

at_once=4
browsers=100
visits=100

if ! unshare -m sh -c 'mount -t tmpfs none /mnt && mkdir /mnt/u /mnt/w && mount -t overlay overlay -o lowerdir=/var,upperdir=/mnt/u,workdir=/mnt/w /var' 2>/dev/null; then
  skip_all "four requests at once: no mount namespace of its own can be had here; run it as root, where unshare and overlay mounts are allowed"
fi

# start_instance NAME [VARIABLE=VALUE…]
start_instance() {
  emulate "$1" "" unshare -m sh -euc '
    program=$1 && shift
    mount -t tmpfs none /mnt
    mkdir /mnt/u /mnt/w
    mount -t overlay overlay -o lowerdir=/var,upperdir=/mnt/u,workdir=/mnt/w /var
    mkdir -p /var/task
    cp "$program" /var/task/bootstrap
    exec "$@"
  ' sh "$bootstrap" env -i "${given[@]}" AWS_LAMBDA_MAX_CONCURRENCY="$at_once" "${@:2}"
}

sessions_do_not_mix() {
  local store=$1
  passes "$store: $((browsers * visits)) requests, $at_once at once, and nobody is given another's session" \
    timeout 600 python3 e2e/browsers.py "$port" "$browsers" "$visits" "$at_once"
  lacks "$store: the function knows that it serves several at once" "$(cat "$log")" "running sequentially"
  # The emulator's own lines begin with a time.
  same "$store: the function logs no error" "$(grep -v '^time=' "$log" | grep ERROR || true)" ""
  same "$store: nothing panicked" "$(grep -i panicked "$log" || true)" ""
}

cache=$(free_port)
in_background "$scratch/memcached.log" env MEMCACHE_SERVERS="localhost:$cache" e2e/with-memcached.sh sleep 600
wait_for_port "$cache" "$scratch/memcached.log"

# Each request reads its session, and no read is answered before three others are under way.
meeting=$(free_port)
in_background "$scratch/meeting.log" python3 e2e/meeting.py "$meeting" "$cache" "$at_once"
wait_for_port "$meeting" "$scratch/meeting.log"
start_instance together SECRET_KEY_BASE="$(fresh_secret)" SESSION_STORE=memcached MEMCACHE_SERVERS="localhost:$meeting" MEMCACHE_TIMEOUT=5s
passes "$at_once requests are in work at the same time: each waits for the others, and all are answered" \
  timeout 60 python3 e2e/browsers.py "$port" "$at_once" 6 "$at_once"
same "and so each time" "$(sort "$scratch/meeting.log" | uniq -c | xargs)" "5 $at_once readers have met"
stop_last

for store in cookie memory memcached; do
  start_instance "$store" SECRET_KEY_BASE="$(fresh_secret)" SESSION_STORE="$store" MEMCACHE_SERVERS="localhost:$cache"
  sessions_do_not_mix "$store"
  stop_last
done

finish
