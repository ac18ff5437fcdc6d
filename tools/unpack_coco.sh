#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Unpack the archives of COCO 2017 that instance segmentation needs; mim calls it after a download.
#   bash tools/unpack_coco.sh FOLDER_WITH_ARCHIVES DATA_ROOT
set -euo pipefail
if [ $# -ne 2 ]; then
  sed -n 's/^#   /usage: /p' "$0" >&2
  exit 2
fi
for name in train2017.zip val2017.zip annotations_trainval2017.zip; do
  archive=$(find "$1" -name "$name" | head -n 1)
  if [ -z "$archive" ]; then
    echo "error: no $name below $1; download it again" >&2
    exit 1
  fi
  echo "unpacking $archive into $2"
  python3 -m zipfile -e "$archive" "$2"
done
