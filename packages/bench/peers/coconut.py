"""The public Coconut schedule (arXiv 2412.06769; facebookresearch/coconut), written anew from its description.

n + 1 passes fill the latent columns, each over the columns that have become known, with the keys and values of the
columns before. Every pass unembeds all its rows. Then the first token is read off, and for every further one the whole
prefix is run again without a cache.
"""

import torch
from serve import load, serve
from transformers import DynamicCache

model = load()
embed = model.get_input_embeddings()


def answer(prompt, latents):
    start = prompt.shape[1]
    columns = torch.cat([embed(prompt), torch.zeros(1, latents, model.config.hidden_size)], 1)  # [1, S + T, D]
    cache = DynamicCache(config=model.config)
    known = 0
    for end in range(start, start + latents + 1):
        out = model(inputs_embeds=columns[:, known:end], cache=cache, use_cache=True, output_hidden_states=True)
        cache, known = out.cache, end
        if end < start + latents:
            columns[:, end] = out.hidden_states[-1][:, -1]  # after the final norm
    return columns[0, start:], greedy(columns, out.logits)


def greedy(columns, logits):
    while True:
        token = logits[0, -1].argmax()
        yield token.item()
        columns = torch.cat([columns, embed(token)[None, None]], 1)
        logits = model(inputs_embeds=columns).logits


serve(answer)
