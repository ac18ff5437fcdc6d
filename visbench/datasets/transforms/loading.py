# SPDX-License-Identifier: Apache-2.0
"""Loads frames and refuses damaged ones."""

from __future__ import annotations

from typing import Any

import mmcv
from mmcv.transforms import LoadImageFromFile
from mmengine import fileio

from visbench.datasets.check_images import require_decodable
from visbench.datasets.frame_source import FrameError
from visbench.registry import TRANSFORMS


@TRANSFORMS.register_module()
class LoadFrame(LoadImageFromFile):
    """Load one frame of a video; missing, damaged or wrongly sized files are errors.

    OpenCV fills the rest of a truncated JPEG with grey without a word; here it is refused.
    Arguments are those of ``LoadImageFromFile``. Keys: reads ``img_path`` and, if there,
    ``video_name``, ``height`` and ``width``; sets ``img`` (BGR), ``img_shape`` and ``ori_shape``.
    """

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Load the image at ``results["img_path"]``.

        Raises:
            FrameError: If the file is missing, damaged, no image, or of another size than the
                annotation says. The message names file and video.
        """
        path = results["img_path"]
        where = f"frame {path} of video '{results.get('video_name', 'unknown')}'"
        try:
            content = fileio.get(path, backend_args=self.backend_args)
        except Exception as error:
            raise FrameError(
                f"{where} cannot be read ({error}); tools/check_dataset.py lists missing files"
            ) from error
        image = _decode(content, self.color_type, self.imdecode_backend, where)
        size = image.shape[:2]
        stated = (results.get("height"), results.get("width"))
        if None not in stated and tuple(size) != stated:
            raise FrameError(
                f"{where} has the size {size[0]}x{size[1]}, but fields 'height' and 'width' of "
                f"its video say {stated[0]}x{stated[1]}; masks and boxes would not fit"
            )
        results["img"] = image.astype("float32") if self.to_float32 else image
        results["img_shape"] = results["ori_shape"] = size
        return results


def _decode(content: bytes, color_type: str, backend: str, where: str) -> Any:
    try:
        require_decodable(content)
        image = mmcv.imfrombytes(content, flag=color_type, backend=backend)
    except Exception as error:
        raise FrameError(
            f"{where} is damaged ({error}); the file has {len(content)} bytes: fetch it again"
        ) from error
    if image is None:
        raise FrameError(f"{where} is no image that can be decoded; fetch it again")
    return image
