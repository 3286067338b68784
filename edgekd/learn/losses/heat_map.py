"""Heat maps that are to show where the teacher sees points."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from edgekd.base.errors import RecipeError
from edgekd.learn.losses._base import check_range
from edgekd.learn.losses._features import OnLayers, pooled


@dataclass(frozen=True)
class HeatMap(OnLayers):
    """mean over layers, n and k of  KL( g_nk || softmax_i(s_nki) ),  i the cells of the heat map of point k.

    g is a Gaussian around the point that the teacher says, over the same cells, as Nibali et al. 2018
    (arXiv:1801.07372, section 3.3) hold a heat map to one around its own mean; or, of a teacher that has heat maps too,
    the softmax of these, on the smaller of the two grids. Without it a heat map's mean may be right while the map is
    spread over the picture, which rounding to 8 bits moves far.

    Attributes:
        cell: height and width of a cell of the student's maps, in the unit of the teacher's points, above 0.
        sigma: of the Gaussian, in cells, 0.1 to 100.
    """

    cell: float = 4.0
    sigma: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < self.cell <= 1e6:
            raise ValueError("cell: allowed is above 0, at most 1e6")
        check_range("sigma", self.sigma, 0.1, 100)

    def adapter(self, student: Sequence[torch.Size], teacher: Sequence[torch.Size]) -> None:
        """None is needed: each point has a map."""
        for s, t in zip(student, teacher, strict=True):
            has_maps = len(t) == 4 and t[1] == s[1]
            if len(s) != 4 or not (has_maps or tuple(t[1:]) in ((2 * s[1],), (s[1], 2))):
                shapes = f"student {tuple(s)}, teacher {tuple(t)}"
                allowed = "maps (N, K, H, W), and of the teacher the same or points (N, 2 K)"
                raise RecipeError("no heat map for each point", where="heat_map", found=shapes, allowed=allowed)

    def pair(self, student: Tensor, teacher: Tensor, part: object) -> Tensor:
        """student: (N, K, H, W); teacher: the same, (N, 2 K) or (N, K, 2). A scalar >= 0."""
        if teacher.dim() == 4:
            student, teacher = pooled(student, teacher)
            log_t = teacher.flatten(2).log_softmax(-1)
        else:
            log_t = self._gaussians(teacher.reshape(*student.shape[:2], 2), *student.shape[2:])
        log_s = student.flatten(2).log_softmax(-1)
        return (log_t.exp() * (log_t - log_s)).sum(-1).mean()

    def _gaussians(self, points: Tensor, height: int, width: int) -> Tensor:
        """(N, K, height * width) logarithms of each point's Gaussian: shares of the cells, which sum to 1."""
        places = (points + 0.5) / self.cell - 0.5
        x = torch.arange(width, dtype=points.dtype, device=points.device) - places[..., :1]
        y = torch.arange(height, dtype=points.dtype, device=points.device) - places[..., 1:]
        squares = y.square()[..., :, None] + x.square()[..., None, :]
        return (squares.flatten(2) / (-2 * self.sigma**2)).log_softmax(-1)
