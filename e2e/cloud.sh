# Sourced after lib.sh: the AWS emulator on loopback, template.yaml built and deployed into it by the real SAM CLI, and a browser's
# ways to what was deployed. Everything that AWS runs here lives by one clock, which a test moves on with `later`.
# shellcheck shell=bash disable=SC2034,SC2154

region=eu-west-1
bootstrap=$(realpath "${BOOTSTRAP:-target/release/bootstrap}")
cli=$(realpath "${CLI:-target/release/lambda-session}")
shots=${SHOTS:-target/e2e}
emulator=.tools/emulator/bin/python
faketime=$(find /usr/lib -name libfaketime.so.1 -print -quit)
nss_wrapper=$(find /usr/lib -name libnss_wrapper.so -print -quit)
cache_host=sessions.abc123.cfg.euw1.cache.amazonaws.com
serverless_host=s-abc123.serverless.euw1.cache.amazonaws.com
clock=$scratch/clock

case $(uname -m) in
  aarch64 | arm64) architecture=arm64 ;;
  *) architecture=x86_64 ;;
esac

# What the SAM CLI and the command line need to find the emulator, and nothing of who runs this.
export AWS_REGION=$region AWS_DEFAULT_REGION=$region AWS_ACCESS_KEY_ID=test AWS_SECRET_ACCESS_KEY=test
export AWS_CONFIG_FILE=/dev/null AWS_SHARED_CREDENTIALS_FILE=/dev/null AWS_EC2_METADATA_DISABLED=true
unset AWS_PROFILE AWS_SESSION_TOKEN AWS_ENDPOINT_URL_SSM SECRET_KEY_BASE SECRET_KEY_BASE_OLD SESSION_KEYS_PARAMETER

