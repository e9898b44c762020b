"""Training steps in PyTorch, as the peer of the suite `train`: forward, backward, clipping and AdamW.

Started with a case (step-128, step-256, recipe, quick) instead of a model folder, it says that it is ready and answers
every line with the time of one step. The models are those of src/suites/train.ts: two pre-norm layers, four heads, MLP of
four widths, GELU, tied head of 64 tokens, batch 32 x 160; and the symbolic ProsQA recipe: two Llama layers of width 128,
128 prompts of 144 tokens, six thoughts, the answer.
"""

import argparse
import json
import sys
import time

import torch
import torch.nn as nn
import torch.nn.functional as F

parser = argparse.ArgumentParser()
parser.add_argument("case", choices=["step-128", "step-256", "recipe", "quick"])
parser.add_argument("--threads", type=int, required=True)
options = parser.parse_args()
CASE = options.case
torch.set_num_threads(options.threads)
torch.set_flush_denormal(True)
torch.manual_seed(0)
RECIPE = CASE == "recipe"
D = {"step-256": 256, "quick": 32}.get(CASE, 128)
HEADS, VOCABULARY = (2, 48) if RECIPE else (4, 64)
BATCH, PROMPT, THOUGHTS = (128, 144, 6) if RECIPE else (2, 16, 0) if CASE == "quick" else (32, 160, 0)
HEAD = D // HEADS


class GptBlock(nn.Module):
    def __init__(self):
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(D), nn.LayerNorm(D)
        self.qkv, self.out = nn.Linear(D, 3 * D), nn.Linear(D, D)
        self.up, self.down = nn.Linear(D, 4 * D), nn.Linear(4 * D, D)

    def forward(self, x):
        b, t, _ = x.shape
        q, k, v = self.qkv(self.norm1(x)).view(b, t, 3, HEADS, HEAD).permute(2, 0, 3, 1, 4)
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.out(y.transpose(1, 2).reshape(b, t, D))
        return x + self.down(F.gelu(self.up(self.norm2(x)), approximate="tanh"))


class Gpt(nn.Module):
    def __init__(self):
        super().__init__()
        self.wte, self.wpe = nn.Embedding(VOCABULARY, D), nn.Embedding(PROMPT, D)
        self.blocks, self.norm = nn.ModuleList(GptBlock() for _ in range(2)), nn.LayerNorm(D)

    def loss(self, ids, labels):
        x = self.wte(ids) + self.wpe(torch.arange(PROMPT))
        for block in self.blocks:
            x = block(x)
        return F.cross_entropy((self.norm(x) @ self.wte.weight.T).flatten(0, 1), labels.flatten())


class RmsNorm(nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(D))

    def forward(self, x):
        return F.rms_norm(x, (D,), self.weight, 1e-5)


def rotate(x, cos, sin):
    u, v = x[..., : HEAD // 2], x[..., HEAD // 2 :]
    return torch.cat([u * cos - v * sin, v * cos + u * sin], -1)


class LlamaBlock(nn.Module):
    def __init__(self):
        super().__init__()
        self.norm1, self.norm2 = RmsNorm(), RmsNorm()
        self.qkv, self.out = nn.Linear(D, 3 * D, bias=False), nn.Linear(D, D, bias=False)
        self.gate_up, self.down = nn.Linear(D, 4 * D, bias=False), nn.Linear(2 * D, D, bias=False)

    def forward(self, x, cos, sin, past, mask):
        b, t, _ = x.shape
        q, k, v = self.qkv(self.norm1(x)).view(b, t, 3, HEADS, HEAD).permute(2, 0, 3, 1, 4)
        q, k = rotate(q, cos, sin), rotate(k, cos, sin)
        if past is not None:
            k, v = torch.cat([past[0], k], 2), torch.cat([past[1], v], 2)
        y = F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
        x = x + self.out(y.transpose(1, 2).reshape(b, t, D))
        gate, up = self.gate_up(self.norm2(x)).chunk(2, -1)
        return x + self.down(F.silu(gate) * up), (k, v)


class Llama(nn.Module):
    def __init__(self):
        super().__init__()
        self.wte = nn.Embedding(VOCABULARY, D)
        self.blocks, self.norm = nn.ModuleList(LlamaBlock() for _ in range(2)), RmsNorm()
        self.frequencies = 10000.0 ** (-torch.arange(0, HEAD, 2).float() / HEAD)

    def forward(self, x, positions, past, mask):
        angles = positions[:, None, :, None].float() * self.frequencies
        cos, sin, after = angles.cos(), angles.sin(), []
        for i, block in enumerate(self.blocks):
            x, kv = block(x, cos, sin, past[i] if past else None, mask)
            after.append(kv)
        return self.norm(x), after

    def loss(self, ids, start, sets, labels):
        columns = torch.arange(PROMPT)
        visible = (columns[None] >= start[:, None])[:, None, None]
        causal = visible & torch.ones(PROMPT, PROMPT, dtype=torch.bool).tril() | torch.eye(PROMPT, dtype=torch.bool)
        mask = torch.zeros(BATCH, 1, PROMPT, PROMPT).masked_fill_(~causal, -1e30)
        hidden, past = self(self.wte(ids), (columns[None] - start[:, None]).clamp(min=0), None, mask)
        keys = torch.zeros(BATCH, 1, 1, PROMPT).masked_fill(~visible, -1e30)
        thought, thoughts, position = hidden[:, -1], [hidden[:, -1]], PROMPT - 1 - start
        for _ in range(THOUGHTS):
            keys, position = F.pad(keys, (0, 1)), position + 1
            hidden, past = self(thought[:, None], position[:, None], past, keys)
            thought = hidden[:, 0]
            thoughts.append(thought)
        keys, position = F.pad(keys, (0, 1)), position + 1
        hidden, past = self(self.wte(torch.full((BATCH, 1), 44)), position[:, None], past, keys)
        size = sets.sum(-1)
        log = F.log_softmax(torch.stack(thoughts[:THOUGHTS], 1) @ self.wte.weight.T, -1)
        divergence = -(sets * log).sum(-1) / size.clamp(min=1) - size.clamp(min=1).log()
        some = (size > 0).float()
        return (divergence * some).sum() / some.sum() + F.cross_entropy(hidden[:, 0] @ self.wte.weight.T, labels)


model = Llama() if RECIPE else Gpt()
optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=0.01)
ids = torch.randint(0, 40, (BATCH, PROMPT))
if RECIPE:
    sets = (torch.rand(BATCH, THOUGHTS, VOCABULARY) < 0.1).float()
    batch = (ids, torch.randint(0, 40, (BATCH,)), sets, torch.randint(0, 40, (BATCH,)))
else:
    batch = (ids, torch.randint(0, VOCABULARY, (BATCH, PROMPT)))



def say(message):
    print(json.dumps(message), flush=True)


say({"versions": {"torch": torch.__version__}})
for _ in sys.stdin:
    processor, started = time.process_time(), time.perf_counter()
    optimizer.zero_grad()
    loss = model.loss(*batch)
    loss.backward()
    nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    loss.item()
    ended = time.perf_counter()
    spent = {"ms": 1000 * (ended - started), "foreignCpuMs": 1000 * (time.process_time() - processor)}
    say({**spent, "tokens": [], "thoughts": []})
