#!/usr/bin/env bash
# Measures on a GPU what build.sh has built, one step after the other.
#
#   EXPORTED=DIR OUT=DIR PYTHON_TORCH=PYTHON benchmarks/h200/measure.sh SECONDS_PER_STEP [STEP ...]
#
# Each step writes its record into $OUT/STEP, and its report into $OUT/STEP.txt.
# shellcheck source-path=SCRIPTDIR source=common.sh
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

# measure NAME OPTION ...: one run of the harness.
measure() {
    local name=$1
    shift
    step "$name" "${harness[@]}" run "$pipeline" "${common[@]}" --out "$OUT/$name" \
        --json "$OUT/$name.json" "$@"
}

# has_torch NAME: whether a step that needs PyTorch can be done.
has_torch() {
    [ -n "$PYTHON_TORCH" ] && return 0
    is_wanted "$1" && [ -z "${LIST:-}" ] && echo "$1: left out, no PYTHON_TORCH"
    return 1
}

with_torch=(--backend torch-cuda --interpreter "torch-cuda=$PYTHON_TORCH")
both=(--duration 1 --duration 3)
one=(--duration 1)

begin
# Accuracy and time of what fp16 products are summed in.
measure sums "${flag[@]}" --fp16-accumulation any --fp16-accumulation tf32 --component vocoder \
    "${one[@]}" --max-time "$(each_s 1)"
# Beside PyTorch, which fp16 has to beat at the accuracy that it is held to.
peers=()
[ -n "$PYTHON_TORCH" ] && peers=("${with_torch[@]}")
for_each_pinned measure "${peers[@]}" "${both[@]}" --max-time "$(each_s 2)"
measure qdq "${qdq[@]}" "${both[@]}" --max-time "$(each_s 2)" \
    --engine "pitch_encoder=$OUT/engines/qdq-rest/pitch_encoder.engine" \
    --engine "flow_decoder=$OUT/engines/qdq-rest/flow_decoder.engine"
measure mixed-calibrator --precision int8+fp16 --int8 calibrator "${both[@]}" \
    --max-time "$(each_s 2)"
# What products in TF32 alone cost in accuracy, with nothing in fp16 beside them.
measure tf32 --precision fp32 --tf32 "${both[@]}" --max-time "$(each_s 2)"

# One engine, two speeds: the same engines in runs of several compositions, there and back.
speeds=(--no-energy --max-time "$(each_s 1)" "${one[@]}")
two_speeds() {
    local round=$1 composition
    shift
    for composition in "$@"; do
        local name="speeds-$round-$composition"
        case $composition in
            alone) measure "$name" "${flag[@]}" "${speeds[@]}" ;;
            enqueued) measure "$name" "${flag[@]}" "${speeds[@]}" --launch graph --launch enqueue ;;
            second) measure "$name" "${flag[@]}" --fp16 graph "${speeds[@]}" ;;
            idle)
                has_torch "$name" &&
                    step "$name" "$PYTHON_TORCH" "$here/beside_idle.py" "${harness[@]}" \
                        run "$pipeline" "${common[@]}" --out "$OUT/$name" \
                        --json "$OUT/$name.json" "${flag[@]}" "${speeds[@]}"
                ;;
            peer) has_torch "$name" && measure "$name" "${flag[@]}" "${with_torch[@]}" "${speeds[@]}" ;;
        esac
    done
}
two_speeds 1 alone idle second enqueued peer
two_speeds 2 peer enqueued second idle alone
step speeds "$PYTHON" "$here/two_speeds.py" "$OUT"

# What reading the machine's state costs.
for launch in graph enqueue; do
    step "telemetry-$launch" "${harness[@]}" telemetry overhead "$pipeline" "${common[@]}" \
        "${flag[@]}" --launch "$launch" "${one[@]}" --time "$(each_s 1)" \
        --json "$OUT/telemetry-$launch.json"
done

# Our cold clock against cuda-bench's.
if has_torch cold-bench; then
    step cold-bench "$PYTHON_TORCH" "$here/cold_against_cuda_bench.py" "$OUT/cold-bench.json" \
        --trials 4
fi
measure cold "${flag[@]}" --mode cold "${one[@]}" --max-time "$(each_s 1)" --no-energy

# Fresh processes, of the same engines.
measure processes "${flag[@]}" --component flow_decoder --component content_encoder \
    --processes 31 --tail "${one[@]}" --max-time "$(($(each_s 31) + 1))" --no-energy

# As in reports/examples/h200.
measure enqueue "${flag[@]}" --launch graph --launch enqueue "${both[@]}" --max-time "$(each_s 2)"
if has_torch fp16; then
    measure fp16 "${flag[@]}" --fp16 graph "${with_torch[@]}" "${both[@]}" --max-time "$(each_s 2)"
fi
if has_torch routes; then
    measure routes --precision fp32 "${flag[@]}" --precision int8 --int8 calibrator \
        "${with_torch[@]}" --backend torch-cuda-benchmark \
        --interpreter "torch-cuda-benchmark=$PYTHON_TORCH" "${both[@]}" --max-time "$(each_s 2)"
fi
finish
