#!/usr/bin/env bash
# README.md, walked through in a clean clone, with the AWS emulator for AWS.
. "$(dirname "$0")/lib.sh"
. e2e/cloud.sh

bash e2e/deployed-tools.sh
lacking=$(lacks_for_emulator)
if [ -n "$lacking" ]; then
  skip "README: $lacking"
  finish
  exit
fi

make_certificates
start_cache
start_emulator

# What has been compiled before it takes along: only the crate itself is built anew.
mkdir "$scratch/clone" "$scratch/bin"
tar --create --exclude=target --exclude=./.git --exclude=./.tools --exclude=./.aws-sam --exclude='./.env*' . | tar --extract --directory="$scratch/clone"
ln -s "$root/target" "$scratch/clone/target"
ln -s "$cli" "$scratch/bin/lambda-session"
sed -i "s/Architecture=arm64/Architecture=$architecture/" "$scratch/clone/samconfig.toml"
port=$(free_port)
export PREBUILT=$bootstrap PATH=$scratch/bin:$PATH CARGO_TERM_COLOR=never CARGO_INCREMENTAL=0

# `.ci/run` runs all tests in a step of its own; docs/getting-started.md installs the command line.
python3 e2e/walk.py README.md "$scratch/clone" "make test=make --dry-run test" \
  "cargo install --locked --path . --features cli,memcached,ssm=lambda-session --version" \
  "localhost:3000=localhost:$port" "lambda-session serve=lambda-session serve --port $port" >"$scratch/promises" ||
  not_ok "the page was read to its end"
while read -r line; do
  same "$(jq -r '.[0]' <<<"$line")" "$(jq -r '.[1]' <<<"$line")" "$(jq -r '.[2]' <<<"$line")"
done <"$scratch/promises"
same "the page has its commands" "$(wc -l <"$scratch/promises")" 6
same "a clone's secret is for one's own eyes" "$(stat -c %a "$scratch/clone/.env")" 600

finish
