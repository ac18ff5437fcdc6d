# SPDX-License-Identifier: Apache-2.0
"""The chosen videos with the frames and the identities of all methods."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from visbench.benchmark.report.breakdowns import Analysis, DatasetFacts, Numbers
from visbench.benchmark.report.collect import Group, Run, Spread
from visbench.benchmark.report.frames import (
    LOOKS,
    Drawing,
    Look,
    VideoFiles,
    choose_frames,
    class_names,
    draw_frame,
    encode,
    found_tracks,
    true_tracks,
    video_files,
)
from visbench.benchmark.report.selection import Choice, choose_videos
from visbench.benchmark.report.timeline import Timeline, make_timeline
from visbench.evaluation.metrics import METRICS
from visbench.structures import VideoTracks

TRUTH = "ground truth"


@dataclass(frozen=True)
class Strip:
    """The frames of one video as one method, or the annotation, sees them.

    Attributes:
        label: Name of the method, or :data:`TRUTH`.
        drawings: One per shown frame.
        group: Key of the group; empty for the annotation.
        run: The run that the frames are of; None for the annotation.
        ap: AP of the group on this video.
        threshold: Score from which on predictions are drawn.
        timeline: Its identities; None for the annotation.
    """

    label: str
    drawings: tuple[Drawing, ...]
    group: str = ""
    run: Run | None = None
    ap: Spread | None = None
    threshold: float = 0.0
    timeline: Timeline | None = None


@dataclass(frozen=True)
class ShownVideo:
    """One video.

    Attributes:
        dataset: Name of the data.
        choice: The video and why it is shown.
        name: Its name.
        length: Number of frames.
        strips: The annotation, then the methods.
    """

    dataset: str
    choice: Choice
    name: str
    length: int
    strips: tuple[Strip, ...]


@dataclass(frozen=True)
class GalleryOptions:
    """What is shown.

    Attributes:
        videos: Number of worst and of most disagreed-on videos of each data set.
        frames: Frames of each video.
        score_threshold: Predictions with a lower score are not drawn; None for the best of each
            method.
        image_folders: Folder of the frames by data set, where they are elsewhere.
    """

    videos: int = 3
    frames: int = 6
    score_threshold: float | None = None
    image_folders: Mapping[str, Path] = field(default_factory=dict)


@dataclass(frozen=True)
class Gallery:
    """The videos of one data set, the most telling first.

    Attributes:
        videos: The videos.
        notes: What is missing.
    """

    videos: tuple[ShownVideo, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Source:
    """A group, the run that stands for it, its numbers and its tracks."""

    group: Group
    run: Run
    analysis: Analysis
    tracks: Mapping[int, VideoTracks]
    threshold: float


def make_gallery(
    dataset: str,
    groups: Sequence[Group],
    numbers: Numbers,
    options: GalleryOptions,
    progress: Callable[[], object] = lambda: None,
) -> Gallery:
    """Choose and draw the videos of one data set.

    Args:
        dataset: Its name.
        groups: Its groups.
        numbers: The computed numbers.
        options: What is shown.
        progress: Called after every video.
    """
    chosen = {group.key: _representative(group, numbers) for group in groups}
    known = {key: run for key, run in chosen.items() if run is not None}
    if not known:
        return Gallery(notes=("No run has its predictions and annotations, so there is no frame.",))
    path = next(iter(known.values())).annotations
    assert path is not None
    facts = numbers.facts[path]
    files = video_files(path, options.image_folders.get(dataset))
    choices = choose_videos(groups, numbers, facts, options.videos)
    ids = [choice.video_id for choice in choices]
    notes = [files.note] if files.note else []
    sources = []
    for group in groups:
        run = known.get(group.key)
        if run is not None and run.annotations == path:
            sources.append(_source(group, run, numbers, facts, ids, options))
        elif run is not None:
            notes.append(f"{group.label} was scored with other annotations and is not drawn.")
    videos = []
    for choice in choices:
        videos.append(_show(dataset, choice, sources, numbers, facts, files, options))
        progress()
    return Gallery(tuple(videos), tuple(notes))


def _representative(group: Group, numbers: Numbers) -> Run | None:
    return next((run for run in group.runs if run.key in numbers.analyses), None)


def _source(
    group: Group,
    run: Run,
    numbers: Numbers,
    facts: DatasetFacts,
    ids: Sequence[int],
    options: GalleryOptions,
) -> _Source:
    assert run.results is not None
    analysis = numbers.analyses[run.key]
    boxes = METRICS[analysis.metric].tracks == "boxes"
    tracks = found_tracks(facts.annotations, run.results, ids, boxes, run.row.class_agnostic)
    given = options.score_threshold
    return _Source(group, run, analysis, tracks, analysis.threshold if given is None else given)


def _show(
    dataset: str,
    choice: Choice,
    sources: Sequence[_Source],
    numbers: Numbers,
    facts: DatasetFacts,
    files: VideoFiles,
    options: GalleryOptions,
) -> ShownVideo:
    video = facts.annotations.videos[choice.video_id]
    names = class_names(facts.annotations)
    truth = true_tracks(facts.annotations, video.id)
    timelines = [
        make_timeline(source.tracks[video.id], truth, names, source.threshold) for source in sources
    ]
    frames = choose_frames(video.length, options.frames, timelines)
    images = {f: files.read(video.id, f, video.height, video.width) for f in frames}

    def draw(result: VideoTracks, threshold: float) -> tuple[Drawing, ...]:
        return tuple(draw_frame(images[f], result, f, names, threshold) for f in frames)

    strips = [Strip(TRUTH, draw(truth, 0.0))]
    strips += [
        Strip(
            label=source.group.label,
            drawings=draw(source.tracks[video.id], source.threshold),
            group=source.group.key,
            run=source.run,
            ap=numbers.video(source.group, video.id),
            threshold=source.threshold,
            timeline=timeline,
        )
        for source, timeline in zip(sources, timelines, strict=True)
    ]
    name = files.names.get(video.id) or f"video {video.id}"
    return ShownVideo(dataset, choice, name, video.length, tuple(strips))


Pictures = dict[tuple[str, int, str, int], str]
"""Data URIs by data set, video, key of the group (empty: annotation) and frame."""


def fit_pictures(
    galleries: Mapping[str, Gallery], budget: int
) -> tuple[dict[str, Gallery], Pictures, Look]:
    """Encode the pictures within a number of bytes.

    Pictures become smaller first; if even the smallest do not fit, videos are left out, from the
    end and in turn over the data sets.

    Args:
        galleries: Galleries by data set.
        budget: Bytes that all pictures together may take.

    Returns:
        The galleries with the videos that fit, the pictures, and their look.
    """
    for look in LOOKS:
        pictures = _encode(galleries, look)
        if _size(pictures) <= budget:
            return dict(galleries), pictures, look
    left = dict(galleries)
    while _size(pictures) > budget:
        dataset = max(left, key=lambda name: len(left[name].videos))
        gallery = left[dataset]
        dropped = gallery.videos[-1]
        note = f"{dropped.name} is left out: the file would be too large; see --max-mb."
        left[dataset] = Gallery(gallery.videos[:-1], (*gallery.notes, note))
        gone = dataset, dropped.choice.video_id
        pictures = {key: uri for key, uri in pictures.items() if key[:2] != gone}
    return left, pictures, LOOKS[-1]


def _encode(galleries: Mapping[str, Gallery], look: Look) -> Pictures:
    return {
        (video.dataset, video.choice.video_id, strip.group, drawing.frame): encode(
            drawing.image, look
        )
        for gallery in galleries.values()
        for video in gallery.videos
        for strip in video.strips
        for drawing in strip.drawings
    }


def _size(pictures: Pictures) -> int:
    return sum(map(len, pictures.values()))
