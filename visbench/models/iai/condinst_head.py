# SPDX-License-Identifier: Apache-2.0
"""CondInst's dense head with an identity branch beside its class and box branches."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from mmdet.models.dense_heads import CondInstBboxHead
from mmdet.models.utils import multi_apply
from mmdet.utils import reduce_mean
from mmengine.structures import InstanceData
from torch import Tensor, nn

from visbench.models.iai.identification import ConvIdentityBranch


@dataclass(frozen=True)
class Locations:
    """The P locations of all levels: level by level, row by row.

    Args:
        points: ``(P, 2)`` x and y in pixels.
        strides: ``(P,)`` stride of the level in pixels.
        level_sizes: Number of locations of every level.
    """

    points: Tensor
    strides: Tensor
    level_sizes: tuple[int, ...]


@dataclass(frozen=True)
class DensePredictions:
    """Raw outputs at P locations.

    Args:
        class_logits: ``(B, P, C)``.
        id_logits: ``(B, P, N)``, with softmax ``(B, P, N + 1)``, background last; None without ids.
        distances: ``(B, P, 4)`` from the location to the left, upper, right and lower side of the
            box in pixels, not negative.
        centerness: ``(B, P)`` logits.
        parameters: ``(B, P, K)`` of the dynamic mask head.
        locations: The locations.
    """

    class_logits: Tensor
    id_logits: Tensor | None
    distances: Tensor
    centerness: Tensor
    parameters: Tensor
    locations: Locations


@dataclass(frozen=True)
class DenseTargets:
    """What every location shall predict.

    Args:
        labels: ``(B, P)`` class, C where there is no object.
        ids: ``(B, P)`` identity target, N where there is no object.
        distances: ``(B, P, 4)`` to the sides of the object's box in pixels.
        objects: ``(B, P)`` index of the object in its image, -1 where there is none.
    """

    labels: Tensor
    ids: Tensor
    distances: Tensor
    objects: Tensor

    @property
    def positive(self) -> tuple[Tensor, Tensor]:
        """Image and location of everything that belongs to an object, in this order."""
        image, point = (self.objects >= 0).nonzero(as_tuple=True)
        return image, point


class IdentityCondInstHead(CondInstBboxHead):
    """MMDetection's CondInst box head with an identity branch.

    The branch starts from the pyramid's maps, in parallel with the class and the box tower.
    Locations are assigned as in CondInst, around the centroids of masks. Unlike in MMDetection
    distances are pixels in training too.

    Args:
        num_ids: Number of ids N.
        id_branch: Arguments of a :class:`ConvIdentityBranch`, sizes and normalisation aside; None
            for a head without ids.
        **kwargs: As ``CondInstBboxHead`` takes them. Center sampling, distances normalised by
            the stride and centerness on the box tower, as IAI has them, are the defaults.

    Raises:
        ValueError: If ``strides`` and ``regress_ranges`` are not of the same levels.
    """

    def __init__(self, num_ids: int, id_branch: dict | None = None, **kwargs: Any) -> None:
        defaults = {"center_sampling": True, "norm_on_bbox": True, "centerness_on_reg": True}
        super().__init__(**{**defaults, **kwargs})
        if len(self.strides) != len(self.regress_ranges):
            raise ValueError(
                f"segmenter.head.strides has {len(self.strides)} levels, "
                f"segmenter.head.regress_ranges {len(self.regress_ranges)}; give both for each "
                "level on which objects are found"
            )
        self.num_ids = num_ids
        self.id_branch = (
            None
            if id_branch is None
            else ConvIdentityBranch(
                num_ids=num_ids,
                in_channels=self.in_channels,
                feat_channels=self.feat_channels,
                **{"norm_cfg": self.norm_cfg, **id_branch},
            )
        )

    def forward(self, x: Sequence[Tensor]) -> DensePredictions:  # type: ignore[override]
        """Return the predictions on the maps ``(B, C, h, w)`` of all levels."""
        return self.flatten_levels(*multi_apply(self.forward_single, x, self.scales, self.strides))

    def locations(self, sizes: Sequence[tuple[int, int]], device: Any = "cpu") -> Locations:
        """Return the locations of levels of the given sizes (height, width)."""
        levels = self.prior_generator.grid_priors(sizes, device=device, with_stride=True)
        points = torch.cat(levels)
        return Locations(points[:, :2], points[:, 2], tuple(len(level) for level in levels))

    def flatten_levels(
        self,
        classes: Sequence[Tensor],
        distances: Sequence[Tensor],
        centerness: Sequence[Tensor],
        parameters: Sequence[Tensor],
        ids: Sequence[Tensor] = (),
    ) -> DensePredictions:
        """Return the predictions in maps ``(B, K, h, w)`` of all levels."""
        sizes = [(level.shape[-2], level.shape[-1]) for level in classes]
        return DensePredictions(
            class_logits=_flatten(classes),
            id_logits=_flatten(ids) if ids else None,
            distances=_flatten(distances),
            centerness=_flatten(centerness)[..., 0],
            parameters=_flatten(parameters),
            locations=self.locations(sizes, classes[0].device),
        )

    def forward_single(self, x: Tensor, scale: nn.Module, stride: int) -> tuple[Tensor, ...]:
        """Return class, distance, centerness, parameter and, with ids, id map of a level."""
        classes, distances, centerness, parameters = super().forward_single(x, scale, stride)
        if self.training:
            distances = distances * stride
        ids = () if self.id_branch is None else (self.id_branch(x),)
        return classes, distances, centerness, parameters, *ids

    def assign(
        self, locations: Locations, batch_gt_instances: Sequence[InstanceData]
    ) -> DenseTargets:
        """Assign objects to locations.

        A location belongs to an object if it lies inside the box and closer than 1.5 strides to
        the centroid of the mask, along both axes, and if the largest distance is in the range of
        its level; of several objects the one with the smallest box takes it.

        Args:
            locations: Of all levels.
            batch_gt_instances: ``bboxes``, ``labels``, ``masks`` and ``id_targets`` of B images.
        """
        ranges = locations.points.new_tensor(self.regress_ranges)
        sizes = list(locations.level_sizes)
        per_point = ranges.repeat_interleave(torch.tensor(sizes, device=ranges.device), dim=0)
        rows = [
            self._assign_image(instances, locations.points, per_point, sizes)
            for instances in batch_gt_instances
        ]
        return DenseTargets(*(torch.stack(column) for column in zip(*rows, strict=True)))

    def _assign_image(
        self, instances: InstanceData, points: Tensor, ranges: Tensor, sizes: list[int]
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        labels, distances, location, index = self._get_targets_single(
            instances, points, ranges, sizes
        )
        ids = torch.full_like(labels, self.num_ids)
        if self.id_branch is not None:
            ids[location] = instances.id_targets[index]
        objects = torch.full_like(labels, -1)
        objects[location] = index
        return labels, ids, distances, objects

    def losses(self, predictions: DensePredictions, targets: DenseTargets) -> dict[str, Tensor]:
        """Return ``loss_cls``, ``loss_bbox``, ``loss_centerness`` and, with ids, ``loss_id``.

        Class and id loss are summed over all locations and divided by the number of those with
        an object, or by 1. Without such locations the other two are zero, attached to the graph.
        """
        image, point = targets.positive
        distances = predictions.distances[image, point]
        wanted = targets.distances[image, point]
        centerness = self.centerness_target(wanted)
        number = reduce_mean(distances.new_tensor(float(len(point)))).clamp(min=1)
        total = reduce_mean(centerness.sum()).clamp(min=1e-6)
        centres = predictions.locations.points[point]
        decode = self.bbox_coder.decode
        losses = {
            "loss_cls": self.loss_cls(
                predictions.class_logits.flatten(0, 1), targets.labels.flatten(), avg_factor=number
            ),
            "loss_bbox": self.loss_bbox(
                decode(centres, distances),
                decode(centres, wanted),
                weight=centerness,
                avg_factor=total,
            ),
            "loss_centerness": self.loss_centerness(
                predictions.centerness[image, point], centerness, avg_factor=number
            ),
        }
        if self.id_branch is not None and predictions.id_logits is not None:
            losses["loss_id"] = self.id_branch.loss(
                predictions.id_logits.flatten(0, 1), targets.ids.flatten(), number
            )
        return losses

    def loss(self, *args: Any, **kwargs: Any) -> dict[str, Tensor]:
        """Not used: the segmenter calls :meth:`assign` and :meth:`losses`."""
        raise NotImplementedError("call assign and losses; masks are supervised by the segmenter")


def _flatten(levels: Sequence[Tensor]) -> Tensor:
    return torch.cat([level.flatten(2).transpose(1, 2) for level in levels], dim=1)
