#!/usr/bin/env bash
# What `sam build` leaves for a deployment: the architecture that was asked for, and nothing that Lambda could not start.
. "$(dirname "$0")/lib.sh"

bootstrap=$(realpath "${BOOTSTRAP:-target/release/bootstrap}")
case $(uname -m) in
  aarch64 | arm64) here=arm64 other=x86_64 ;;
  *) here=x86_64 other=arm64 ;;
esac
export AWS_DEFAULT_REGION=eu-west-1

# build FILE [WORDS…]: what SAM says when it is to take FILE for the function; the build lies in $scratch/build.
build() {
  local file=$1
  shift
  PREBUILT=$file sam build --build-dir "$scratch/build" "$@" 2>&1
}

seen=$(build "$bootstrap" --parameter-overrides Architecture="$here") || true
matches "sam build takes the architecture from the template's parameter" "$seen" "for $here, needs glibc 2\\.[0-9]+"
passes "and leaves bootstrap beside the template" test -x "$scratch/build/SessionFunction/bootstrap"

seen=$(build "$bootstrap" --parameter-overrides Architecture="$other") || true
matches "a bootstrap of another architecture is refused" "$seen" "is for $here, and the template asks for $other"

seen=$(build "$bootstrap" --config-env nobody-s --build-in-source) || true
matches "without a parameter it is the template's default" "$seen" 'for arm64, needs|the template asks for arm64'
matches "samconfig.toml says the same to build and deploy" \
  "$(sed -n '/global.parameters/,/^$/p' samconfig.toml)" 'parameter_overrides = \["Architecture=arm64"\]'

cp "$bootstrap" "$scratch/newer"
printf 'GLIBC_2.35\0' >>"$scratch/newer"
seen=$(build "$scratch/newer" --parameter-overrides Architecture="$here") || true
matches "a bootstrap that Lambda's glibc cannot load is refused" "$seen" "needs glibc 2\\.35, and Lambda's Amazon Linux 2023 has 2\\.34"

# Machines with other tools: only what a build calls first is on the PATH, with stand-ins that say how they were called and leave a
# program of the machine that FAKE_ELF says, by bytes 18 and 19.
mkdir "$scratch/bin" "$scratch/libs"
for tool in bash sed sort od tr uname realpath dirname mkdir cp grep cut tail cat; do ln -s "$(command -v "$tool")" "$scratch/bin/$tool"; done
cp -r deploy "$scratch/"
called=$scratch/called
cat >"$scratch/stand-in" <<'EOF'
#!/usr/bin/env bash
echo "${0##*/} $* (rustup asks $RUSTUP_DIST_SERVER and $RUSTUP_UPDATE_ROOT)" >>"$CALLED"
case ${0##*/} in
  rustc) echo "$LIBS/${*: -1}" ;;
  cargo-lambda) mkdir -p "${*: -1}/bootstrap" && printf "%018d$FAKE_ELF" 0 >"${*: -1}/bootstrap/bootstrap" ;;
  cargo) mkdir -p target/release && printf "%018d$FAKE_ELF" 0 >target/release/bootstrap ;;
esac
EOF
chmod +x "$scratch/stand-in"

# has TOOL…: the machine has these, and no other of them.
has() {
  rm -f "$scratch"/bin/{cargo,rustc,cargo-lambda,zig} "$called"
  for tool in "$@"; do ln -s "$scratch/stand-in" "$scratch/bin/$tool"; done
}

# build_for ARCHITECTURE BYTES: what the build says, and below it what it called.
build_for() {
  rm -rf "$scratch/out"
  PATH=$scratch/bin CALLED=$called LIBS=$scratch/libs ARCHITECTURE=$1 FAKE_ELF=$2 FUNCTION_FEATURES=ssm "$scratch/deploy/build.sh" "$scratch/out" 2>&1 || true
  [ ! -e "$called" ] || cat "$called"
}

nowhere="(rustup asks http://127.0.0.1:1 and http://127.0.0.1:1)"
for machine in arm64:--arm64:aarch64:'\xb7\x00' x86_64:--x86-64:x86_64:'\x3e\x00'; do
  IFS=: read -r wanted flag name elf <<<"$machine"
  target=$name-unknown-linux-gnu
  has cargo rustc cargo-lambda zig
  seen=$(build_for "$wanted" "$elf")
  same "$wanted: without its standard library nothing is built" "$(grep -c '^cargo' <<<"$seen")" 0
  matches "$wanted: and how to get it is said" "$seen" "no standard library for $target.*rustup target add $target"
  mkdir "$scratch/libs/$target"
  same "$wanted: cargo-lambda builds it, and whatever is called can fetch no toolchain" "$(rm "$called"; build_for "$wanted" "$elf")" \
    "build: target/lambda/$wanted/bootstrap/bootstrap for $wanted, needs glibc of no version
rustc --print target-libdir --target $target $nowhere
cargo-lambda lambda build --release --locked $flag --skip-target-check --disable-optimizations --features ssm --bin bootstrap --lambda-dir target/lambda/$wanted $nowhere"
  same "$wanted: it is left where SAM looks for it" "$(ls "$scratch/out")" bootstrap
  has cargo rustc cargo-lambda
  seen=$(build_for "$wanted" "$elf")
  if [ "$wanted" = "$here" ]; then
    same "$wanted: without zig cargo builds it here, and can fetch no toolchain" "$seen" \
      "build: target/release/bootstrap for $here, needs glibc of no version
cargo build --locked --release --features ssm --bin bootstrap $nowhere"
    has rustc
    matches "$wanted: without cargo it says where to get it" "$(build_for "$wanted" "$elf")" 'cargo is not here: install Rust'
  else
    matches "$wanted: without zig it says where to get it" "$seen" 'make build-tools.*rustup target add'
    matches "$wanted: and what builds without" "$seen" "--parameter-overrides Architecture=$here"
    has cargo rustc cargo-lambda zig
    matches "$wanted: a program of another kind is refused" "$(build_for "$wanted" '\x00\x00')" "is for something else, and the template asks for $wanted"
    same "$wanted: and not left for a deployment" "$(ls "$scratch/out" 2>/dev/null || true)" ""
  fi
done

# As `sam build` calls it, but for the architecture, which SAM writes down; and with all features, which `make build` has compiled: those
# of the Makefile would take five minutes more.
if [ -n "${BOOTSTRAP:-}" ]; then
  skip "make build-SessionFunction: it would compile a release, and BOOTSTRAP names a program that is there"
else
  features=$(cargo metadata --locked --no-deps --format-version 1 | jq -r '.packages[0].features | keys | join(",")')
  passes "make build-SessionFunction: cargo builds it for this machine" \
    env ARCHITECTURE="$here" make --no-print-directory build-SessionFunction FUNCTION_FEATURES="$features" ARTIFACTS_DIR="$scratch/artifacts"
  matches "make build-SessionFunction: and it starts" "$(cd "$scratch" && env -i artifacts/bootstrap 2>&1)" SECRET_KEY_BASE
fi

finish
