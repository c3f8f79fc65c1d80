#!/usr/bin/env bash
# template.yaml as it is shipped, deployed by the real SAM CLI into an AWS emulator, visited with curl and with Chromium: once with
# sessions in the cookie, once with sessions in memcached, through every front door that the template has.
. "$(dirname "$0")/lib.sh"
. e2e/cloud.sh
. e2e/visits.sh
. e2e/troubles.sh

need_emulator "everything that is deployed"
parameter=/lambda-session/prod/session/keys
make_certificates
start_cache
start_emulator

passes "keys init: the command line makes the ring in SSM" keys init --parameter "$parameter"
passes "sam build: the shipped template" build_stack
read -r vpc subnets <<<"$(edit network)"
doors=(HttpApi RestApi FunctionUrl LoadBalancer)
open=("${doors[@]/%/=yes}" PublicSubnetIds="$subnets" VpcId="$vpc" CertificateArn="arn:aws:acm:$region:000000000000:certificate/throw-away")
passes "sam deploy: sessions in the cookie" deploy cookie KeysParameter="$parameter" "${open[@]}"
passes "sam deploy: sessions in memcached" deploy memcached KeysParameter="$parameter" "${open[@]}" \
  Store=memcached SubnetIds="$subnets" Metrics=yes Dashboard=yes
passes "sam deploy: sessions in ElastiCache Serverless" deploy serverless KeysParameter="$parameter" \
  Store=memcached Cache=serverless VpcId="$vpc" SubnetIds="$subnets"
declare -A address
for stack in cookie memcached; do
  for door in "${doors[@]}"; do
    address[$stack $door]=$(output "$stack" "${door%Url}Url")
    matches "$stack: the stack says where its $door is" "${address[$stack $door]}" '^https://'
  done
done

everywhere a_visitor
a_visitor serverless HttpApi "$(output serverless HttpApiUrl)" "$scratch/jar-serverless"

a_rotation
a_node_down
an_expiry
. e2e/chromium.sh
[ -z "${KEEP:-}" ] || keep_up
least_privilege
each_alarm_has_its_metric
. e2e/agreement.sh

for stack in cookie memcached serverless; do
  edit log "$(output "$stack" LogGroupName)" >"$scratch/$stack.log"
  matches "$stack: the function logs into the template's group" "$(grep -c START "$scratch/$stack.log")" '^[0-9]{2,}$'
  same "$stack: nothing panicked" "$(grep -i panicked "$scratch/$stack.log" || true)" ""
done
matches "memcached: with Metrics=yes what happens to sessions is counted there" "$(grep -c '"CloudWatchMetrics"' "$scratch/memcached.log")" '^[0-9]{2,}$'
same "cookie: and by default nothing is" "$(grep -c '"CloudWatchMetrics"' "$scratch/cookie.log" || true)" 0
cat "$scratch"/jar-* | awk '$6 == "__Host-session" { print $7 }' >"$scratch/tokens"
matches "the jars hold tokens to look for" "$(wc -l <"$scratch/tokens")" '^[0-9]{2,}$'
same "no cookie is in any log" "$(grep -cFf "$scratch/tokens" "$scratch"/*.log | grep -v ':0$' || true)" ""

finish
