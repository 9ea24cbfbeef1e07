#!/usr/bin/env bash
# asv over three commits on a GPU, and the pytest suite: what users type.
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

begin
if [ -z "${LIST:-}" ] && is_wanted history; then make_commits || exit 2; fi
# What is measured is read from the folder of asv.conf.json.
step history env --chdir "$repository" "${harness[@]}" history run ALL \
    ${PYTHON_TORCH:+--export-python "$PYTHON_TORCH"} --machine h200
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
