#!/usr/bin/env bash
# A ring in SSM through every command of `lambda-session keys`, while environments of the real bootstrap serve sessions.
. "$(dirname "$0")/lib.sh"

bootstrap=$(realpath "${BOOTSTRAP:-target/release/bootstrap}")
cli=$(realpath "${CLI:-target/release/lambda-session}")
must_be_built "$bootstrap" "$cli"
library=$(find /usr/lib -name libfaketime.so.1 -print -quit)
[ -n "$library" ] || { echo "$part: no libfaketime: e2e/tools.sh installs it" >&2; exit 1; }

clock=$scratch/clock
echo +0 >"$clock"
log=$scratch/function.log
port=$(free_port)
# It writes down when a parameter was written, so it lives by the same clock.
in_background "$scratch/moto.log" env -i PATH="$PATH" LD_PRELOAD="$library" FAKETIME_TIMESTAMP_FILE="$clock" \
  FAKETIME_NO_CACHE=1 FAKETIME_DONT_FAKE_MONOTONIC=1 moto_server -H 127.0.0.1 -p "$port"
wait_for_port "$port" "$scratch/moto.log"

status=0
BOOTSTRAP=$bootstrap CLI=$cli CLOCK=$clock SSM=http://127.0.0.1:$port FAKETIME_LIBRARY=$library LOG=$log \
  python3 e2e/fleet.py >"$scratch/promises" || status=$?
promises "$scratch/promises"
same "all commands and environments lived to the end" "$status" 0

# Every secret that the parameter ever held. moto does not check signatures.
curl -sS --max-time 30 "http://127.0.0.1:$port/" -H 'X-Amz-Target: AmazonSSM.GetParameterHistory' \
  -H 'Content-Type: application/x-amz-json-1.1' \
  -H 'Authorization: AWS4-HMAC-SHA256 Credential=AK/20261122/eu-west-1/ssm/aws4_request, SignedHeaders=host, Signature=0' \
  -d '{"Name": "/shop/prod/session/keys", "WithDecryption": true}' |
  jq -r '.Parameters[].Value' | awk '{ print $3 }' | sort -u >"$scratch/secrets"
matches "the ring held several secrets in all" "$(wc -l <"$scratch/secrets")" '^[5-9]$'
matches "the functions logged at TRACE" "$(grep -c '^TRACE' "$log")" '^[0-9]{3,}$'
same "and no secret is in their log" "$(grep -cFf "$scratch/secrets" "$log" || true)" 0

finish
