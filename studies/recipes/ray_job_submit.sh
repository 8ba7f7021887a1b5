#!/usr/bin/env bash
# Start a search on a Ray cluster that runs already, from another machine, and watch it.
#
#   ray_job_submit.sh http://HEAD:8265 study.yaml /path/on/the/head/study [key=value ...]
#
# The head needs `pip install "ray[default]"`, and this machine the token of the cluster (~/.ray/auth_token). The search runs on the
# head and goes on if this command is interrupted; `ray job logs -f ID` shows it again and `ray job stop ID` ends it cleanly. Call it
# again to continue. The current folder is copied to the head without the study's folder: name one there that is absolute.
set -euo pipefail

usage='ray_job_submit.sh http://HEAD:8265 STUDY /ABSOLUTE/OUT [key=value ...]'
dashboard=${1:?"$usage"}
study=${2:?"$usage"}
out=${3:?"$usage"}
if [[ "$out" != /* ]]; then
  echo "ray_job_submit.sh: the folder on the head must be absolute, found $out" >&2
  exit 2
fi
export RAY_AUTH_MODE=${RAY_AUTH_MODE:-token}
exec ray job submit --address "$dashboard" --working-dir . --runtime-env-json '{"excludes": ["runs", ".git", ".venv"]}' \
  -- nas search "$study" --out "$out" --address auto --wait-for-cluster 30m "${@:4}"
