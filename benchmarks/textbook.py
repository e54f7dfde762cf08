"""The programs that tutorials have, written plainly: what charlstm is compared with."""

import torch
from torch import Tensor, nn
from torch.nn import functional


class TextbookScratch(nn.Module):
    """An LSTM "from scratch": one-hot input, eight products a step, autograd over the loop."""

    def __init__(self, vocabulary_size: int, hidden: int) -> None:
        super().__init__()
        self.vocabulary_size, self.hidden = vocabulary_size, hidden

        def three() -> tuple[nn.Parameter, nn.Parameter, nn.Parameter]:
            return (
                nn.Parameter(torch.randn(vocabulary_size, hidden) * 0.01),
                nn.Parameter(torch.randn(hidden, hidden) * 0.01),
                nn.Parameter(torch.zeros(hidden)),
            )

        self.W_xi, self.W_hi, self.b_i = three()
        self.W_xf, self.W_hf, self.b_f = three()
        self.W_xo, self.W_ho, self.b_o = three()
        self.W_xc, self.W_hc, self.b_c = three()
        self.W_hq = nn.Parameter(torch.randn(hidden, vocabulary_size) * 0.01)
        self.b_q = nn.Parameter(torch.zeros(vocabulary_size))

    def forward(self, ids: Tensor) -> Tensor:
        """``[T, B]`` ids -> ``[T, B, V]`` logits, from a zero state."""
        H = C = self.b_q.new_zeros(ids.shape[1], self.hidden)
        outputs = []
        for X in functional.one_hot(ids, self.vocabulary_size).float():
            I = torch.sigmoid(X @ self.W_xi + H @ self.W_hi + self.b_i)
            F = torch.sigmoid(X @ self.W_xf + H @ self.W_hf + self.b_f)
            O = torch.sigmoid(X @ self.W_xo + H @ self.W_ho + self.b_o)
            C_tilda = torch.tanh(X @ self.W_xc + H @ self.W_hc + self.b_c)
            C = F * C + I * C_tilda
            H = O * torch.tanh(C)
            outputs.append(H @ self.W_hq + self.b_q)
        return torch.stack(outputs)


class TextbookLibrary(nn.Module):
    """The "concise" version: `nn.LSTM` on one-hot input and a linear layer."""

    def __init__(self, vocabulary_size: int, hidden: int) -> None:
        super().__init__()
        self.vocabulary_size = vocabulary_size
        self.lstm = nn.LSTM(vocabulary_size, hidden)
        self.linear = nn.Linear(hidden, vocabulary_size)

    def forward(self, ids: Tensor) -> Tensor:
        """``[T, B]`` ids -> ``[T, B, V]`` logits, from a zero state."""
        outputs, _ = self.lstm(functional.one_hot(ids, self.vocabulary_size).float())
        logits: Tensor = self.linear(outputs)
        return logits


class TextbookTrainer:
    """Adam, cross-entropy and clipping by the global norm, as tutorials write them."""

    def __init__(self, model: nn.Module, device: torch.device) -> None:
        self.model = model.to(device)
        self.optimizer = torch.optim.Adam(self.model.parameters(), lr=1e-3)

    def step(self, inputs: Tensor, targets: Tensor) -> None:
        """Forward, backward, clip, update."""
        loss = functional.cross_entropy(self.model(inputs).flatten(0, 1), targets.flatten())
        self.optimizer.zero_grad()
        torch.autograd.backward(loss)
        nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimizer.step()


@torch.inference_mode()
def write_eagerly(model: TextbookLibrary, length: int, temperature: float) -> list[int]:
    """Sample `length` ids, one call of the library's LSTM a character."""
    character, state = torch.zeros(1, 1, dtype=torch.int64), None
    written = []
    for _ in range(length):
        one_hot = functional.one_hot(character, model.vocabulary_size).float()
        outputs, state = model.lstm(one_hot, state)
        logits = model.linear(outputs[-1, 0]) / temperature
        character = torch.multinomial(logits.softmax(-1), 1).view(1, 1)
        written.append(int(character))
    return written
