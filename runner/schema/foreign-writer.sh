#!/bin/sh
# Runs a command as a benchmark's agent would be run, and leaves what reevd reads: a session and its telemetry.
#   runner/schema/foreign-writer.sh BENCHMARK_ID COMMAND [ARGUMENT...]
set -eu
folder=${REEV_SESSIONS_DIR:-logs/sessions} began=$(date +%s) id=sh-$(date +%s)-$$
mkdir -p "$folder"

now() { date -u +%Y-%m-%dT%H:%M:%S.000000Z; }
quoted() { printf '%s' "$1" | iconv -c -f UTF-8 -t UTF-8 | tr '\n\t' '  ' | tr -d '\000-\037' | sed 's/\\/\\\\/g; s/"/\\"/g'; }
benchmark=$(quoted "$1") && shift
leave() { # END FINAL_RESULT: written beside it, synced, renamed: no reader finds half of it
    printf '{"session_id":"%s","benchmark_id":"%s","agent_type":"shell","start_time":%s,"end_time":%s,"final_result":%s}\n' \
        "$id" "$benchmark" "$began" "$1" "$2" >"$folder/.session_$id.tmp"
    sync "$folder/.session_$id.tmp" 2>/dev/null || sync
    mv "$folder/.session_$id.tmp" "$folder/session_$id.json"
}
event() { # TYPE FIELD VALUE: one line, one write
    printf '{"timestamp":"%s","session_id":"%s","event_type":"%s","%s":%s}\n' \
        "$(now)" "$id" "$1" "$2" "$3" >>"$folder/enhanced_otel_$id.jsonl"
}

leave null null # from here on it is seen as Running
event ToolInput tool_input "{\"tool_name\":\"$(quoted "$1")\",\"tool_args\":{\"command\":\"$(quoted "$*")\"}}"
if output=$("$@" 2>&1); then success=true score=1; else success=false score=0; fi
event ToolOutput tool_output "{\"success\":$success,\"results\":\"$(quoted "$output")\",\"error_message\":null}"
leave "$(date +%s)" "{\"success\":$success,\"score\":$score,\"status\":\"$([ $success = true ] && echo Succeeded || echo Failed)\"}"
echo "$id"
