# shellcheck shell=bash disable=SC2034  # what seems unused is used by the scripts that source it
# What build.sh and measure.sh share; they source it.
#
# Environment:
#   EXPORTED      cache folder with exports and references of an interpreter that has PyTorch;
#                 engines and timing cache go there too
#   OUT           folder for records, reports and logs
#   PYTHON        Python that has TensorRT (default: python3)
#   PYTHON_TORCH  Python that has PyTorch on CUDA; without it, steps that need one are left out
#   TIMING_CACHE  a timing cache of an earlier session, to begin with
#   PINS          nodes to keep in TF32, COMPONENT:PATTERN with spaces between them: a variant
#                 "fp16-pinned-own" beside the others
#   TOTAL_S       begin no step after so many seconds in all
#   LIST          if set, print each step's command line, and run nothing
set -uo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
export PYTHONPATH="$root${PYTHONPATH:+:$PYTHONPATH}"

if [ "$#" -lt 1 ] || ! [ "$1" -gt 0 ] 2>/dev/null; then
    echo "usage: $0 SECONDS_PER_STEP [STEP ...]    (EXPORTED=... OUT=...; see common.sh)" >&2
    exit 2
fi
: "${EXPORTED:?name the cache with the exports: EXPORTED=DIR}"
: "${OUT:?name the folder for what is measured: OUT=DIR}"
PYTHON=${PYTHON:-python3}
PYTHON_TORCH=${PYTHON_TORCH:-}
limit_s=$1
shift
wanted=("$@")
stop_signal=INT
harness=("$PYTHON" -m harness)
pipeline=voice_conversion
# What every engine is built with: another option makes other engines. cuDNN is left out.
common=(--artifacts "$EXPORTED" --cache "$EXPORTED" --opset 17 --backend tensorrt
    --tactic-source CUBLAS --tactic-source CUBLAS_LT)
flag=(--precision fp16 --fp16 flag)
qdq=(--precision int8+fp16 --fp16 flag)
# The vocoder's first stage makes three quarters of its noise of sums in fp16 (fp16_sums.py --rank).
early=('vocoder:node_conv2d' 'vocoder:node_conv2d_[1-9]' 'vocoder:node_conv2d_1[0-8]'
    'vocoder:node_convolution' 'vocoder:node_convolution_1')
# Patterns are for the harness, not for the shell.
set -f
# shellcheck disable=SC2206  # it is a list of words
own=(${PINS:-})
set +f

# for_each_pinned COMMAND ...: COMMAND, a name, and the options, of each variant with pinned nodes.
for_each_pinned() {
    local name pin
    for name in early vocoder most own; do
        local pins=() options=("${flag[@]}" --tf32)
        case $name in
            early) pins=("${early[@]}") ;;
            vocoder) pins=('vocoder:*') ;;
            most) pins=('vocoder:*' 'content_encoder:*' 'flow_decoder:*') ;;
            own) pins=("${own[@]}") ;;
        esac
        [ "${#pins[@]}" -eq 0 ] && continue
        for pin in "${pins[@]}"; do options+=(--fp32-node "$pin"); done
        "$1" "fp16-pinned-$name" "${options[@]}" "${@:2}"
    done
}

is_wanted() {
    [ "${#wanted[@]}" -eq 0 ] && return 0
    local one
    for one in "${wanted[@]}"; do [ "$one" = "$1" ] && return 0; done
    return 1
}

# step NAME COMMAND ...: run it for at most $limit_s, its output in $OUT/NAME.txt. What fails is
# noted, and the script goes on. The exit codes in $passing are no failures.
passing=0
step() {
    local name=$1 begun_s=$SECONDS status=0
    shift
    is_wanted "$name" || return 0
    if [ -n "${LIST:-}" ]; then
        printf '%s\t' "$name"
        printf '%q ' "$@"
        printf '\n'
        return 0
    fi
    if [ -n "${TOTAL_S:-}" ] && [ "$SECONDS" -ge "$TOTAL_S" ]; then
        echo "$name: not begun, $TOTAL_S s are over"
        echo "$name (not begun)" >>"$OUT/failed.txt"
        return 0
    fi
    # An interrupted run keeps what it has measured.
    timeout --signal="$stop_signal" --kill-after=20 "$limit_s" "$@" >"$OUT/$name.txt" 2>&1 ||
        status=$?
    if [[ " $passing " == *" $status "* ]]; then
        echo "$name: done in $((SECONDS - begun_s)) s"
    else
        echo "$name: FAILED ($status) after $((SECONDS - begun_s)) s: $(tail -n 1 "$OUT/$name.txt")"
        echo "$name ($status)" >>"$OUT/failed.txt"
    fi
}

# Seconds of measuring for each of $1 cases, so that a step with its start and its checks fits.
each_s() { echo $((limit_s * 6 / 10 / $1 + 1)); }

begin() {
    [ -n "${LIST:-}" ] && return 0
    mkdir -p "$OUT"
    rm -f "$OUT/failed.txt"
    if [ -n "${TIMING_CACHE:-}" ]; then
        "$PYTHON" "$here/timing_cache.py" put "$EXPORTED" "$TIMING_CACHE" || exit 2
    fi
}

finish() {
    [ -n "${LIST:-}" ] && return 0
    if [ -s "$OUT/failed.txt" ]; then
        echo "FAILED: $(paste -s -d ' ' "$OUT/failed.txt")"
        return 1
    fi
    echo "all steps done"
}
