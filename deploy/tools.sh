#!/usr/bin/env bash
# cargo-lambda and zig, with which bootstrap is built for either architecture and for the glibc of Amazon Linux 2023.
# Does nothing, quickly, when both are there. They come from PyPI; no Rust toolchain is touched.
set -euo pipefail
cd "$(dirname "$0")/.."

venv=.tools/zig
pins="cargo-lambda==1.9.2 ziglang==0.17.1"

# The stamp is written last, so an interrupted install is done again. A venv that was moved is broken, so the folder is part of it.
stamp="$pins $PWD"
if [ "$(cat "$venv/.installed" 2>/dev/null || true)" != "$stamp" ]; then
  python3 -c 'import ensurepip, venv' 2>/dev/null || {
    echo "build-tools: python3 with venv is not here: install it (on Debian: apt-get install python3-venv), then run this again" >&2
    exit 3
  }
  echo "build-tools: installing $pins into $venv (about 450 MB, a minute)"
  python3 -m venv --clear "$venv"
  # shellcheck disable=SC2086
  "$venv/bin/pip" install -q --disable-pip-version-check $pins
  echo "$stamp" >"$venv/.installed"
fi
echo "build-tools: ready"
