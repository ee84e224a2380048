#!/bin/bash
# One training on all hosts of a Cloud TPU pod. The project must lie in ~/cxr_keras3 on each, installed into .venv with
# the extra tpu, and the paths among the arguments on a disk that all hosts see:
#
#   deploy/train-tpu-pod.sh POD ZONE --data-dir /shared/datasets --cache-dir /shared/cache --run-dir /shared/runs/mine

set -euo pipefail
pod=$1 zone=$2
shift 2
printf -v arguments ' %q' "$@"
exec gcloud compute tpus tpu-vm ssh "$pod" --zone "$zone" --worker=all \
    --command "cd cxr_keras3 && .venv/bin/python -m cxr_keras3.train --backend jax --coordinator auto$arguments"
