#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Make an environment with upstream MMDetection instead of onedl-mmdetection, install visbench there
# without its dependencies, then train, resume and test a few steps.
#   bash tools/upstream_env.sh FOLDER [VISBENCH]
# FOLDER   the environment to make; work_dirs and data of the trial run are put into it
# VISBENCH what pip installs: a wheel, a source tree or visbench (default)
# BORROW=PYTHON  lend torch and the other large packages of this Python's environment (source tree only)
set -euo pipefail
if [ $# -lt 1 ]; then
  sed -n 's/^#   /usage: /p' "$0" >&2
  exit 2
fi
here=$(cd "$(dirname "$0")" && pwd)
folder=$1
visbench=${2:-visbench}
[ -e "$visbench" ] && visbench=$(cd "$(dirname "$visbench")" && pwd)/$(basename "$visbench")

"${BORROW:-python3}" -m venv "$folder"
folder=$(cd "$folder" && pwd)
python=$folder/bin/python
if [ -n "${BORROW:-}" ]; then
  site=$("$python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
  "$BORROW" "$here/../.ci/borrow.py" "$site" "$folder-borrowed" visbench \
    --without visbench onedl-mmengine onedl-mmcv onedl-mmdetection
fi
"$python" -m pip install --quiet --disable-pip-version-check \
  torch torchvision mmengine==0.10.7 mmcv-lite==2.1.0 mmdet==3.3.0 pycocotools scipy orjson rich
"$python" -m pip install --quiet --disable-pip-version-check --no-deps "$visbench"

mkdir -p "$folder/trial" && cd "$folder/trial"
cat > upstream.py <<'CONFIG'
_base_ = "visbench::iai/iai_demo_movingshapes.py"
train_cfg = dict(max_iters=2, val_interval=4)
default_hooks = dict(checkpoint=dict(interval=2))
train_dataloader = dict(
    batch_size=1, num_workers=0, persistent_workers=False, dataset=dict(num_videos=2)
)
val_dataloader = dict(dataset=dict(num_videos=1))
test_dataloader = val_dataloader
CONFIG
tools=$("$python" -c 'import visbench; print(visbench.__path__[0])')/.mim/tools
"$python" "$tools/train.py" upstream.py
"$python" "$tools/train.py" upstream.py --resume --cfg-options train_cfg.max_iters=4
"$python" "$tools/test.py" upstream.py work_dirs/upstream/iter_4.pth
"$python" -m pip list --disable-pip-version-check 2> /dev/null | grep -E '^(torch|mm|visbench)'
echo "upstream MMDetection trained, resumed and tested: $folder"
