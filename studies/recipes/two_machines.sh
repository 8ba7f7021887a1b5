#!/usr/bin/env bash
# A Ray cluster of two or more machines by hand, without a scheduler.
#
#   on machine 1:     two_machines.sh head 10.0.0.1          its address as the others reach it
#   once:             scp ~/.ray/auth_token machine2:.ray/   whoever has the token may run code on the cluster
#   on machine 2:     two_machines.sh join 10.0.0.1
#   on machine 1:     nas search study.yaml --out runs/study --address 10.0.0.1:6379
#   at the end, each: two_machines.sh stop
#
# All machines need the same versions of Python, Ray and mixfront. They need no common disk: images go to each machine once,
# checkpoints and weights come back to the driver. Machines may join and leave while the search runs.
# `stop` ends every Ray of this user on the machine. Options after the address go to `ray start`, such as --num-gpus=4.
set -euo pipefail

export RAY_AUTH_MODE=token RAY_USAGE_STATS_ENABLED=0
port=${RAY_PORT:-6379}
usage='two_machines.sh head|join ADDRESS_OF_THE_HEAD [OPTION OF ray start ...], or two_machines.sh stop'

case "${1:-}" in
  head)
    address=${2:?"$usage"}
    (umask 077 && ray get-auth-token --generate > /dev/null)
    chmod 600 ~/.ray/auth_token
    ray start --head --node-ip-address="$address" --port="$port" "${@:3}"
    ;;
  join)
    address=${2:?"$usage"}
    if [[ -z "${RAY_AUTH_TOKEN:-}" && ! -s "${RAY_AUTH_TOKEN_PATH:-$HOME/.ray/auth_token}" ]]; then
      echo "two_machines.sh: copy ~/.ray/auth_token of the head to this machine first" >&2
      exit 2
    fi
    ray start --address="$address:$port" "${@:3}"
    ;;
  stop)
    ray stop
    ;;
  *)
    echo "$usage" >&2
    exit 2
    ;;
esac
