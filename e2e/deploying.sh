#!/usr/bin/env bash
# docs/deploying-with-sam.md, walked through against the AWS emulator: from keys to a URL, another cache, another version, and away.
. "$(dirname "$0")/lib.sh"
. e2e/cloud.sh

need_emulator "the page on deploying"
make_certificates
start_cache
start_emulator
read -r VPC_ID SUBNET_IDS <<<"$(.tools/venv/bin/python e2e/aws_edit.py network)"

# What a reader copies. The bootstrap is there, for this machine: samconfig.toml says so, as the page tells who wants that.
mkdir -p "$scratch/clone" "$scratch/bin" "$scratch/shop/src"
cp -r template.yaml samconfig.toml Makefile deploy "$scratch/clone/"
sed -i "s/Architecture=arm64/Architecture=$architecture/" "$scratch/clone/samconfig.toml"
# The application of the other page, which is built here, quickly: how fast it is others ask.
python3 e2e/walk.py --files docs/getting-started.md "$scratch/shop" "../lambda-session=$root"
export CARGO_PROFILE_RELEASE_OPT_LEVEL=0 CARGO_PROFILE_RELEASE_CODEGEN_UNITS=16 CARGO_TERM_COLOR=never
ln -s "$cli" "$scratch/bin/lambda-session"
# curl takes the emulator for AWS.
printf 'connect-to = "::127.0.0.1:%s"\ncacert = "%s"\n' "$tls_port" "$scratch/ca.pem" >"$scratch/.curlrc"
export VPC_ID SUBNET_IDS PUBLIC_SUBNET_IDS=$SUBNET_IDS CERTIFICATE_ARN=arn:aws:acm:$region:000000000000:certificate/throw-away
export PREBUILT=$bootstrap CURL_HOME=$scratch PATH=$scratch/bin:$PATH

# docs/getting-started.md installs the command line.
python3 e2e/walk.py docs/deploying-with-sam.md "$scratch/clone" \
  "cd ../shop=cd ../shop; unset PREBUILT; export CARGO_TARGET_DIR=$root/target/shop" "--path ../lambda-session=--path $root" \
  "../lambda-session/=../clone/" \
  "cargo install --locked --path . --features cli,memcached,ssm=lambda-session --version" >"$scratch/promises" ||
  not_ok "the page was read to its end"
promises "$scratch/promises"
matches "the page has its commands" "$(wc -l <"$scratch/promises")" '^[12][0-9]$'
same "and leaves no key behind" "$(aws ssm get-parameters --names /lambda-session/prod/session/keys --query 'length(Parameters)')" 0
same "and leaves no function behind" \
  "$(.tools/venv/bin/python -c 'import boto3; print(len(boto3.client("lambda").list_functions()["Functions"]))')" 0

finish
