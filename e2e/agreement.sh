# Sourced by deployed.sh: the same exchanges through `lambda-session serve` and through the stack's front doors (e2e/agree.py). The
# function behind both is e2e/parrot.py, which takes the place of the stack's.
# shellcheck shell=bash disable=SC2154

# exchange KIND OUTPUT: in the background.
exchange() {
  KIND=$1 URL=$(output memcached "$2") TLS_PORT=$tls_port CA=$scratch/ca.pem RECORD=$scratch/record/$1 CLI=$cli SCRATCH=$scratch \
    python3 e2e/agree.py >"$scratch/agreed-$1" 2>"$scratch/agree-$1.err" &
  exchanging=$!
}

# agreed KIND PROCESS
agreed() {
  local status=0
  wait "$2" || status=$?
  promises "$scratch/agreed-$1"
  same "$1: all exchanges went to their end" "$status $(tail -5 "$scratch/agree-$1.err")" "0 "
}

edit code "$(output memcached FunctionName)" e2e/parrot.py
# The emulator waits more than it works.
exchange http-api HttpApiUrl
http_api=$exchanging
exchange function-url FunctionUrl
function_url=$exchanging
exchange rest RestApiUrl
rest=$exchanging
exchange alb-multi LoadBalancerUrl
agreed alb-multi "$exchanging"
edit multi off memcached
exchange alb LoadBalancerUrl
agreed alb "$exchanging"
agreed http-api "$http_api"
agreed function-url "$function_url"
agreed rest "$rest"
