#!/bin/sh
# Fine-tune an exported model with timm's own train.py on other images, and validate the result.
# usage: [DEVICE=cpu] fine_tune_with_timm.sh MODEL PHOTOS TIMM [OPTION of train.py ...]
#   MODEL    what `nas export` wrote
#   PHOTOS   folders `train` and `validation`, each with a folder of images for each class
#   TIMM     timm's repository (pytorch-image-models), whose scripts are not part of its package
#   OPTION   --epochs N is without the epochs of the warm-up (see train.yaml)
set -eu
MODEL=$(realpath "${1:?the folder of an export}")
PHOTOS=$(realpath "${2:?a folder of images}")
TIMM=$(realpath "${3:?the repository of timm}")
shift 3
for PLACE in "$MODEL/config.json" "$PHOTOS/train" "$PHOTOS/validation" "$TIMM/train.py"; do
  [ -e "$PLACE" ] || { echo "$PLACE: is missing" >&2; exit 2; }
done
CLASSES=$(find "$PHOTOS/train" -mindepth 1 -maxdepth 1 -type d | wc -l)
SIZE=$(python -c 'import json, sys; print(*json.load(open(sys.argv[1]))["pretrained_cfg"]["input_size"])' "$MODEL/config.json")

# Images, optimizer and schedule are those of train.yaml; here the classes are new, so that its class map is not used.
python "$TIMM/train.py" --data-dir "$PHOTOS" --config "$MODEL/train.yaml" --model "local-dir:$MODEL" --pretrained \
  --num-classes "$CLASSES" --class-map '' --output runs --experiment fine-tuned --device "${DEVICE:-cuda}" "$@"

# validate.py has no option that imports a package, so `search_space` is imported before it.
python -c 'import runpy, search_space, sys; sys.argv.pop(0); runpy.run_path(sys.argv[0], run_name="__main__")' \
  "$TIMM/validate.py" --data-dir "$PHOTOS" --model "local-dir:$MODEL" --num-classes "$CLASSES" --input-size $SIZE \
  --checkpoint runs/fine-tuned/model_best.pth.tar --device "${DEVICE:-cuda}"
