#!/usr/bin/env bash
# Makes sure that what the end-to-end tests call is there: curl, jq, and in .tools/venv the SAM CLI (it brings
# cfn-lint and the Runtime Interface Emulator), the AWS CLI, moto for an SSM, and cargo-lambda; and libfaketime, with which 15 minutes
# pass in a second. Does nothing, quickly, when all of it is there.
set -euo pipefail
cd "$(dirname "$0")/.."

venv=.tools/venv
pins="aws-sam-cli==1.170.0 awscli==1.46.3 moto[server]==5.2.5 cargo-lambda==1.9.2"

missing=()
command -v curl >/dev/null || missing+=(curl)
command -v jq >/dev/null || missing+=(jq)
command -v faketime >/dev/null || missing+=(faketime)
# Debian's python3 has the module venv but not the ensurepip that it needs.
python3 -c 'import ensurepip, venv' 2>/dev/null || missing+=(python3-venv)
if [ ${#missing[@]} -gt 0 ]; then
  if ! command -v apt-get >/dev/null || [ "$(id -u)" -ne 0 ]; then
    echo "tools: please install ${missing[*]} (as root on Debian: apt-get install ${missing[*]})" >&2
    exit 1
  fi
  echo "tools: installing the Debian packages ${missing[*]}"
  apt-get -qq update
  DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends "${missing[@]}" >/dev/null
fi

# The stamp is written last, so an interrupted install is done again; it lies inside the venv, so it goes with it.
# The folder is part of it because a venv that was moved is broken.
stamp="$pins $PWD"
if [ "$(cat "$venv/.installed" 2>/dev/null || true)" != "$stamp" ]; then
  echo "tools: installing $pins into $venv (about 400 MB, a minute)"
  python3 -m venv --clear "$venv"
  export PIP_DISABLE_PIP_VERSION_CHECK=1
  "$venv/bin/pip" install -q "aws-sam-cli==1.170.0" "awscli==1.46.3" "moto[server]==5.2.5"
  # Its one dependency is zig, 411 MB, for cross builds; `watch` and `invoke` have no use for it.
  "$venv/bin/pip" install -q --no-deps "cargo-lambda==1.9.2"
  echo "$stamp" > "$venv/.installed"
fi
echo "tools: ready"
