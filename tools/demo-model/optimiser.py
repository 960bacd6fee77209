"""Muon for the weight matrices inside the blocks, AdamW for everything else.

Muon replaces the momentum of a matrix by its nearest orthogonal matrix
(Newton-Schulz), which learns from markedly fewer samples at this size.
Matrices of one shape are treated in one batch.
"""

from collections import defaultdict

import torch
from torch import Tensor, nn

MOMENTUM = 0.95
WEIGHT_DECAY = 0.01
COEFFICIENTS = (3.4445, -4.7750, 2.0315)


def orthogonalised(gradient: Tensor) -> Tensor:
    """Five quintic Newton-Schulz steps on a batch of matrices (n, rows, columns)."""
    a, b, c = COEFFICIENTS
    x = gradient.bfloat16()
    tall = x.size(1) > x.size(2)
    if tall:
        x = x.mT
    x = x / (x.norm(dim=(1, 2), keepdim=True) + 1e-7)
    for _ in range(5):
        gram = x @ x.mT
        x = a * x + (b * gram + c * gram @ gram) @ x
    return (x.mT if tall else x).float()


class Optimiser:
    """Both optimisers behind one `step`; gradients live in one flat buffer, so that they are reduced and clipped at once."""

    def __init__(self, model: nn.Module, matrices: set[str], device: torch.device):
        named = list(model.named_parameters())
        self.gradients = torch.zeros(sum(p.numel() for _, p in named), device=device)
        start, groups, others = 0, defaultdict(list), []
        for name, parameter in named:
            parameter.grad = self.gradients[start:start + parameter.numel()].view_as(parameter)
            start += parameter.numel()
            if name in matrices:
                groups[parameter.shape].append(parameter)
            else:
                others.append(parameter)
        self.groups = [(parameters, torch.zeros(len(parameters), *shape, device=device)) for shape, parameters in groups.items()]
        self.adam_rate = torch.tensor(0.0, device=device)
        self.adam = torch.optim.AdamW(others, lr=self.adam_rate, betas=(0.9, 0.95), weight_decay=0.0, fused=device.type == "cuda")

    @torch.no_grad()
    def step(self, matrix_rate: Tensor, other_rate: Tensor) -> None:
        self.gradients.mul_((1.0 / self.gradients.norm()).clamp(max=1.0))
        for parameters, momentum in self.groups:
            gradient = torch.stack([p.grad for p in parameters])
            momentum.lerp_(gradient, 1 - MOMENTUM)
            update = orthogonalised(gradient.lerp(momentum, MOMENTUM))
            # 0.2 * sqrt(longer side) gives the update the size that AdamW's has
            scale = 0.2 * max(update.shape[1:]) ** 0.5
            torch._foreach_mul_(parameters, 1.0 - matrix_rate * WEIGHT_DECAY)
            torch._foreach_sub_(parameters, list((update * (matrix_rate * scale)).unbind()))
        self.adam_rate.copy_(other_rate)
        self.adam.step()
        self.gradients.zero_()
