#!/bin/sh
# From a folder of images to a service, in ten lines: search, export to ONNX, serve.
# usage: search_to_service.sh PHOTOS    (a folder of images for each class; `pip install mixfront[onnx]`)
set -eu
PHOTOS=${1:?a folder with a folder of images for each class}
nas search folder data.path="$PHOTOS" data.image_size="${SIZE:-32}" trials="${TRIALS:-20}" --out runs/service
nas export runs/service best --out runs/service/model --format onnx
python "$(dirname "$0")/serve_onnx.py" runs/service/model --port "${PORT:-8000}"
# and then: curl --data-binary @photo.jpg http://127.0.0.1:8000
