# SPDX-License-Identifier: Apache-2.0
"""Which videos a report shows: the worst, the most disagreed-on, one for every part of the data."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from visbench.benchmark.report.breakdowns import DatasetFacts, Numbers
from visbench.benchmark.report.collect import Group

WORST, DISAGREED, EXAMPLE = "lowest mean AP", "methods disagree most", "example of"


@dataclass(frozen=True)
class Choice:
    """A video that is shown and why.

    Attributes:
        video_id: The video.
        reasons: Why it was chosen.
    """

    video_id: int
    reasons: tuple[str, ...]


def choose_videos(
    groups: Sequence[Group], numbers: Numbers, facts: DatasetFacts, count: int
) -> list[Choice]:
    """Choose videos of a data set, the most telling first.

    Worst are the videos with the lowest mean AP of all groups; most disagreed-on those with the
    largest standard deviation of AP between groups (seeds are averaged first). Then follows, for
    every part of the data that none of them has an object of, the worst video that has one.

    Args:
        groups: Groups on the same data; those without numbers are not asked.
        numbers: Numbers of all videos.
        facts: Members of the data's parts.
        count: Number of worst, and of most disagreed-on videos.

    Returns:
        Videos without repetition.
    """
    table = _ap_by_video(groups, numbers, facts)
    means = {video: statistics.fmean(values) for video, values in table.items()}
    spreads = {video: statistics.pstdev(values) for video, values in table.items()}
    worst = sorted(means, key=lambda video: (means[video], video))
    split = [video for video in spreads if spreads[video] > 0]
    disagreed = sorted(split, key=lambda video: (-spreads[video], video))
    reasons: dict[int, list[str]] = {}
    for ranked, reason in ((worst, WORST), (disagreed, DISAGREED)):
        for video in ranked[:count]:
            reasons.setdefault(video, []).append(reason)
    for parts in facts.videos.values() if count else ():
        for name, members in parts.items():
            if members.isdisjoint(reasons):
                example = next((video for video in worst if video in members), None)
                if example is not None:
                    reasons[example] = [f"{EXAMPLE} {name}"]
    return [Choice(video, tuple(found)) for video, found in reasons.items()]


def _ap_by_video(
    groups: Sequence[Group], numbers: Numbers, facts: DatasetFacts
) -> dict[int, list[float]]:
    table = {}
    for video in facts.annotations.videos:
        spreads = [numbers.video(group, video) for group in groups]
        values = [spread.mean for spread in spreads if spread is not None]
        if values:
            table[video] = values
    return table


def video_for(
    shown: Sequence[int], ap: Mapping[int, float | None], members: frozenset[int] | None = None
) -> int | None:
    """Return the shown video that says most about a number: where the AP is lowest.

    Args:
        shown: Ids of the videos that are shown.
        ap: AP of the method by video.
        members: Videos with an object of the part that the number is about; all if None.

    Returns:
        A video; None if none with such an object is shown.
    """
    fitting = [video for video in shown if members is None or video in members]
    values = {video: ap.get(video) for video in fitting}
    return min(
        fitting,
        key=lambda video: 101.0 if (value := values[video]) is None else value,
        default=None,
    )
