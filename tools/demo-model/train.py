"""Trains the demonstration model on scenes drawn as it goes.

    python export.py OUT
    torchrun --nproc-per-node 2 train.py OUT --minutes 6

One process a GPU; it also runs, slowly, on a CPU.  The length of a run is
given in minutes and the learning rate falls to zero over them, so the machine
decides how many batches that is.
"""

import argparse
import os
import time
from collections import Counter
from pathlib import Path

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader

import checkpoint
from data import AUXILIARY_CLASSES, TEXT_ROW, BatchShape, SceneBatches
from model import Pixtral, initialise
from optimiser import Optimiser
from pixels import MEAN, STD
from scenes import KINDS

WARMUP = 0.02
EMPTY_PATCH_WEIGHT = 0.1


class Trainee(nn.Module):
    """The model and the auxiliary head, which is thrown away after training.

    The head tells from each patch vector what was drawn there.  That gives the
    vision tower a direct signal long before the decoder can use its output.
    """

    def __init__(self, model: Pixtral):
        super().__init__()
        self.model = model
        self.head = nn.Linear(model.c.vision_encoder.hidden_size, sum(AUXILIARY_CLASSES))
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)
        self.register_buffer("scale", torch.from_numpy(np.tile(1 / (255 * STD), 256)), persistent=False)
        self.register_buffer("shift", torch.from_numpy(np.tile(MEAN / STD, 256)), persistent=False)

    def matrices(self) -> set[str]:
        """Names of the weights inside the blocks and the adapter."""
        return {name for name, p in self.named_parameters() if p.dim() == 2 and (".layers." in name or "_adapter." in name)}

    def forward(self, batch: dict[str, Tensor], dtype: torch.dtype) -> tuple[Tensor, Tensor]:
        """Logits of the answer tokens, and of the auxiliary classes of each patch."""
        model = self.model
        image = batch["image"]
        seen = model.vision_encoder(batch["patches"].float() * self.scale - self.shift, batch["row"], batch["column"],
                                    additive(image.unsqueeze(2) == image.unsqueeze(1), dtype))
        words = model.tok_embeddings(batch["ids"]).flatten(0, 1)
        vectors = model.vision_language_adapter(seen).flatten(0, 1).to(words.dtype)
        words = F.pad(words, (0, 0, 0, 1)).index_copy(0, batch["target"].flatten(), vectors)[:-1]
        hidden = model.decode(words.unflatten(0, (-1, TEXT_ROW)), batch["position"], additive(visible_text(batch), dtype))
        return model.output(hidden.flatten(0, 1).index_select(0, batch["answer_at"])), self.head(seen)


def additive(visible: Tensor, dtype: torch.dtype) -> Tensor:
    """0 where visible, else minus infinity: made once, so that attention need not convert it in every layer."""
    return torch.zeros(visible.shape, dtype=dtype, device=visible.device).masked_fill_(~visible, float("-inf"))


def visible_text(batch: dict[str, Tensor]) -> Tensor:
    """Causal, within a document, and within the shared prefix or one's own branch."""
    document, branch = batch["document"], batch["branch"]
    same = document.unsqueeze(2) == document.unsqueeze(1)
    allowed = (branch.unsqueeze(1) == 0) | (branch.unsqueeze(2) == branch.unsqueeze(1))
    causal = torch.ones(TEXT_ROW, TEXT_ROW, dtype=torch.bool, device=document.device).tril()
    return same & allowed & causal


def losses(trainee: Trainee, batch: dict[str, Tensor], dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    logits, auxiliary = trainee(batch, dtype)
    weight = batch["answer_weight"]
    answer = (F.cross_entropy(logits.float(), batch["answer_id"], reduction="none") * weight).sum() / weight.sum()
    extra = auxiliary.new_zeros((), dtype=torch.float32)
    for index, part in enumerate(auxiliary.float().split(AUXILIARY_CLASSES, -1)):
        label = batch["auxiliary"][..., index].long()
        weight = batch["has_patch"] * torch.where(label > 0, 1.0, EMPTY_PATCH_WEIGHT)
        loss = F.cross_entropy(part.flatten(0, 1), label.flatten(), reduction="none") * weight.flatten()
        extra = extra + loss.sum() / weight.sum()
    return answer, extra


@torch.no_grad()
def accuracy(trainee: Trainee, batches: list[dict[str, Tensor]], autocast) -> dict[str, tuple[float, int]]:
    """Share of exactly right answers a kind.

    Every answer token is predicted after the right ones before it; greedy
    decoding gives the right answer exactly when all of them are right.
    """
    right, total = Counter(), Counter()
    for batch in batches:
        with autocast():
            logits, _ = trainee(batch, torch.bfloat16 if torch.is_autocast_enabled(batch["ids"].device.type) else torch.float32)
        wrong = (logits.argmax(-1) != batch["answer_id"]).float() * batch["answer_weight"]
        mistakes = torch.zeros_like(batch["answer_weight"]).index_add_(0, batch["answer_question"], wrong)
        for kind, count in zip(batch["kinds"].tolist(), mistakes.tolist()):
            if kind >= 0:
                total[KINDS[kind]] += 1
                right[KINDS[kind]] += count == 0
    return {kind: (right[kind] / total[kind], total[kind]) for kind in KINDS if total[kind]}


def rate(progress: Tensor) -> Tensor:
    """A short warm-up, then a cosine to zero."""
    return (progress / WARMUP).clamp(max=1.0) * (0.5 + 0.5 * torch.cos(torch.pi * progress.clamp(max=1.0)))


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="holds params.json and tekken.json, receives the weights")
    parser.add_argument("--minutes", type=float, default=6.0)
    parser.add_argument("--init", type=Path, help="go on from the weights of this folder")
    parser.add_argument("--seed", default="pixtral-demo")
    parser.add_argument("--text-rows", type=int, default=192)
    parser.add_argument("--vision-rows", type=int, default=136)
    parser.add_argument("--workers", type=int, default=14)
    parser.add_argument("--matrix-rate", type=float, default=4e-3)
    parser.add_argument("--other-rate", type=float, default=2e-3)
    parser.add_argument("--auxiliary-weight", type=float, default=0.3, help="0 when going on from weights")
    parser.add_argument("--held-out-batches", type=int, default=10)
    return parser.parse_args()


