"""JSON lines over stdin and stdout: what both PyTorch peers have in common.

A peer is started once with a model folder and a number of threads. It says that it is ready, and then answers every line
`{"prompt": [ids], "latents": T, "tokens": N}` with the fields of `Run` in src/contender.ts.
"""

import argparse
import json
import sys
import time

import torch
import transformers
from transformers import AutoModelForCausalLM


def load():
    """The model and its threads, from the command line."""
    parser = argparse.ArgumentParser()
    parser.add_argument("folder")
    parser.add_argument("--threads", type=int, required=True)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.set_grad_enabled(False)
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    return AutoModelForCausalLM.from_pretrained(options.folder, dtype=torch.float32).eval()


def serve(answer):
    """`answer(prompt [1, S], latents)` returns the thoughts [T, D] and an iterator of greedy token ids."""
    say({"versions": {"torch": torch.__version__, "transformers": transformers.__version__}})
    for line in sys.stdin:
        work = json.loads(line)
        prompt = torch.tensor([work["prompt"]])
        processor, started = time.process_time(), time.perf_counter()
        thoughts, stream = answer(prompt, work["latents"])
        tokens = [next(stream)]
        first = time.perf_counter()
        while len(tokens) < work["tokens"]:
            tokens.append(next(stream))
        ended = time.perf_counter()
        say(
            {
                "ms": 1000 * (ended - started),
                "decodeMs": 1000 * (ended - first),
                "foreignCpuMs": 1000 * (time.process_time() - processor),
                "tokens": tokens,
                "thoughts": thoughts.tolist(),
            }
        )


def say(message):
    print(json.dumps(message), flush=True)
