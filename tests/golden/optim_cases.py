"""Ten steps of torch's optimizers on given gradients, and torch's learning rates step by step, all in f64."""
import torch



class Muon(torch.optim.Optimizer):
    """Jordan's, by its singular values: those of the momentum as a matrix, over its norm, through the polynomial."""

    def __init__(self, parameters, lr, momentum, nesterov, ns_steps=5, weight_decay=0.0, normalize=False):
        super().__init__(parameters, dict(lr=lr, momentum=momentum, nesterov=nesterov, weight_decay=weight_decay))
        self.ns_steps, self.normalize = ns_steps, normalize

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            for p in group["params"]:
                buf = self.state[p].setdefault("momentum_buffer", torch.zeros_like(p))
                buf.mul_(group["momentum"]).add_(p.grad)
                update = p.grad + group["momentum"] * buf if group["nesterov"] else buf
                u, s, vh = torch.linalg.svd(update.flatten(1), full_matrices=False)
                s = s / (update.norm() + 1e-7)
                for _ in range(self.ns_steps):
                    s = 3.4445 * s - 4.775 * s**3 + 2.0315 * s**5
                if self.normalize:
                    p.mul_(len(p) ** 0.5 / p.norm())
                p.mul_(1 - group["lr"] * group["weight_decay"])
                scale = max(1, u.shape[0] / vh.shape[1]) ** 0.5
                p.sub_(((u * s) @ vh).view_as(p), alpha=group["lr"] * scale)


class MuonAndSgd:
    """Muon for what is a matrix, SGD for the rest."""

    def __init__(self, parameters, sgd, **options):
        parameters = list(parameters)
        self.parts = [Muon([p for p in parameters if p.ndim > 1], **options),
                      torch.optim.SGD([p for p in parameters if p.ndim < 2], **sgd)]

    def step(self):
        for part in self.parts:
            part.step()


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
    "muon": (MuonAndSgd, dict(lr=0.02, momentum=0.95, nesterov=True, weight_decay=0.5, sgd=dict(lr=0.1, momentum=0.9))),
    "muon_airbench": (MuonAndSgd, dict(lr=0.24, momentum=0.6, nesterov=True, ns_steps=3, normalize=True,
                                       sgd=dict(lr=0.5, momentum=0.85, nesterov=True, weight_decay=0.01))),
    "muon_plain": (MuonAndSgd, dict(lr=0.1, momentum=0.5, nesterov=False, sgd=dict(lr=0.1))),
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
