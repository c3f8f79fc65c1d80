#!/usr/bin/env bash
# Builds the function for arm64 on an x86_64 Debian and lets it answer events under qemu: once with sessions in the cookie, once with
# memcached. A Rust that can make arm64 programs comes from Debian (rustc-web, which is for such uses), zig from PyPI; both lie in
# .tools, and nothing else on this machine changes. It checks the cross build, not the release compiler: Debian's Rust is another version.
set -euo pipefail
cd "$(dirname "$0")/.."

stop() {
  echo "arm64-check: $1" >&2
  exit 3
}
[ "$(uname -m)" = x86_64 ] || stop "this machine is $(uname -m): run the function itself, there is nothing to cross"
command -v apt-get >/dev/null || stop "it takes packages of Debian, and there is no apt-get here"

tools=$PWD/.tools/arm64
stamp="debian packages, $PWD"

# The value of a field in a package's record, less versions: "libc6 (>= 2.36), libllvm22" gives a name a line.
depends_of() {
  apt-cache show --no-all-versions "$1" | sed -n 's/^Depends: //p' | tr ',' '\n' | sed -E 's/^ *([^ :]+).*/\1/'
}

install_rust() {
  echo "arm64-check: fetching Debian's Rust for arm64 and qemu into .tools/arm64 (about 800 MB, half a minute)"
  rm -rf "$tools"
  mkdir -p "$tools"/{lists/partial,archives/partial,debs,root,arm64}
  # Lists of our own, so that this machine's know no second architecture.
  cat >"$tools/apt.conf" <<CONF
APT::Architectures { "amd64"; "arm64"; };
APT::Sandbox::User "root";
Dir::State::lists "$tools/lists";
Dir::Cache::archives "$tools/archives";
Dir::Cache::pkgcache "$tools/pkgcache.bin";
Dir::Cache::srcpkgcache "$tools/srcpkgcache.bin";
CONF
  export APT_CONFIG=$tools/apt.conf
  apt-get -qq update
  # Their names carry versions, and move with them.
  local std llvm
  std=$(depends_of libstd-rust-web-dev:amd64 | grep -m1 '^libstd-rust-web-[0-9]')
  llvm=$(depends_of "$std:amd64" | grep -m1 '^libllvm')
  (
    cd "$tools/debs"
    apt-get -qq download rustc-web:amd64 libstd-rust-web-dev:amd64 "$std:amd64" "$llvm:amd64" libstd-rust-web-dev:arm64 \
      libc6:arm64 libgcc-s1:arm64 qemu-user-static:amd64
    for file in rustc-web_* libstd-rust-web-* libllvm* qemu-user-static_*; do dpkg -x "$file" ../root; done
    for file in libc6_* libgcc-s1_*; do dpkg -x "$file" ../arm64; done
  )
  unset APT_CONFIG
  rm -rf "$tools"/{lists,archives,debs} "$tools"/*.bin
  cat >"$tools/rustc" <<WRAPPER
#!/bin/sh
export LD_LIBRARY_PATH=$tools/root/usr/lib/x86_64-linux-gnu
exec $tools/root/usr/bin/rustc "\$@"
WRAPPER
  chmod +x "$tools/rustc"
  echo "$stamp" >"$tools/.installed"
}

deploy/tools.sh
[ "$(cat "$tools/.installed" 2>/dev/null || true)" = "$stamp" ] || install_rust
"$tools/rustc" --version

# A folder of its own: with another compiler cargo would build everything in target anew.
export CARGO_TARGET_DIR=target/arm64
RUSTC=$tools/rustc ARCHITECTURE=arm64 deploy/build.sh "$CARGO_TARGET_DIR/function"

function=$CARGO_TARGET_DIR/function/run
printf '#!/bin/sh\nexec %s -L %s %s\n' "$tools/root/usr/bin/qemu-aarch64-static" "$tools/arm64" "$PWD/$CARGO_TARGET_DIR/function/bootstrap" >"$function"
chmod +x "$function"

# The same two visits that `make invoke` plays: what the first keeps, the second must find.
SECRET_KEY_BASE=$(target/debug/lambda-session secret)
export SECRET_KEY_BASE
port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
events=(events/http-api-first.json events/http-api-returning.json)
failed=0
for store in cookie memcached; do
  with=()
  [ "$store" = cookie ] || with=(env MEMCACHE_SERVERS="localhost:$port" e2e/with-memcached.sh)
  seen=$(SESSION_STORE=$store "${with[@]}" target/debug/lambda-session invoke --timeout 60s --bootstrap "$function" "${events[@]}" 2>&1) || true
  if [ "$(grep -c '"color": "blue"' <<<"$seen")" = 1 ]; then
    echo "ok: arm64-check: under qemu a session in the $store comes back"
  else
    failed=$((failed + 1))
    printf 'FAILED: arm64-check: under qemu a session in the %s comes back\n%s\n' "$store" "$seen"
  fi
done
echo "arm64-check: $((2 - failed)) passed, $failed failed"
[ "$failed" -eq 0 ]
