"""Steps of training with PyTorch, written as its users write them.

Speaks the protocol of executor/benches/training.rs: `pytorch.py MODEL WEIGHTS THREADS` loads the initial
weights that the other side wrote, says `ready`, and answers each step that a line of standard
input asks for with its seconds on the clock, its seconds of processor time, and its loss.
"""

import json
import struct
import sys
import time

import torch
import torch.nn.functional as F
from torch import nn

WINDOWS = 8
RATE = 1e-3
CLIP = 1.0


def read_safetensors(path):
    """Tensors of a safetensors file of single-precision numbers."""
    with open(path, "rb") as file:
        (length,) = struct.unpack("<Q", file.read(8))
        header = json.loads(file.read(length))
        data = bytearray(file.read())
    tensors = {}
    for name, entry in header.items():
        if name != "__metadata__" and entry["dtype"] == "F32":
            first, last = entry["data_offsets"]
            if last > first:
                flat = torch.frombuffer(data, dtype=torch.float32, count=(last - first) // 4,
                                        offset=first)
                tensors[name] = flat.reshape(entry["shape"])
    return tensors


def as_torch_gates(weight):
    """Columns [i | f | o | u] as PyTorch's rows [i | f | u | o]."""
    i, f, o, u = weight.reshape(-1, weight.shape[-1]).chunk(4, dim=1)
    return torch.cat([i, f, u, o], dim=1).t()


class Lstm(nn.Module):
    """Embedding, nn.LSTM, linear decoder."""

    def __init__(self, vocab, embedding, hidden, layers, projection=0):
        super().__init__()
        self.embedding = nn.Embedding(vocab, embedding)
        self.lstm = nn.LSTM(embedding, hidden, layers, proj_size=projection)
        self.decoder = nn.Linear(projection or hidden, vocab)

    def load(self, tensors):
        self.embedding.weight.copy_(tensors["embedding.table"])
        self.decoder.weight.copy_(tensors["head.w_vocab"])
        self.decoder.bias.copy_(tensors["head.b_vocab"].flatten())
        for layer in range(self.lstm.num_layers):
            def own(name):
                return getattr(self.lstm, f"{name}_l{layer}")
            own("weight_ih").copy_(as_torch_gates(tensors[f"layers.{layer}.w_x"]))
            own("weight_hh").copy_(as_torch_gates(tensors[f"layers.{layer}.w_r"]))
            own("bias_ih").copy_(as_torch_gates(tensors[f"layers.{layer}.b"]).flatten())
            # One bias is enough; the other stays at zero.
            own("bias_hh").zero_()
            own("bias_hh").requires_grad_(False)
            if self.lstm.proj_size:
                own("weight_hr").copy_(tensors[f"layers.{layer}.w_p"].t())

    def forward(self, inputs, state):
        outputs, state = self.lstm(self.embedding(inputs.t()), state)
        return self.decoder(outputs), state


class Mlstm(nn.Module):
    """Multiplicative LSTM as a loop over time; what does not depend on the state is one product."""

    def __init__(self, vocab, embedding, hidden):
        super().__init__()
        self.hidden = hidden
        self.embedding = nn.Embedding(vocab, embedding)
        self.wmx = nn.Linear(embedding, hidden, bias=False)
        self.wmh = nn.Linear(hidden, hidden, bias=False)
        self.wx = nn.Linear(embedding, 4 * hidden)
        self.wh = nn.Linear(hidden, 4 * hidden, bias=False)
        self.decoder = nn.Linear(hidden, vocab)

    def load(self, tensors):
        self.embedding.weight.copy_(tensors["embedding.table"])
        self.decoder.weight.copy_(tensors["head.w_vocab"])
        self.decoder.bias.copy_(tensors["head.b_vocab"].flatten())
        self.wmx.weight.copy_(tensors["layers.0.w_mx"].t())
        self.wmh.weight.copy_(tensors["layers.0.w_mh"].t())
        self.wx.weight.copy_(as_torch_gates(tensors["layers.0.w_x"]))
        self.wx.bias.copy_(as_torch_gates(tensors["layers.0.b"]).flatten())
        self.wh.weight.copy_(as_torch_gates(tensors["layers.0.w_h"]))

    def cell(self, mx, x, h, c):
        i, f, u, o = (x + self.wh(mx * self.wmh(h))).chunk(4, dim=1)
        c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(u)
        return torch.sigmoid(o) * torch.tanh(c), c

    def forward(self, inputs, state):
        embedded = self.embedding(inputs.t())
        mx, x = self.wmx(embedded), self.wx(embedded)
        if state is None:
            state = (torch.zeros(inputs.shape[0], self.hidden),) * 2
        h, c = state
        outputs = []
        for mx_t, x_t in zip(mx.unbind(), x.unbind()):
            h, c = self.cell(mx_t, x_t, h, c)
            outputs.append(h)
        return self.decoder(torch.stack(outputs)), (h, c)


