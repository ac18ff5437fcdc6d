# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import mmcv.ops
import pytest
import torch

import visbench.ops
from visbench.ops.extension import OPERATORS, MissingOperatorError, NativeExtension

ROOT = Path(__file__).parents[2]
native_only = pytest.mark.skipif(
    not visbench.ops.NATIVE, reason="compiled operators of MMCV are installed and win"
)


def run(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=120
    )


@native_only
def test_missing_operator_raises_on_call_with_name_and_remedy() -> None:
    features, masks = torch.rand(1, 4, 4, 4), torch.rand(1, 25, 8, 8)
    with pytest.raises(MissingOperatorError, match=r"'carafe_forward'.*install a build"):
        mmcv.ops.carafe(features, masks, 5, 1, 2)


def test_names_with_underscores_are_attributes_as_usual() -> None:
    module = NativeExtension()
    assert not hasattr(module, "__path__")
    assert hasattr(module, "anything_else")
    assert all(getattr(module, name) is operator for name, operator in OPERATORS.items())


@native_only
def test_environment_says_that_nothing_is_compiled() -> None:
    assert "native operators of visbench" in mmcv.ops.get_compiler_version()
    assert "native operators of visbench" in mmcv.ops.get_compiling_cuda_version()


def test_setting_up_again_changes_nothing() -> None:
    before = sys.modules["mmcv._ext"]
    assert visbench.ops.setup_operators() == visbench.ops.NATIVE
    assert sys.modules["mmcv._ext"] is before


@native_only
def test_mmdet_tried_before_visbench_is_repaired() -> None:
    result = run(
        "try:\n"
        "    import mmdet.models\n"
        "except ModuleNotFoundError as error:\n"
        "    assert error.name == 'mmcv._ext', error\n"
        "else:\n"
        "    raise SystemExit('mmdet works without visbench')\n"
        "import visbench.ops\n"
        "import mmdet.models\n"
        "from mmdet.registry import MODELS\n"
        "import mmcv.ops\n"
        "assert 'RoIAlign' in dir(mmcv.ops)\n"
        "MODELS.build(dict(type='ResNet', depth=18))\n"
    )
    assert result.returncode == 0, result.stderr


def test_compiled_extension_wins() -> None:
    result = run(
        "import sys\n"
        "from visbench.ops.extension import NativeExtension\n"
        "del sys.modules['mmcv._ext']\n"
        "compiled = type(sys)('mmcv._ext')\n"
        "sys.modules['mmcv._ext'] = compiled\n"
        "import visbench.ops\n"
        "assert visbench.ops.setup_operators() is False\n"
        "assert sys.modules['mmcv._ext'] is compiled\n"
        "import mmcv.ops.multi_scale_deform_attn as attention\n"
        "name = attention.multi_scale_deformable_attn_pytorch.__module__\n"
        "assert name == 'visbench.ops.ms_deform_attn', name\n"
    )
    assert result.returncode == 0, result.stderr


def test_broken_compiled_extension_is_replaced_with_a_warning(tmp_path: Path) -> None:
    result = run(
        "import sys, warnings\n"
        "class Broken:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name == 'mmcv._ext':\n"
        "            raise ImportError('undefined symbol: _ZN3c10')\n"
        "sys.meta_path.insert(0, Broken())\n"
        "with warnings.catch_warnings(record=True) as caught:\n"
        "    warnings.simplefilter('always')\n"
        "    import visbench.ops\n"
        "assert visbench.ops.NATIVE\n"
        "texts = [str(w.message) for w in caught if w.category is RuntimeWarning]\n"
        "assert any('undefined symbol' in text for text in texts), texts\n"
    )
    assert result.returncode == 0, result.stderr


def test_failing_import_of_mmcv_says_what_to_import_first() -> None:
    result = run(
        "import sys, types\n"
        "sys.modules['mmcv._ext'] = types.ModuleType('mmcv._ext')\n"
        "import visbench.ops\n"
    )
    assert result.returncode != 0
    assert "import visbench.registry before mmdet" in result.stderr
