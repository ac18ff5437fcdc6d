# SPDX-License-Identifier: Apache-2.0
"""A trained method on any video, in one call: :class:`VISInferencer`."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Generator, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.infer import BaseInferencer

from visbench.apis.drawing import drawn_frames
from visbench.apis.inference import VideoStream, inference_transforms, init_model
from visbench.apis.opening import Source, open_source
from visbench.apis.progress import frame_progress, say
from visbench.apis.results import prepare_results, results_records, write_results
from visbench.apis.sources import Image, ImageSource, InputError
from visbench.engine import ConfigError, load_config
from visbench.engine.config_files import find_model, model_entries
from visbench.models import VISModel
from visbench.structures import IdMaskWriter
from visbench.visualization import OverlayWriter

DEFAULT_FPS = 10.0
"""Frames per second of a video whose input states none (a folder, frames from Python)."""

Path_ = str | os.PathLike[str]


class VISInferencer(BaseInferencer):
    """A trained method, ready for videos: MMEngine's inferencer for video instance segmentation.

    It has the interface of MMEngine's ``BaseInferencer`` (``preprocess``, ``forward``,
    ``visualize``, ``postprocess`` and their sets of keyword arguments), with these differences:

    - A call takes one video; a list is its frames. Frames of a video follow one another, so there
      is no ``batch_size`` but 1.
    - Frames run through the four steps one by one: ``forward`` returns a stream, and with an
      online method memory does not grow with the video beyond the compressed tracks. What is
      written is readable up to the frame at which a run is interrupted.
    - An offline method is run on the whole video before the first frame comes out.
    - Checkpoints are loaded weights-only, no config is ever taken from one, and there are no
      results of random weights: ``model`` is always needed, and ``weights`` unless the metafile
      lists some.
    - ``return_datasamples=True`` returns :class:`~visbench.structures.VideoTracks`, the result of
      every method here, instead of MMEngine's data samples.
    - Drawing does not go through MMEngine's ``Visualizer``, which is one global object: colours
      depend on the track id alone (:mod:`visbench.visualization`).
    - Names are looked up in the metafiles of visbench, which MMEngine's own table of packages does
      not know.

    Args:
        model: Config file, config, or the name of one of the library's: a file name
            (``idol_r50_8xb4-12k_youtubevis2019.py``), a model name or an alias
            (``idol_r50_youtubevis2019``); see :meth:`list_models`.
        weights: Checkpoint of that model; by default what its metafile lists.
        device: ``cpu``, ``cuda``, ``cuda:N`` or ``mps``; the best one there is by default.
        scope: Only ``visbench``; there for MMEngine's interface.
        show_progress: Whether a call shows a progress bar, on the standard error stream.

    Raises:
        ConfigError: If there is no such config or model (with the nearest names), it cannot be
            used, the device is not there, or a checkpoint is needed.
        CheckpointError: If the checkpoint is missing, damaged, unsafe or of another model.

    Examples:
        >>> inferencer = VISInferencer("config.py", "iter_1000.pth", "cpu", show_progress=False)
        >>> outcome = inferencer("video.mp4", video_out="out.mp4", results_out="out.json")
        >>> [(record["category_name"], record["score"]) for record in outcome["predictions"]]
        [('dog', 0.8)]
        >>> inferencer("frames", return_datasamples=True)["predictions"].tracks[0].id
        4
    """

    preprocess_kwargs: set[str] = {"max_frames", "name"}
    forward_kwargs: set[str] = {"on_frame"}
    visualize_kwargs: set[str] = {
        "show",
        "wait_time",
        "pred_score_thr",
        "return_vis",
        "video_out",
        "masks_out",
        "fps",
        "contact_sheet",
    }
    postprocess_kwargs: set[str] = {"results_out"}

    model: VISModel

    def __init__(
        self,
        model: Path_ | Config,
        weights: Path_ | None = None,
        device: str | None = None,
        scope: str = "visbench",
        show_progress: bool = True,
    ) -> None:
        _check_scope(scope)
        config = model if isinstance(model, Config) else load_config(model)
        weights = weights or _listed_weights(model)
        super().__init__(config, os.fspath(weights), device, scope, show_progress)

    @property
    def online(self) -> bool:
        """Whether results come frame by frame; else the whole video is segmented first."""
        return bool(self.model.online)

    @property
    def class_names(self) -> list[str]:
        """Name of every 0-based label; empty if the checkpoint and the config name none."""
        names: list[str] = self.model.dataset_meta["classes"]
        return names

    def __call__(
        self,
        inputs: Source | ImageSource,
        return_datasamples: bool = False,
        batch_size: int = 1,
        out_dir: Path_ | None = None,
        **kwargs: Any,
    ) -> dict[str, Any]:
        """Segment a video and write what is asked for.

        Args:
            inputs: Video file, folder of frames, number of a camera, list or generator of frames;
                see :func:`~visbench.apis.open_source`.
            return_datasamples: Whether ``predictions`` are a ``VideoTracks``.
            batch_size: Only 1.
            out_dir: Short for ``video_out=OUT_DIR/NAME/overlay.mp4`` and
                ``results_out=OUT_DIR/NAME/results.json``, NAME being that of the video.
            **kwargs: Arguments of :meth:`preprocess`, :meth:`forward`, :meth:`visualize` and
                :meth:`postprocess`.

        Returns:
            ``predictions``, in the form of a YouTube-VIS ``results.json`` or as ``VideoTracks``;
            ``visualization``, the drawn frames with ``return_vis``, else nothing.

        Raises:
            InputError: If the input cannot be read or an output cannot be written. What was done
                up to there is written, as after Ctrl-C.
            ValueError: If an argument is unknown.

        Examples:
            >>> inferencer = VISInferencer("config.py", "iter_1000.pth", "cpu", show_progress=False)
            >>> frames = [np.zeros((48, 64, 3), np.uint8)] * 3
            >>> outcome = inferencer(frames, name="black", out_dir="results", return_vis=True)
            >>> [image.shape for image in outcome["visualization"]]
            [(384, 512, 3), (384, 512, 3), (384, 512, 3)]
            >>> sorted(os.listdir("results/black"))
            ['overlay.mp4', 'results.json']
        """
        pre, forward, visualize, post = self._dispatch_kwargs(**kwargs)
        source = self.preprocess(inputs, batch_size, **pre)
        if out_dir is not None:
            folder = Path(out_dir) / re.sub(r"[/\\]", "_", source.name)
            visualize.setdefault("video_out", folder / "overlay.mp4")
            post.setdefault("results_out", folder / "results.json")
        with closing(source), self._progress(source, forward):
            frames = self.forward(source, **forward)
            with closing(self.visualize(source, frames, **visualize)) as drawn:
                return self.postprocess(frames, drawn, return_datasamples, **post)

    def stream(
        self,
        inputs: Source | ImageSource,
        max_frames: int | None = None,
        name: str | None = None,
        on_frame: Callable[[int], None] | None = None,
    ) -> VideoStream:
        """Segment a video frame by frame; nothing is written or drawn.

        With an online method each frame is read and processed when it is asked for, and its
        instances are final. An offline method needs the whole video before the first frame.

        Args:
            inputs: As in a call.
            max_frames: End the video after so many frames.
            name: Name of the video; the file's by default.
            on_frame: Called with the number of frames that the method has taken so far.

        Returns:
            An iterable of (index, original image, instances); iterate once. Its ``result()`` is
            the ``VideoTracks`` of the frames so far.

        Examples:
            >>> inferencer = VISInferencer("config.py", "iter_1000.pth", "cpu")
            >>> frames = inferencer.stream("video.mp4", max_frames=2)
            >>> for index, image, instances in frames:
            ...     print(index, instances.ids, instances.scores)
            0 [4] [0.8]
            1 [4] [0.8]
            >>> frames.result().video.length
            2
        """
        return self.forward(self.preprocess(inputs, max_frames=max_frames, name=name), on_frame)

    def preprocess(
        self,
        inputs: Source | ImageSource,
        batch_size: int = 1,
        max_frames: int | None = None,
        name: str | None = None,
    ) -> ImageSource:
        """Open the input; frames are read and go through the test pipeline later, one by one.

        Args:
            inputs: As in a call.
            batch_size: Only 1.
            max_frames: End the video after so many frames.
            name: Name of the video; the file's by default.

        Raises:
            InputError: If it cannot be opened, or ``batch_size`` is another.
        """
        if batch_size != 1:
            raise InputError(
                f"batch_size is {batch_size}, but the frames of a video follow one another; use 1"
            )
        return open_source(inputs, max_frames, name)

    def forward(
        self, inputs: ImageSource, on_frame: Callable[[int], None] | None = None
    ) -> VideoStream:
        """Return the stream of a source through the method; it runs when it is iterated.

        Args:
            inputs: What :meth:`preprocess` returned.
            on_frame: Called with the number of frames that the method has taken so far.
        """
        return VideoStream(self.model, inputs, self.pipeline, on_frame=on_frame)

    def visualize(
        self,
        inputs: ImageSource,
        preds: VideoStream,
        show: bool = False,
        wait_time: float = 0.0,
        pred_score_thr: float = 0.3,
        return_vis: bool = False,
        video_out: Path_ | None = None,
        masks_out: Path_ | None = None,
        fps: float | None = None,
        contact_sheet: Path_ | None = None,
    ) -> Generator[Image | None, None, None]:
        """Draw the frames of a stream as they come.

        Args:
            inputs: What :meth:`preprocess` returned.
            preds: What :meth:`forward` returned.
            show: Whether a window shows the drawn frames; the keys Q and Esc end the video.
            wait_time: Seconds that each frame stays in the window at least.
            pred_score_thr: Least score of what is drawn and of what ``masks_out`` shows, 0 to 1.
            return_vis: Whether drawn frames are returned; they are in memory then.
            video_out: Overlay video, ``*.mp4``.
            masks_out: Folder for one PNG per frame whose pixels are track ids; see
                :class:`~visbench.structures.IdMaskWriter`.
            fps: Frames per second of the video; by default the input's, 10 where it states none.
            contact_sheet: PNG with frames spread over the video; needs ``video_out``.

        Returns:
            An iterator that does the work: the drawn frame (BGR) with ``return_vis``, else None.

        Raises:
            InputError: If an argument is out of range or a file cannot be written.
        """
        if not 0 <= pred_score_thr <= 1:
            raise InputError(f"pred_score_thr is {pred_score_thr}; use a number from 0 to 1")
        if contact_sheet is not None and video_out is None:
            raise InputError("contact_sheet shows frames of video_out; give that too")
        rate = fps if fps is not None else inputs.fps or DEFAULT_FPS
        writer, masks = None, None
        try:
            if video_out is not None:
                sheet = None if contact_sheet is None else Path(contact_sheet)
                writer = OverlayWriter(Path(video_out), rate, sheet)
            if masks_out is not None:
                masks = IdMaskWriter(Path(masks_out), (inputs.height, inputs.width))
        except (OSError, ValueError) as error:
            raise InputError(f"output: {error}") from error
        window = wait_time if show else None
        return drawn_frames(
            preds, self.class_names, writer, masks, pred_score_thr, window, return_vis
        )

    def postprocess(
        self,
        preds: VideoStream,
        visualization: Iterator[Image | None],
        return_datasamples: bool = False,
        results_out: Path_ | None = None,
    ) -> dict[str, Any]:
        """Run a stream to its end and pack and write the results.

        Args:
            preds: What :meth:`forward` returned.
            visualization: What :meth:`visualize` returned.
            return_datasamples: Whether ``predictions`` are a ``VideoTracks``.
            results_out: File in the form of a YouTube-VIS ``results.json`` with all predictions,
                ``category_name`` and ``track_id`` added; written also when the run is interrupted.

        Returns:
            ``predictions`` and ``visualization``, as a call does.

        Raises:
            InputError: If the file cannot be written, before the stream runs; or the video has no
                frames.
        """
        if results_out is not None:
            prepare_results(results_out)
        drawn = []
        meta = self.model.dataset_meta
        try:
            drawn = [image for image in visualization if image is not None]
        finally:
            result = preds.result()
            if result is not None:
                records = results_records(result, meta["classes"], meta["category_ids"])
                if results_out is not None:
                    write_results(Path(results_out), records)
        if result is None:
            raise InputError(f"{preds.source.name} has no frames")
        return {"predictions": result if return_datasamples else records, "visualization": drawn}

    @contextmanager
    def _progress(self, source: ImageSource, forward: dict[str, Any]) -> Iterator[None]:
        """Show a bar that moves with ``on_frame``, which the caller may use too."""
        if not self.show_progress:
            yield
            return
        if not self.online:
            name = type(self.model).__name__
            say(f"{name} is an offline method: the whole video is segmented first.")
        own = forward.get("on_frame")
        with frame_progress(source) as advance:

            def on_frame(done: int) -> None:
                advance(done)
                if own is not None:
                    own(done)

            forward["on_frame"] = on_frame
            yield

    @staticmethod
    def list_models(scope: str | None = None, patterns: str = r".*") -> list[str]:
        """Return the names and aliases of the library's models, as ``model`` takes them.

        Args:
            scope: Only ``visbench``; there for MMEngine's interface.
            patterns: Regular expression that a name must match from its beginning.

        Examples:
            >>> VISInferencer.list_models(patterns="idol_r50.*ovis$")
            ['idol_r50_8xb2-12k_ovis', 'idol_r50_ovis']
        """
        _check_scope(scope or "visbench")
        names = [name for entry in model_entries() for name in entry.names]
        return [name for name in names if re.match(patterns, name)]

    def _init_model(self, cfg: Config, weights: str, device: str = "cpu") -> VISModel:
        return init_model(cfg, weights, device)

    def _init_pipeline(self, cfg: Config) -> list[Any]:
        return inference_transforms(cfg)

    def _init_collate(self, cfg: Config) -> None:
        """Return nothing: frames are not collated."""

    def _init_visualizer(self, cfg: Config) -> None:
        """Return nothing: see the class."""


def _check_scope(scope: str) -> None:
    if scope != "visbench":
        raise ConfigError(
            f"scope is {scope!r}, but the models here are those of 'visbench'; methods of another "
            "package are given by their config file"
        )


def _listed_weights(model: Path_ | Config) -> str:
    entry = None if isinstance(model, Config) else find_model(Path(model).name)
    if entry is None or entry.weights is None:
        raise ConfigError(
            "a checkpoint is needed: no weights are listed for this model; train one "
            "(tools/train.py) or convert released weights (tools/convert_checkpoint.py)"
        )
    return entry.weights
