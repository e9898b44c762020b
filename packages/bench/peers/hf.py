"""Hugging Face transformers with its KV cache: prompt, latent steps through inputs_embeds, greedy tokens.

Written to be as fast as the library lets it be: the unembedding is applied only where a token is wanted.
"""

import torch
from serve import load, serve

model = load()
decoder = model.get_decoder()
unembed = model.get_output_embeddings()


def answer(prompt, latents):
    out = decoder(input_ids=prompt, use_cache=True)  # last_hidden_state is after the final norm: [1, S, D]
    thoughts = [out.last_hidden_state[:, :0]]
    for _ in range(latents):
        thoughts.append(out.last_hidden_state[:, -1:])  # [1, 1, D]
        out = decoder(inputs_embeds=thoughts[-1], cache=out.cache, use_cache=True)
    return torch.cat(thoughts, 1)[0], greedy(out)


def greedy(out):
    while True:
        token = unembed(out.last_hidden_state[:, -1:]).argmax(-1)  # [1, 1]
        yield token.item()
        out = decoder(input_ids=token, cache=out.cache, use_cache=True)


serve(answer)
