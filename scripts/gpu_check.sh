#!/bin/sh
# Run all checks that need a GPU, on a machine that has one; about ten minutes.
#
#     scripts/gpu_check.sh
#
# Uses the environment in .venv (or the one in $PYTHON), in which torch must be a build for the GPU;
# `onnxruntime-gpu` in place of `onnxruntime` adds the check of a bundle. Ends with what
# `hgan info` says about devices, and with the time of indexing on both devices if $HGAN_DATA has photos.
set -eu
cd "$(dirname "$0")/.."
python=${PYTHON:-.venv/bin/python}

"$python" -c 'import sys, torch; sys.exit(not torch.cuda.is_available())' || {
    echo "torch finds no GPU here; install a build for it: https://pytorch.org/get-started" >&2
    exit 2
}
"$python" -m pytest -m gpu -rs tests/gpu
"$python" -m hgan info | grep device

photos=${HGAN_DATA:-data}/flickr8k/images
if [ -d "$photos" ]; then
    scratch=$(mktemp -d)
    trap 'rm -rf "$scratch"' EXIT
    mkdir "$scratch/photos"
    find "$photos" -name '*.jpg' | sort | head -n 1000 | xargs cp -t "$scratch/photos"
    for device in cpu auto; do
        start=$(date +%s)
        "$python" -m hgan index "$scratch/photos" --to "$scratch/$device" --device "$device"
        echo "1,000 photos, --device $device: $(($(date +%s) - start)) s"
    done
fi
