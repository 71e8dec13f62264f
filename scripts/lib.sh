# Shared by the scripts beside it (sourced, bash). Everything for people goes to stderr: stdout is for results.

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
logs=$root/.cache/logs
if ! mkdir -p "$logs" || [ ! -w "$logs" ]; then
  echo "error: cannot write to $logs; is the disk full, or does the folder belong to someone else (chown helps)?" >&2
  exit 1
fi

say() { printf '%s\n' "$*" >&2; }

# fail MESSAGE...: each argument one line, then exit 1.
fail() {
  printf 'error: %s\n' "$1" >&2
  shift
  local line
  for line in "$@"; do printf '       %s\n' "$line" >&2; done
  exit 1
}

# Gigabytes free where the given folder lies, rounded down.
free_gigabytes() { df -Pk "$1" | awk 'NR == 2 { print int($4 / 1048576) }'; }

# What a failed command's log says about the reason, for the cases that have a remedy of their own.
reason_in_log() {
  if grep -qiE 'no space left on device' "$1"; then
    echo 'the disk is full: make room and run the command again'
  elif grep -qiE 'Killed signal|internal compiler error: Killed|cannot allocate memory|virtual memory exhausted' "$1"; then
    echo 'memory ran out: close other programs, or run again with OCELLI_JOBS=1'
  elif grep -qiE 'temporary failure (in name resolution|resolving)|name or service not known|could not resolve|failed to establish a new connection|network is unreachable|connection (refused|timed out)|read timed out|unable to connect|failed to fetch|proxyerror|sslerror' "$1"; then
    echo 'the network did not answer: check the connection (and http_proxy, https_proxy), then run the command again'
  elif grep -qiE 'permission denied' "$1"; then
    echo 'permission was denied: see the log for the file'
  fi
}

# run_logged NAME TEXT COMMAND...: runs a command with its output in .cache/logs/NAME.log, showing TEXT and a sign
# of life; returns the command's status. A log line that begins with "[n/m" (ninja's) is shown as progress.
run_logged() {
  local name=$1 text=$2 log=$logs/$1.log start=$SECONDS shown=0 job status=0
  shift 2
  printf -- '-- %s\n' "$text" >&2
  "$@" >"$log" 2>&1 </dev/null &
  job=$!
  trap 'kill "$job" 2>/dev/null; exit 130' INT TERM
  while kill -0 "$job" 2>/dev/null; do
    sleep 0.2
    local seconds=$((SECONDS - start)) progress
    if [ -t 2 ] && [ "$seconds" -gt "$shown" ]; then
      progress=$(tail -c 4000 "$log" | grep -aoE '^\[[0-9]+/[0-9]+' | tail -n 1)
      printf '\r   %s %d:%02d ' "${progress:+$progress]}" $((seconds / 60)) $((seconds % 60)) >&2
      shown=$seconds
    elif [ ! -t 2 ] && [ "$seconds" -ge $((shown + 30)) ]; then
      progress=$(tail -c 4000 "$log" | grep -aoE '^\[[0-9]+/[0-9]+' | tail -n 1)
      printf '   %s %d:%02d\n' "${progress:+$progress]}" $((seconds / 60)) $((seconds % 60)) >&2
      shown=$seconds
    fi
  done
  wait "$job" || status=$?
  trap - INT TERM
  [ -t 2 ] && printf '\r%24s\r' '' >&2
  return "$status"
}

# give_up NAME TEXT STATUS: shows the end of the log of a failed run_logged and the likely reason, then exits.
give_up() {
  local log=$logs/$1.log reason lines=30
  reason=$(reason_in_log "$log")
  [ -n "$reason" ] && lines=6
  say
  # ninja's own report of what failed, else the end of the log
  { grep -aA 25 '^FAILED: ' "$log" || tail -n 15 "$log" | tail -n "$lines"; } | cut -c1-240 | head -n 40 | sed 's/^/   | /' >&2
  say
  fail "$2: failed (exit code $3)" ${reason:+"$reason"} "the whole log: $log"
}

# step NAME TEXT COMMAND...: run_logged that ends the script when the command fails.
step() {
  local status=0
  run_logged "$@" || status=$?
  [ "$status" -eq 0 ] || give_up "$1" "$2" "$status"
}
