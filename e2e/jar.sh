# Sourced after lib.sh: curl as a browser of $site, with the cookie jar $jar. Of plain http curl keeps Secure cookies for localhost and
# 127.0.0.1 alone, __Host- ones too.
# shellcheck shell=bash disable=SC2154

# browse PATH [CURL-OPTION…]
browse() {
  local path=$1
  shift
  curl -sS --max-time 30 -b "$jar" -c "$jar" "$@" "$site$path"
}

# What the jar holds of ours: its flags for Secure and HttpOnly, and the value.
kept() { awk '$6 == "__Host-session" { print ($1 ~ /^#HttpOnly_/ ? "HttpOnly" : "-"), ($4 == "TRUE" ? "Secure" : "-"), $7 }' "$jar"; }
