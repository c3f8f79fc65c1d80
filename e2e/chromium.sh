# Sourced by deployed.sh: the flows of a browser, e2e/browser/flows.js, once a stack.
# shellcheck shell=bash disable=SC2154

# Debian 12's Node.js is too old; e2e/deployed-tools.sh has put one here where that is so.
node=.tools/emulator/bin/node
[ -x "$node" ] || node=$(command -v node || true)

# lacks_for_browser: what is missing, if anything is.
lacks_for_browser() {
  local missing=()
  command -v chromium >/dev/null || missing+=(chromium)
  [ -n "$node" ] || missing+=(Node.js)
  [ -e .tools/browser/.installed ] || missing+=("playwright-core in .tools/browser")
  [ ${#missing[@]} -eq 0 ] || echo "no ${missing[*]} (e2e/deployed-tools.sh says more)"
}

# a_browser STACK
a_browser() {
  local stack=$1 status=0
  # The dashboard's address is of AWS's console.
  jq -c 'del(.DashboardUrl) | with_entries(select(.key | endswith("Url")) | .key |= rtrimstr("Url"))' "$scratch/$stack.json" >"$scratch/doors"
  env -i PATH=/usr/bin:/bin HOME="$scratch/home" TMPDIR="$scratch" NODE_PATH="$root/.tools/browser/node_modules" \
    STACK="$stack" DOORS="$(cat "$scratch/doors")" \
    CHROMIUM="$(command -v chromium)" TLS_PORT="$tls_port" SHOTS="$shots" CLOCK="$clock" NODES="${nodes[*]}" \
    ROTATE="LD_PRELOAD=$faketime FAKETIME_TIMESTAMP_FILE=$clock FAKETIME_NO_CACHE=1 AWS_ENDPOINT_URL=$endpoint AWS_REGION=$region \
      AWS_ACCESS_KEY_ID=test AWS_SECRET_ACCESS_KEY=test $cli keys rotate --parameter $parameter" \
    "$node" e2e/browser/flows.js >"$scratch/flows-$stack" 2>"$scratch/flows-$stack.err" || status=$?
  promises "$scratch/flows-$stack"
  same "$stack: Chromium: every flow went to its end" "$status $(tail -5 "$scratch/flows-$stack.err")" "0 "
}

lacking=$(lacks_for_browser)
if [ -n "$lacking" ]; then
  skip "what a browser does: $lacking"
else
  rm -rf "$shots"
  mkdir -p "$shots"
  for stack in cookie memcached; do
    a_browser "$stack"
  done
  # The same on a developer's machine, where there is no TLS: a __Host- cookie of localhost.
  port=$(free_port)
  in_background "$scratch/serve.log" env -i PATH=/usr/bin:/bin SECRET_KEY_BASE="$(fresh_secret)" "$cli" serve --bootstrap "$bootstrap" --port "$port"
  wait_for_port "$port" "$scratch/serve.log"
  echo "{\"LocalhostUrl\": \"http://localhost:$port/\"}" >"$scratch/serve.json"
  a_browser serve
  stop_last
  echo "$part: screenshots are in $shots"
fi