class Block(nn.Module):
    """Attention and feed-forward part, each behind a normalisation."""

    def __init__(self, width, heads):
        super().__init__()
        self.heads = heads
        self.norm1 = nn.LayerNorm(width)
        self.qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)
        self.norm2 = nn.LayerNorm(width)
        self.up = nn.Linear(width, 4 * width)
        self.down = nn.Linear(4 * width, width)

    def load(self, tensors, prefix):
        pairs = [(self.qkv, "qkv"), (self.out, "out"), (self.up, "up"), (self.down, "down")]
        for linear, name in pairs:
            linear.weight.copy_(tensors[f"{prefix}.w_{name}"].t())
            linear.bias.copy_(tensors[f"{prefix}.b_{name}"].flatten())
        for norm, name in [(self.norm1, "norm1"), (self.norm2, "norm2")]:
            norm.weight.copy_(tensors[f"{prefix}.{name}.scale"].flatten())
            norm.bias.copy_(tensors[f"{prefix}.{name}.shift"].flatten())

    def forward(self, x):
        batch, length, width = x.shape
        split = (batch, length, self.heads, width // self.heads)
        q, k, v = (part.view(split).transpose(1, 2) for part in self.qkv(self.norm1(x)).chunk(3, -1))
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.out(y.transpose(1, 2).reshape(batch, length, width))
        return x + self.down(F.gelu(self.up(self.norm2(x)), approximate="tanh"))


class Gpt2(nn.Module):
    """GPT-2 without dropout; the decoder is the embedding."""

    def __init__(self, vocab, positions, width, heads, layers):
        super().__init__()
        self.embedding = nn.Embedding(vocab, width)
        self.positions = nn.Embedding(positions, width)
        self.blocks = nn.ModuleList(Block(width, heads) for _ in range(layers))
        self.norm = nn.LayerNorm(width)

    def load(self, tensors):
        self.embedding.weight.copy_(tensors["embedding.table"])
        self.positions.weight.copy_(tensors["embedding.positions"])
        for i, block in enumerate(self.blocks):
            block.load(tensors, f"layers.{i}")
        self.norm.weight.copy_(tensors["head.norm.scale"].flatten())
        self.norm.bias.copy_(tensors["head.norm.shift"].flatten())

    def forward(self, inputs, state):
        x = self.embedding(inputs) + self.positions(torch.arange(inputs.shape[1]))
        for block in self.blocks:
            x = block(x)
        logits = F.linear(self.norm(x), self.embedding.weight)
        return logits.transpose(0, 1), None


# Model, vocabulary, sequences, tokens per sequence: as in executor/benches/training.rs.
CASES = {
    "mlstm": (lambda: Mlstm(257, 64, 1024), 257, 32, 64),
    "lstm": (lambda: Lstm(10_000, 650, 650, 2), 10_000, 20, 35),
    "projected": (lambda: Lstm(10_000, 512, 2048, 1, projection=512), 10_000, 64, 20),
    "gpt2": (lambda: Gpt2(50_257, 1024, 768, 12, 12), 50_257, 1, 512),
}


def draw_tokens(count, vocab):
    """The text of the other side."""
    state, tokens = 1, []
    for _ in range(count):
        state = (state * 6364136223846793005 + 1442695040888963407) % 2**64
        uniform = (state >> 40) / 2**24
        tokens.append(int(uniform * uniform * vocab))
    return tokens


def windows(tokens, sequences, length):
    """Inputs and targets of each window of the text: a row per sequence."""
    lanes = torch.tensor(tokens).view(sequences, -1)
    for window in range(WINDOWS):
        at = window * length
        yield lanes[:, at:at + length], lanes[:, at + 1:at + length + 1]


def main():
    name, weights, threads = sys.argv[1:4]
    torch.set_num_threads(int(threads))
    make, vocab, sequences, length = CASES[name]
    model = make()
    with torch.no_grad():
        model.load(read_safetensors(weights))
    if "--compile" in sys.argv:
        # Of a loop over time, the cell alone: all steps together take minutes to compile.
        if name == "mlstm":
            model.cell = torch.compile(model.cell)
        else:
            model = torch.compile(model)
    parameters = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.Adam(parameters, lr=RATE, fused=True)
    tokens = draw_tokens(sequences * (length * WINDOWS + 1), vocab)
    text = list(windows(tokens, sequences, length))
    state, step = None, 0
    print("ready", flush=True)
    for line in sys.stdin:
        for _ in range(int(line)):
            inputs, targets = text[step % WINDOWS]
            wall, busy = time.perf_counter(), time.process_time()
            optimizer.zero_grad(set_to_none=True)
            if state is not None:
                state = tuple(part.detach() for part in state)
            logits, state = model(inputs, state)
            loss = F.cross_entropy(logits.reshape(-1, vocab), targets.t().reshape(-1))
            loss.backward()
            torch.nn.utils.clip_grad_norm_(parameters, CLIP)
            optimizer.step()
            value = loss.item()
            wall, busy = time.perf_counter() - wall, time.process_time() - busy
            print(wall, busy, value, flush=True)
            step += 1


if __name__ == "__main__":
    main()
