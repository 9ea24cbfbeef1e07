#!/usr/bin/env bash
# asv over three commits on a GPU, A/Bs of them, and the pytest suite: what users type.
#
#   EXPORTED=DIR OUT=DIR PYTHON_TORCH=PYTHON benchmarks/h200/history.sh SECONDS_PER_STEP [STEP ...]
#
# The commits are made here, in $HISTORY (default: a new folder): the project as it is; the flow
# decoder with five couplings for four; and a commit that changes no model. PLAN_BACKEND and
# PLAN_TENSORRT replace the plan's, for a rehearsal without a GPU.
# shellcheck source-path=SCRIPTDIR source=common.sh
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

# One engine's build and the export of three commits lie between.
export TRT_HARNESS_CACHE="$EXPORTED"
repository=${HISTORY:-$OUT/repository}
plan_tensorrt=${PLAN_TENSORRT-'"tensorrt": {"fp16": ["flag"], "tactic_sources": ["CUBLAS", "CUBLAS_LT"]},'}

commit() {
    git -C "$repository" -c user.name=h200 -c user.email=h200@example.invalid \
        commit --quiet --all --message "$1"
}

make_commits() {
    rm -rf "$repository"
    mkdir -p "$repository"
    (cd "$root" && tar c asv.conf.json benchmarks fixtures harness pyproject.toml README.md LICENSE) |
        tar x -C "$repository"
    cat >"$repository/benchmarks/plan.json" <<JSON
{
  "pipeline": "fixtures/voice_conversion",
  "backends": ["${PLAN_BACKEND:-tensorrt}"],
  "precisions": ["fp16"],
  $plan_tensorrt
  "durations_s": [1.0],
  "max_time_s": ${HISTORY_TIME_S:-12},
  "opset": 17
}
JSON
    git -C "$repository" init --quiet --initial-branch main
    git -C "$repository" add --all
    commit "The voice converter"
    sed -i 's/cond_channels: int, flows: int = 4/cond_channels: int, flows: int = 5/' \
        "$repository/fixtures/voice_conversion/models.py"
    commit "The flow decoder has five couplings"
    echo >>"$repository/README.md"
    commit "Nothing that is measured"
}

one=(--duration 1)
begin
# The commits are made once: those of an interrupted step must be the same.
if [ -z "${LIST:-}" ] && [ ! -d "$repository/.git" ]; then make_commits || exit 2; fi
exporter=(${PYTHON_TORCH:+--export-python "$PYTHON_TORCH"})
# What is measured is read from the folder of asv.conf.json.
step history env --chdir "$repository" "${harness[@]}" history run ALL "${exporter[@]}" --machine h200
passing="0 1 3" # A verdict is no failure.
# One is slower, one is equal; and the same slowed by known shares inside the timed work.
for pair in "ab-slower HEAD~2 HEAD~1" "ab-equal HEAD~1 HEAD"; do
    read -r name base head <<<"$pair"
    step "$name" env --chdir "$repository" "${harness[@]}" ab "$base" "$head" --committed \
        "${exporter[@]}" --process-time 1 --no-energy --max-time "$(each_s 1)" --out "$OUT/$name" \
        --json "$OUT/$name.json"
done
passing=0
step noise "${harness[@]}" noise "$pipeline" "${common[@]}" "${flag[@]}" "${one[@]}" --pairs 8 \
    --slow 1% --process-time 1 --no-energy --out "$OUT/noise" --json "$OUT/noise.json"
suite=$(printf '%q ' "${common[@]:0:6}" --tactic-source CUBLAS --tactic-source CUBLAS_LT \
    --fp16 flag --max-time "$(each_s 1)")
# The settings of the project's own tests name plugins that need not be there.
step pytest "$PYTHON" -m pytest "$root/benchmarks/pytest" --benchmark-only -p no:cacheprovider \
    -c /dev/null --rootdir "$root" --harness-backend "${PLAN_BACKEND:-tensorrt}" \
    --harness-precision fp16 --harness-duration 1 --harness-out "$OUT/pytest" --benchmark-json "$OUT/pytest.json" \
    --harness-args "${PYTEST_ARGS-$suite}"
if [ -z "${LIST:-}" ] && [ -d "$repository/reports" ]; then
    # Folders of asv's are deeper than what comes back from some machines.
    tar czf "$OUT/history.tar.gz" -C "$repository" reports
fi
finish
