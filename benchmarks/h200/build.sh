#!/usr/bin/env bash
# Builds the engines that measure.sh measures, two variants at a time, and tries INT8 by Q/DQ.
# Never beside a measurement: tactics are chosen by how long they take.
#
#   EXPORTED=DIR OUT=DIR benchmarks/h200/build.sh SECONDS_PER_STEP [STEP ...]
#
# What was built before is found in the cache. README.md says what each step is for.
# shellcheck source-path=SCRIPTDIR source=common.sh
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"
# A job in the background takes no notice of an interruption.
stop_signal=TERM
running=0

# build NAME OPTION ...: as a step, beside one other at most.
build() {
    local name=$1
    shift
    is_wanted "$name" || return 0
    local command=("${harness[@]}" build "$pipeline" "${common[@]}" --out "$OUT/engines/$name" "$@")
    if [ -n "${LIST:-}" ]; then
        step "$name" "${command[@]}"
        return 0
    fi
    if [ "$running" -ge 2 ]; then
        wait -n
        running=$((running - 1))
    fi
    step "$name" "${command[@]}" &
    running=$((running + 1))
}

# What failed on 8.5.3.1 so far, and no more.
trial=(--component pitch_encoder --component flow_decoder)

begin
build fp16-flag "${flag[@]}"
build fp32 --precision fp32
build tf32 --precision fp32 --tf32
build fp16-tf32-sums "${flag[@]}" --fp16-accumulation tf32 --component vocoder
for_each_pinned build
build fp16-graph --precision fp16 --fp16 graph
build int8-calibrator --precision int8 --int8 calibrator
build mixed-calibrator --precision int8+fp16 --int8 calibrator
build qdq-1 "${qdq[@]}" "${trial[@]}" --precision-constraints none
build qdq-3 "${qdq[@]}" "${trial[@]}" --precision-constraints none --preview-feature none
build qdq-4 --precision int8+fp16 --fp16 graph "${trial[@]}" --precision-constraints none
build qdq-5 --precision int8 "${trial[@]}" --preview-feature none
build qdq-6 --precision int8 "${trial[@]}" --builder-flag FP16 --precision-constraints prefer
build qdq "${qdq[@]}" --component content_encoder --component conditioner \
    --component latent_to_mel --component vocoder
# 8.5.3.1 builds these two by no trial so far: they are given to what measures the others.
build qdq-rest "${flag[@]}" --component pitch_encoder --component flow_decoder
build fp16-fp32-sums "${flag[@]}" --fp16-accumulation fp32 --component vocoder
wait
if [ -z "${LIST:-}" ]; then
    "$PYTHON" "$here/timing_cache.py" get "$EXPORTED" "$OUT/timing.cache" || true
fi
finish
