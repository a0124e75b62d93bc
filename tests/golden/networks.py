"""ResNets with given weights: one batch in train and eval mode, and ten steps of SGD, all in f64."""
import torch
import torch.nn as nn
import torch.nn.functional as F

nearest_zero = float("inf")


def relu(x):
    """torch.relu, noting how near to 0, where its gradient jumps, its input has come."""
    global nearest_zero
    nearest_zero = min(nearest_zero, x.detach().abs().min().item())
    return torch.relu(x)


def batch_norm(channels):
    norm = nn.BatchNorm2d(channels)
    with torch.no_grad():  # away from 1 and 0, so that neither can be forgotten unseen
        norm.weight.uniform_(0.5, 1.5)
        norm.bias.uniform_(-0.2, 0.2)
    return norm


def convolution(inputs, outputs, kernel, stride):
    layer = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False)
    nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
    return layer


class Block(nn.Module):
    def __init__(self, inputs, outputs, stride, shortcut):
        super().__init__()
        self.conv1 = convolution(inputs, outputs, 3, stride)
        self.bn1 = batch_norm(outputs)
        self.conv2 = convolution(outputs, outputs, 3, 1)
        self.bn2 = batch_norm(outputs)
        self.padding = (outputs - inputs) // 2 if shortcut == "A" else None
        self.stride = stride
        if shortcut == "B" and (stride != 1 or inputs != outputs):
            self.downsample = nn.Sequential(convolution(inputs, outputs, 1, stride), batch_norm(outputs))

    def forward(self, x):
        y = self.bn2(self.conv2(relu(self.bn1(self.conv1(x)))))
        if hasattr(self, "downsample"):
            x = self.downsample(x)
        elif self.padding is not None and self.stride != 1:
            x = F.pad(x[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, self.padding, self.padding))
        return relu(x + y)


class ResNet(nn.Module):
    """CIFAR stem; `stages` blocks a stage; each stage doubles the width and halves the image."""

    def __init__(self, stages, width, shortcut):
        super().__init__()
        self.conv1 = convolution(3, width, 3, 1)
        self.bn1 = batch_norm(width)
        self.stages = len(stages)
        channels = width
        for i, count in enumerate(stages):
            outputs = width << i
            blocks = []
            for k in range(count):
                blocks.append(Block(channels, outputs, 2 if i > 0 and k == 0 else 1, shortcut))
                channels = outputs
            setattr(self, f"layer{i + 1}", nn.Sequential(*blocks))
        self.fc = nn.Linear(channels, 10)

    def forward(self, x):
        x = relu(self.bn1(self.conv1(x)))
        for i in range(self.stages):
            x = getattr(self, f"layer{i + 1}")(x)
        return self.fc(x.mean((2, 3)))


def state(net):
    return {k: v.clone() for k, v in net.state_dict().items() if not k.endswith("num_batches_tracked")}


def run(stages, width, shortcut, seed):
    """start/ (f32), gradient/, running/ (after one forward pass), final/ (after ten steps), logits, loss, eval_logits, losses."""
    torch.manual_seed(seed)
    net = ResNet(stages, width, shortcut)
    images, labels = torch.randn(2, 3, 32, 32), torch.tensor([3, 9])
    tensors = {"images": images, "labels": labels}
    tensors.update({"start/" + k: v for k, v in state(net).items()})
    net = net.double()
    global nearest_zero
    nearest_zero = float("inf")
    images = images.double()

    logits = net(images)
    loss = F.cross_entropy(logits, labels)
    loss.backward()
    tensors.update({"logits": logits.detach(), "loss": loss.detach()})
    tensors.update({"gradient/" + k: p.grad.clone() for k, p in net.named_parameters()})
    tensors.update({"running/" + k: v for k, v in state(net).items() if "running" in k})
    net.eval()
    tensors["eval_logits"] = net(images).detach()

    net.load_state_dict({k[len("start/"):]: v for k, v in tensors.items() if k.startswith("start/")}, strict=False)
    net.train()
    sgd = torch.optim.SGD(net.parameters(), lr=0.01, momentum=0.9, nesterov=True, weight_decay=5e-4)
    losses = []
    for _ in range(10):
        loss = F.cross_entropy(net(images), labels)
        sgd.zero_grad()
        loss.backward()
        sgd.step()
        losses.append(loss.detach())
    # A ReLU whose input rounding moves across 0 throws f32 off its course: take another seed.
    assert nearest_zero > 3e-6, f"seed {seed}: an input of ReLU came as near to 0 as {nearest_zero:.1e}"
    tensors["losses"] = torch.stack(losses)
    tensors.update({"final/" + k: v for k, v in state(net).items()})
    return tensors
