# SPDX-License-Identifier: Apache-2.0
"""How identities come about in MinVIS: queries of neighbouring frames are matched; no network."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from scipy.optimize import linear_sum_assignment
from torch import Tensor


def match_queries(previous: Tensor, current: Tensor) -> Tensor:
    """Match the queries of two frames one to one so that the sum of cosine similarities is largest.

    Args:
        previous: ``(N, C)`` embeddings of the frame before, in the order of the tracks.
        current: ``(N, C)`` embeddings of this frame, in the order of the queries.

    Returns:
        ``(N,)`` the query of this frame that continues each track.

    Raises:
        FloatingPointError: If an embedding is NaN or infinite.

    Examples:
        >>> match_queries(torch.eye(3), torch.eye(3)[[2, 0, 1]]).tolist()
        [1, 2, 0]
    """
    similarity = F.normalize(previous.float(), dim=1) @ F.normalize(current.float(), dim=1).T
    if not similarity.isfinite().all():
        raise FloatingPointError(
            "query embeddings are NaN or infinite: the checkpoint holds weights that are not "
            "finite, or reduced precision overflows; test in fp32"
        )
    _, queries = linear_sum_assignment(similarity.cpu().numpy(), maximize=True)
    return torch.from_numpy(queries).to(current.device)
