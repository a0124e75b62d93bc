"""Ten steps of torch's optimizers on given gradients, and torch's learning rates step by step, all in f64."""
import torch

STEPS = 10
SHAPES = {"conv": (4, 3, 3, 3), "bias": (5,)}
OPTIMIZERS = {
    "sgd": (torch.optim.SGD, dict(lr=0.1)),
    "sgd_momentum": (torch.optim.SGD, dict(lr=0.1, momentum=0.9, dampening=0.3, weight_decay=0.01)),
    "sgd_nesterov": (torch.optim.SGD, dict(lr=0.1, momentum=0.9, nesterov=True, weight_decay=0.01)),
    "adam": (torch.optim.Adam, dict(lr=0.01, betas=(0.8, 0.95), eps=1e-3, weight_decay=0.1)),
    "adam_defaults": (torch.optim.Adam, dict()),
    "adamw": (torch.optim.AdamW, dict(lr=0.01, betas=(0.8, 0.95), eps=1e-3, weight_decay=0.1)),
    "adamw_defaults": (torch.optim.AdamW, dict()),
}
TOTAL, EPOCH = 60, 6  # steps
SCHEDULES = {
    "step": lambda o, s: s.StepLR(o, 3 * EPOCH, 0.2),
    "multistep": lambda o, s: s.MultiStepLR(o, [2 * EPOCH, 7 * EPOCH + 3], 0.1),
    "cosine": lambda o, s: s.CosineAnnealingLR(o, TOTAL, 0.05),
    "polynomial": lambda o, s: s.PolynomialLR(o, TOTAL, 1.5),
    "exponential": lambda o, s: s.ExponentialLR(o, 0.9 ** (1 / EPOCH)),
    "one_cycle": lambda o, s: s.OneCycleLR(o, 1.0, total_steps=TOTAL),
    "one_cycle_linear": lambda o, s: s.OneCycleLR(o, 1.0, total_steps=TOTAL, pct_start=0.41, anneal_strategy="linear", div_factor=10, final_div_factor=100),
    "warmup_cosine": lambda o, s: s.SequentialLR(
        o, [s.LinearLR(o, 1 / 9, 1, 8), s.CosineAnnealingLR(o, TOTAL - 9)], [9]
    ),
}


def run():
    torch.manual_seed(3)
    out = {}
    for name, shape in SHAPES.items():
        out[f"start/{name}"] = torch.randn(shape, dtype=torch.float64)
        out[f"gradients/{name}"] = torch.randn((STEPS, *shape), dtype=torch.float64)
    for case, (make, options) in OPTIMIZERS.items():
        parameters = {name: out[f"start/{name}"].clone().requires_grad_() for name in SHAPES}
        optimizer = make(parameters.values(), **options)
        for step in range(STEPS):
            for name, parameter in parameters.items():
                parameter.grad = out[f"gradients/{name}"][step].clone()
            optimizer.step()
        for name, parameter in parameters.items():
            out[f"{case}/{name}"] = parameter.detach()
    for case, make in SCHEDULES.items():
        optimizer = torch.optim.SGD([torch.zeros(1)], lr=1.0)
        schedule, rates = make(optimizer, torch.optim.lr_scheduler), []
        for _ in range(TOTAL):
            rates.append(optimizer.param_groups[0]["lr"])
            optimizer.step()
            if len(rates) < TOTAL:
                schedule.step()
        out[f"schedule/{case}"] = torch.tensor(rates, dtype=torch.float64)
    return out
