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

# A machine without cargo-lambda: only what a build calls first is on the PATH.
mkdir "$scratch/bin"
for tool in bash sed sort od tr uname realpath dirname; do ln -s "$(command -v "$tool")" "$scratch/bin/$tool"; done
cp -r deploy "$scratch/"
seen=$(PATH=$scratch/bin ARCHITECTURE=$other FUNCTION_FEATURES=ssm "$scratch/deploy/build.sh" "$scratch/out" 2>&1) || true
matches "without the tools a cross build says where to get them" "$seen" 'make build-tools'
matches "and what builds without them" "$seen" "--parameter-overrides Architecture=$here"

finish