# lacks_for_emulator: what is missing, if anything is.
lacks_for_emulator() {
  local missing=()
  [ -e .tools/emulator/.installed ] || missing+=("the emulator in .tools/emulator")
  [ -n "$faketime" ] || missing+=(libfaketime)
  [ -n "$nss_wrapper" ] || missing+=(libnss-wrapper)
  command -v memcached >/dev/null || missing+=(memcached)
  command -v openssl >/dev/null || missing+=(openssl)
  [ ${#missing[@]} -eq 0 ] || echo "no ${missing[*]} (e2e/deployed-tools.sh says more)"
}

# need_emulator FOR-WHAT: what it calls is there, or the part ends here.
need_emulator() {
  local lacking
  must_be_built "$bootstrap" "$cli"
  bash e2e/deployed-tools.sh
  lacking=$(lacks_for_emulator)
  [ -z "$lacking" ] || skip_all "$1: $lacking"
}

# sign NAME SUBJECT-ALTERNATIVE-NAMES: a key and a certificate of the throw-away authority.
sign() {
  openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj "/CN=$1" -keyout "$scratch/$1.key" -out "$scratch/$1.csr" 2>/dev/null
  openssl x509 -req -days 30 -in "$scratch/$1.csr" -CA "$scratch/ca.pem" -CAkey "$scratch/ca.key" -CAcreateserial \
    -extfile <(echo "subjectAltName=$2") -out "$scratch/$1.pem" 2>/dev/null
  chmod a+r "$scratch/$1.key"
}

make_certificates() {
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 30 -subj /CN=authority \
    -keyout "$scratch/ca.key" -out "$scratch/ca.pem" 2>/dev/null
  # Wildcards are for one label each.
  sign gateway "DNS:*.execute-api.$region.amazonaws.com,DNS:*.lambda-url.$region.on.aws,DNS:*.$region.elb.amazonaws.com"
  sign cache "DNS:$cache_host,DNS:${cache_host/cfg/0001},DNS:${cache_host/cfg/0002},DNS:$serverless_host"
}

# later DURATION-IN-SECONDS: so much time passes, for all that AWS runs here.
later() {
  local ahead
  ahead=$(cat "$clock")
  # Replaced, not rewritten: a reader must never find it half written.
  echo "+$((${ahead#+} + $1))" >"$clock.new"
  mv "$clock.new" "$clock"
}

# on_the_clock COMMAND…
on_the_clock() {
  env LD_PRELOAD="$faketime" FAKETIME_TIMESTAMP_FILE="$clock" FAKETIME_NO_CACHE=1 FAKETIME_DONT_FAKE_MONOTONIC=1 "$@"
}

# start_node NAME: a memcached with TLS on $port.
start_node() {
  local user=()
  [ "$(id -u)" -ne 0 ] || user=(-u nobody)
  port=$(free_port)
  in_background "$scratch/memcached-$1.log" memcached -l 127.0.0.1 -p "$port" -U 0 -m 64 "${user[@]}" \
    -Z -o "ssl_chain_cert=$scratch/cache.pem,ssl_key=$scratch/cache.key"
  wait_for_port "$port" "$scratch/memcached-$1.log"
}

# start_cache: two nodes behind one configuration endpoint, with their process groups in `nodes`, and one for ElastiCache Serverless, which
# has one endpoint and no list of nodes.
start_cache() {
  local number port list=()
  nodes=()
  # The certificates are read as nobody.
  chmod 755 "$scratch"
  start_node serverless
  serverless_port=$port
  for number in 1 2; do
    start_node "$number"
    nodes+=("${groups[-1]}")
    list+=("${cache_host/cfg/000$number}:$port")
  done
  cache_port=$(free_port)
  in_background "$scratch/cache.log" python3 e2e/aws_cache.py "$cache_port" "$scratch/cache.pem" "$scratch/cache.key" "${list[@]}"
  wait_for_port "$cache_port" "$scratch/cache.log"
}

# start_emulator: with an empty environment, for functions inherit all of it. So do two settings reach them that the template does not
# have: MEMCACHE_TLS_CA, for on AWS a node's certificate is of a public authority, and MEMCACHE_TIMEOUT, for a test asserts what is
# answered on a busy machine too, not how fast. The names of the cache lead to loopback for them alone.
start_emulator() {
  api_port=$(free_port)
  tls_port=$(free_port)
  endpoint=http://127.0.0.1:$api_port
  mkdir -p "$scratch/home" "$scratch/record"
  {
    echo "127.0.0.1 localhost"
    echo "127.0.0.1 $cache_host"
    echo "127.0.0.1 $serverless_host"
  } >"$scratch/hosts"
  echo +0 >"$clock"
  log=$scratch/emulator.log
  in_background "$log" env -i PATH=/usr/bin:/bin HOME="$scratch/home" TMPDIR="$scratch/home" LANG=C.UTF-8 PYTHONDONTWRITEBYTECODE=1 \
    BIND_HOST=127.0.0.1 GATEWAY_PORT="$api_port" TLS_PORT="$tls_port" TLS_CERT="$scratch/gateway.pem" TLS_KEY="$scratch/gateway.key" \
    MINISTACK_HOST=localhost MINISTACK_REGION="$region" AWS_ENDPOINT_URL="$endpoint" AUTH=true \
    CACHE_ENDPOINT="$cache_host:$cache_port" SERVERLESS_ENDPOINT="$serverless_host:$serverless_port" MEMCACHE_TLS_CA="$scratch/ca.pem" MEMCACHE_TIMEOUT=1s RECORD="$scratch/record" \
    IOT_MTLS_ENABLED=0 SFTP_ENABLED=0 DOCKER_HOST=unix:///nonexistent LOG_LEVEL=INFO \
    FUNCTION_PRELOAD="$faketime:$nss_wrapper" NSS_WRAPPER_HOSTS="$scratch/hosts" \
    FAKETIME_TIMESTAMP_FILE="$clock" FAKETIME_NO_CACHE=1 FAKETIME_DONT_FAKE_MONOTONIC=1 \
    "$emulator" e2e/ministack_aws.py
  export AWS_ENDPOINT_URL=$endpoint
  for _ in $(seq 300); do
    if curl -fsS -o /dev/null "$endpoint/_ministack/health" 2>/dev/null; then return 0; fi
    kill -0 "${groups[-1]}" 2>/dev/null || break
    sleep 0.1
  done
  echo "$part: the emulator does not start" >&2
  return 1
}

# keys WORDS…: the real command line, on the clock of all.
keys() { on_the_clock "$cli" keys "$@"; }

build_stack() {
  PREBUILT=$bootstrap sam build --build-dir "$scratch/build" --parameter-overrides Architecture="$architecture"
}

# deploy NAME [PARAMETER=VALUE…]: the shipped template and samconfig.toml, as a user deploys them.
deploy() {
  local name=$1
  shift
  # It would look for samconfig.toml beside what was built.
  sam deploy --config-file "$root/samconfig.toml" --template-file "$scratch/build/template.yaml" --stack-name "$name" \
    --no-confirm-changeset --no-progressbar --parameter-overrides Architecture="$architecture" "$@" &&
    sam list stack-outputs --stack-name "$name" --output json 2>/dev/null |
    jq 'map({key: .OutputKey, value: .OutputValue}) | from_entries' >"$scratch/$name.json"
}

# edit WORDS…: behind CloudFormation's back.
edit() { .tools/venv/bin/python e2e/aws_edit.py "$@"; }

# output STACK KEY: one of its outputs; nothing where it has none.
output() { jq -r --arg key "$2" '.[$key] // empty' "$scratch/$1.json"; }

# browse JAR URL [CURL-OPTION…]: by the stack's own URL, with a cookie jar, over TLS.
browse() {
  local jar=$1 url=$2
  shift 2
  curl -sS --max-time 60 --connect-to "::127.0.0.1:$tls_port" --cacert "$scratch/ca.pem" -b "$jar" -c "$jar" "$@" "$url"
}

# cookie_in JAR: the session's cookie, as NAME=VALUE.
cookie_in() { awk '$6 == "__Host-session" { print $6 "=" $7 }' "$1"; }

# keep_up: leaves the stacks to whoever runs this, until Return is pressed.
keep_up() {
  local stack
  for stack in cookie memcached; do jq -r '"\(input_filename): \(to_entries[] | "\(.key) \(.value)")"' "$scratch/$stack.json"; done
  echo "curl --connect-to ::127.0.0.1:$tls_port --cacert $scratch/ca.pem -b jar -c jar URL"
  echo "chromium --user-data-dir=$scratch/chromium --host-resolver-rules='MAP * 127.0.0.1:$tls_port' --ignore-certificate-errors URL"
  echo "AWS_ENDPOINT_URL=$endpoint AWS_REGION=$region AWS_ACCESS_KEY_ID=test AWS_SECRET_ACCESS_KEY=test aws …; the emulator's log is $log"
  read -rp "Return ends all of it. "
}
