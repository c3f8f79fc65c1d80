#!/usr/bin/env bash
# Fuzzes every target under AddressSanitizer, two at a time: fuzz/run.sh [SECONDS] [--keep] [TARGET…]
#
# Each starts from fuzz/corpus/<target> and works in a scratch corpus in fuzz/target. With --keep what was found goes,
# minimised, into fuzz/corpus. Exit 1 on a finding, 2 on usage, 3 where cargo-fuzz cannot be had.
set -euo pipefail
cd "$(dirname "$0")"

readonly all=(cookie_header token record event dotenv memcached_reply)
readonly parallel=2
# A kept corpus stays reviewable: no more files than this for each target.
readonly keep_files=300

usage() {
	echo "usage: fuzz/run.sh [SECONDS for each target, 600] [--keep] [TARGET…]; targets: ${all[*]}" >&2
	exit 2
}

seconds=600 keep=no targets=()
for argument in "$@"; do
	case $argument in
	--keep) keep=yes ;;
	*[!0-9]*) [[ " ${all[*]} " == *" $argument "* ]] && targets+=("$argument") || usage ;;
	?*) seconds=$argument ;;
	*) usage ;;
	esac
done
((${#targets[@]})) || targets=("${all[@]}")

# The longest input of each, in bytes: enough for every limit but the largest, which seeds reach and `make test` replays.
max_len() {
	case $1 in
	cookie_header) echo 4500 ;;
	token) echo 1200 ;;
	record) echo 8192 ;;
	event) echo 16384 ;;
	dotenv) echo 4096 ;;
	memcached_reply) echo 8192 ;;
	esac
}

if ! cargo fuzz --version >/dev/null 2>&1; then
	echo "cargo-fuzz is not here: installing it (about a minute)" >&2
	cargo install cargo-fuzz --version 0.13.2 --locked >&2 || { echo "cargo-fuzz cannot be installed" >&2; exit 3; }
fi

# Sanitizers are unstable options; with this the stable compiler takes them.
export RUSTC_BOOTSTRAP=1
host=$(rustc -vV | sed -n 's/^host: //p')
cargo fuzz build --target "$host" >&2
readonly bin=target/$host/release scratch=target/fuzzing
# A smaller quarantine than 256 MB, so that the limit on memory means the target's.
export ASAN_OPTIONS=detect_odr_violation=0:quarantine_size_mb=64

# Fuzzes one target; the log is what is left of it.
fuzz() {
	local target=$1 corpus=$scratch/corpus/$1 dictionary=dictionaries/$1.txt
	rm -rf "$corpus" "$scratch/findings/$target"
	mkdir -p "$corpus" "$scratch/findings/$target"
	local options=(
		-max_total_time="$seconds" -max_len="$(max_len "$target")" -rss_limit_mb=512 -timeout=5
		-print_final_stats=1 -artifact_prefix="$scratch/findings/$target/"
	)
	# No length that a server claims may decide how much is allocated.
	[[ $target == memcached_reply ]] && options+=(-malloc_limit_mb=1)
	[[ -f $dictionary ]] && options+=(-dict="$dictionary")
	nice "$bin/$target" "${options[@]}" "$corpus" "corpus/$target" >"$scratch/$target.log" 2>&1
}

# Adds what reaches code that the repository's files do not, as few and as small files as do.
keep() {
	local target=$1 merged=$scratch/merged/$1 name room
	rm -rf "$merged"
	mkdir -p "$merged"
	cp "corpus/$target"/* "$merged"
	nice "$bin/$target" -set_cover_merge=1 -use_counters=0 -max_len="$(max_len "$target")" -rss_limit_mb=512 \
		"$merged" "$scratch/corpus/$target" >"$scratch/$target.merge.log" 2>&1
	# What is not in the repository yet, by size; where that is too much, an even choice of all sizes.
	room=$((keep_files - $(find "corpus/$target" -type f | wc -l)))
	find "$merged" -type f -printf '%s %f\n' | sort -n | while read -r _ name; do
		[[ -e corpus/$target/$name ]] || echo "$name"
	done | awk -v room="$room" '{ name[NR] = $0 } END { n = NR < room ? NR : room; for (i = 0; i < n; i++) print name[int(i * NR / n) + 1] }' |
		while read -r name; do cp "$merged/$name" "corpus/$target/$name"; done
	echo "$target: $(find "corpus/$target" -type f | wc -l) files, $(du -sb "corpus/$target" | cut -f1) bytes in fuzz/corpus"
}

echo "fuzzing ${targets[*]} for $seconds s each, $parallel at a time, with AddressSanitizer"
running=0
for target in "${targets[@]}"; do
	if ((running >= parallel)); then
		wait -n || true
		running=$((running - 1))
	fi
	fuzz "$target" &
	running=$((running + 1))
done
wait

failed=0
for target in "${targets[@]}"; do
	log=$scratch/$target.log
	runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log" | tail -n 1)
	findings=$(find "$scratch/findings/$target" -type f | sort)
	if [[ -n $findings || -z $runs ]]; then
		failed=1
		echo "$target: ${runs:-no} executions, FINDING (log: fuzz/$log)"
		grep -m 1 -A 2 'panicked at' "$log" || grep -m 1 'ERROR: ' "$log" || tail -n 3 "$log"
		while read -r finding; do
			[[ -z $finding ]] || echo "  fuzz/$finding"
		done <<<"$findings"
	else
		echo "$target: $runs executions, no finding"
		[[ $keep == no ]] || keep "$target"
	fi
done
exit "$failed"
