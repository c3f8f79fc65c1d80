# Sourced after lib.sh: the real bootstrap in AWS's own Runtime Interface Emulator.
# shellcheck shell=bash disable=SC2154
. e2e/event.sh

bootstrap=$(realpath "${BOOTSTRAP:-target/release/bootstrap}")
must_be_built "$bootstrap"

case $(uname -m) in
  aarch64 | arm64) machine=arm64 ;;
  *) machine=x86_64 ;;
esac
emulator=$(.tools/venv/bin/python -c "import samcli.local; print(list(samcli.local.__path__)[0])")/rapid/aws-lambda-rie-$machine

# What every function is given, and nothing else of ours.
given=(PATH=/usr/bin:/bin AWS_REGION=eu-west-1 AWS_ACCESS_KEY_ID=AK AWS_SECRET_ACCESS_KEY=SK AWS_LAMBDA_FUNCTION_TIMEOUT=10)

# emulate NAME PROGRAM COMMAND…: the emulator on $port, started by the command; with a program, or none for the one in /var/task.
emulate() {
  local name=$1 program=$2 api
  shift 2
  log=$scratch/$name.log
  port=$(free_port)
  api=$(free_port)
  # Its default address is open to every network interface.
  in_background "$log" "$@" "$emulator" --runtime-interface-emulator-address "127.0.0.1:$port" \
    --runtime-api-address "127.0.0.1:$api" ${program:+"$program"}
  wait_for_port "$port" "$log"
}

# start_function NAME [VARIABLE=VALUE…]: a function with these variables, in a folder without .env.
start_function() { emulate "$1" "$bootstrap" env -i -C "$scratch" "${given[@]}" "${@:2}"; }

# invoke: the event on standard input to the function. One at a time: two at once crash the emulator.
invoke() {
  curl -sS --max-time 30 --data-binary @- "http://127.0.0.1:$port/2015-03-31/functions/function/invocations"
}

visit() { invoke <"events/$1.json"; }

visit_with() { with_cookie "events/$1.json" "$2" | invoke; }

# logs_hide SECRET-OR-TOKEN…: none of them is in the log of any function started.
logs_hide() {
  local hidden found
  found=$(for hidden in "$@"; do grep -F -- "${hidden:-an empty one}" "$scratch"/*.log || true; done)
  same "no secret and no cookie is in any log" "$found" ""
}
