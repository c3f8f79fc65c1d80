#!/usr/bin/env bash
# All end-to-end tests. They want target/release/bootstrap, built by `cargo build --release --all-features`.
set -euo pipefail
cd "$(dirname "$0")/.."

bash e2e/tools.sh
report=$(mktemp)
trap 'rm -f "$report"' EXIT

status=0
for part in lint-template build rie concurrent settings invoke serve watch keys deployed deploying readme getting-started; do
  bash "e2e/$part.sh" | tee -a "$report" || status=1
done

passed=$(grep -c '^ok: ' "$report" || true)
failed=$(grep -c '^FAILED: ' "$report" || true)
skipped=$(grep -c '^SKIPPED: ' "$report" || true)
shots=${SHOTS:-target/e2e}
[ ! -d "$shots" ] || echo "e2e: what Chromium saw is in $shots: $(find "$shots" -name '*.png' | wc -l) screenshots, named by store, front door and flow"
echo "e2e: $passed passed, $failed failed, $skipped skipped"
[ "$failed" -eq 0 ] || status=1
exit "$status"