def main() -> None:
    options = arguments()
    started = time.monotonic()
    rank, world = int(os.environ.get("RANK", 0)), int(os.environ.get("WORLD_SIZE", 1))
    config = checkpoint.load_config(options.folder)
    shape = BatchShape(options.text_rows, options.vision_rows)
    scenes = SceneBatches(options.folder / checkpoint.TEKKEN, shape, config.vision_encoder.image_size, f"{options.seed}/{rank}")
    loader = iter(DataLoader(scenes, batch_size=None, num_workers=options.workers, pin_memory=torch.cuda.is_available(),
                             prefetch_factor=4 if options.workers else None))

    cuda = torch.cuda.is_available()
    device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", 0))) if cuda else torch.device("cpu")
    if cuda:
        torch.cuda.set_device(device)
        torch.backends.cuda.enable_cudnn_sdp(False)
        torch.backends.cuda.enable_math_sdp(False)
    if world > 1:
        dist.init_process_group("nccl" if cuda else "gloo")
    dtype = torch.bfloat16 if cuda else torch.float32

    def autocast():
        return torch.autocast("cuda", torch.bfloat16, enabled=cuda)

    def say(text: str) -> None:
        if rank == 0:
            print(f"{time.monotonic() - started:7.1f} s  {text}", flush=True)

    model = Pixtral(config)
    initialise(model, seed=1)
    if options.init:
        model.load_state_dict(checkpoint.load(options.init).state_dict())
    trainee = Trainee(model).to(device)
    optimiser = Optimiser(trainee, trainee.matrices(), device)
    if cuda:
        for block in (*model.layers, *model.vision_encoder.transformer.layers):
            block.compile(dynamic=False)

    def to_device(batch: dict[str, Tensor]) -> dict[str, Tensor]:
        return {name: value.to(device, non_blocking=True) for name, value in batch.items()}

    held_out = []
    if rank == 0:
        stream = iter(SceneBatches(scenes.tekken, shape, scenes.image_size, "held-out"))
        held_out = [to_device(next(stream)) for _ in range(options.held_out_batches)]
        say(f"{sum(p.numel() for p in model.parameters()):,} parameters; held-out scenes ready")

    def report(batches: list[dict[str, Tensor]]) -> None:
        scores = accuracy(trainee, batches, autocast)
        say("  ".join(f"{kind} {100 * share:.1f}" for kind, (share, _) in scores.items()))

    progress = torch.zeros((), device=device)
    done, step, documents, training_since, reported = 0.0, 0, 0, None, 0
    while done < 1.0:
        batch = next(loader)
        documents += int(batch["document"].max())
        batch = to_device(batch)
        with autocast():
            answer, extra = losses(trainee, batch, dtype)
            (answer + options.auxiliary_weight * (1 - progress) * extra).backward()
        if world > 1:
            dist.all_reduce(optimiser.gradients, op=dist.ReduceOp.AVG if cuda else dist.ReduceOp.SUM)
            if not cuda:
                optimiser.gradients /= world
        factor = rate(progress)
        optimiser.step(options.matrix_rate * factor, options.other_rate * factor)
        step += 1
        if training_since is None:
            training_since = time.monotonic()  # the first step compiles
        progress.fill_((time.monotonic() - training_since) / (60 * options.minutes))
        if world > 1:
            dist.broadcast(progress, 0)
        if step % 10 == 0:
            done = progress.item()
        if step % 10 == 0 and int(done * 20) > reported:
            reported = int(done * 20)
            say(f"step {step}  {100 * done:.0f} %  {documents * world / (time.monotonic() - training_since):.0f} scenes/s  "
                f"loss {answer.item():.4f}  auxiliary {extra.item():.4f}")
            if rank == 0 and reported % 4 == 0:
                report(held_out[:2])
                checkpoint.save(model, options.folder)
    if rank == 0:
        checkpoint.save(model, options.folder)
        for parameter in model.parameters():
            parameter.data = parameter.data.bfloat16().float()
        say(f"{step} steps of {world} batches, {documents * world} scenes; held-out exact match of the saved bf16 weights:")
        for kind, (share, count) in accuracy(trainee, held_out, autocast).items():
            say(f"{kind:12} {100 * share:6.2f} %  of {count}")
    if world > 1:
        dist.destroy_process_group()


if __name__ == "__main__":
    main()
