#!/usr/bin/env bash
# build.sh FOLDER: leaves bootstrap in FOLDER, built for the architecture that template.yaml's parameter asks for. `sam build` calls it
# through the Makefile.
#
# ARCHITECTURE=arm64|x86_64 where SAM does not call it; PREBUILT=FILE to take a bootstrap that is there, after the same checks.
# FUNCTION_FEATURES are the Makefile's to say.
# Never downloads a toolchain: what is missing is said, with the way out.
set -euo pipefail
# cargo-lambda would run `rustup target add` by itself, and cargo and rustc, where rustup stands before them, would fetch the toolchain
# that a rust-toolchain.toml asks for. In the middle of a build none may, and none has anywhere to ask.
export RUSTUP_DIST_SERVER=http://127.0.0.1:1 RUSTUP_UPDATE_ROOT=http://127.0.0.1:1
artifacts=$(realpath -m "$1")
cd "$(dirname "$0")/.."

# None is an answer too.
features=${FUNCTION_FEATURES?is given by the Makefile}
# The glibc of Amazon Linux 2023, on which provided.al2023 runs.
glibc=2.34

stop() {
  printf 'build: %s\n' "$@" >&2
  exit 1
}

# SAM tells a Makefile nothing of the architecture, but writes down what it is about to build before it calls make.
written_down() {
  sed -n 's/^architecture = "\(.*\)"$/\1/p' "$artifacts/../../build.toml" 2>/dev/null | sort -u
}

# Bytes 18 and 19 of an ELF file say what it runs on.
machine_of() {
  case $(od -An -tx1 -j18 -N2 "$1" | tr -d ' ') in
    b700) echo arm64 ;;
    3e00) echo x86_64 ;;
    *) echo "something else" ;;
  esac
}

# The newest version of glibc that a binary asks for; none for one that is linked statically.
glibc_of() {
  { grep -aoE 'GLIBC_[0-9]+(\.[0-9]+)+' "$1" || true; } | cut -d_ -f2 | sort -uV | tail -1
}

zig_tools() {
  if [ -x .tools/zig/bin/cargo-lambda ]; then
    PATH=$PWD/.tools/zig/bin:$PATH
  fi
  command -v cargo-lambda >/dev/null && { command -v zig >/dev/null || python3 -c 'import ziglang' 2>/dev/null; }
}

case $(uname -m) in
  aarch64 | arm64) here=arm64 ;;
  *) here=x86_64 ;;
esac
wanted=${ARCHITECTURE:-$(written_down)}
case $wanted in
  arm64) target=aarch64-unknown-linux-gnu flag=--arm64 ;;
  x86_64) target=x86_64-unknown-linux-gnu flag=--x86-64 ;;
  *) stop "is it for arm64 or x86_64? SAM's build.toml does not say (\"$wanted\"): set ARCHITECTURE" ;;
esac

# The tools are missing for people who have not asked for a cross build more often than not, so the other way out comes last.
other_way="  or deploy for this machine: sam build --parameter-overrides Architecture=$here, and the same for sam deploy"
if [ -n "${PREBUILT:-}" ]; then
  built=$PREBUILT
elif zig_tools; then
  [ -d "$("${RUSTC:-rustc}" --print target-libdir --target "$target")" ] || stop \
    "this Rust has no standard library for $target" "  add it once: rustup target add $target" "$other_way"
  # Its own idea of a release has panic = "abort", with which one panicking handler kills the environment: Cargo.toml's is kept.
  cargo-lambda lambda build --release --locked "$flag" --skip-target-check --disable-optimizations \
    --features "$features" --bin bootstrap --lambda-dir "${CARGO_TARGET_DIR:-target}/lambda/$wanted"
  built=${CARGO_TARGET_DIR:-target}/lambda/$wanted/bootstrap/bootstrap
elif [ "$wanted" = "$here" ]; then
  command -v "${CARGO:-cargo}" >/dev/null || stop "cargo is not here: install Rust 1.88 or later (https://rustup.rs), then build again"
  "${CARGO:-cargo}" build --locked --release --features "$features" --bin bootstrap
  built=${CARGO_TARGET_DIR:-target}/release/bootstrap
else
  stop "the template asks for $wanted, this machine is $here, and there is no cargo-lambda with zig to cross it" \
    "  install them once, from PyPI: make build-tools" \
    "  and the standard library, if it is not there: rustup target add $target" "$other_way"
fi

[ "$(machine_of "$built")" = "$wanted" ] || stop \
  "$built is for $(machine_of "$built"), and the template asks for $wanted" "$other_way"
needs=$(glibc_of "$built")
[ "$(printf '%s\n' "$needs" "$glibc" | sort -V | tail -1)" = "$glibc" ] || stop \
  "$built needs glibc $needs, and Lambda's Amazon Linux 2023 has $glibc" \
  "  build it with zig, which knows older ones: make build-tools, then build again"

mkdir -p "$artifacts"
cp "$built" "$artifacts/bootstrap"
echo "build: $built for $wanted, needs glibc ${needs:-of no version}"
