"""One case of every op: inputs, and the same function in PyTorch. The rows of tests/core/op_cases_*.cpp have the same names."""
import torch
import torch.nn.functional as F

CASES = {}


def case(name, inputs, function, constants=()):
    """Inputs listed in `constants`, and those of integer type, get no gradient."""
    assert name not in CASES, name
    CASES[name] = (inputs, function, constants)


def exact(x):
    """Rounded to what f32 holds, so that f32 and f64 start from the same numbers."""
    return x.float().double() if x.is_floating_point() else x


def rand(*shape, low=-1.0, high=1.0):
    return torch.rand(shape, dtype=torch.float64) * (high - low) + low


def away(*shape, gap=0.1, high=1.0):
    """Of either sign, and no nearer to 0 than `gap`."""
    return torch.sign(torch.rand(shape, dtype=torch.float64) - 0.5) * rand(*shape, low=gap, high=high)


def distinct(*shape):
    """No two within 0.05 of each other."""
    count = int(torch.tensor(shape).prod())
    return ((torch.randperm(count) - count / 2) * 0.05).double().reshape(shape)


def values(*numbers):
    return torch.tensor(numbers, dtype=torch.float64)


def seeded_until(make, good):
    """The first draw that a condition holds for."""
    while True:
        inputs = make()
        if good(*inputs):
            return inputs


def arithmetic():
    case("add", [rand(2, 3), rand(2, 3)], lambda a, b: a + b)
    case("add_broadcast", [rand(2, 1, 3), rand(4, 1)], lambda a, b: a + b)
    case("add_images", [rand(2, 20, 5, 3), rand(2, 20, 5, 3)], lambda a, b: a + b)
    case("add_channels", [rand(2, 20, 5, 3), rand(1, 20, 1, 1)], lambda a, b: a + b)
    case("add_itself", [rand(2, 20, 5, 3)], lambda a: a + a)
    case("add_scalar", [rand(2, 3)], lambda a: a + 1.5)
    case("sub", [rand(1, 20, 2, 3), rand(3)], lambda a, b: a - b)
    case("mul", [rand(1, 20, 2, 3), rand(1, 20, 2, 3)], lambda a, b: a * b)
    case("mul_broadcast", [rand(3), rand(2, 4, 1)], lambda a, b: a * b)
    case("mul_images", [rand(2, 20, 5, 3), rand(20, 1, 1)], lambda a, b: a * b)
    case("mul_scalar", [rand(2, 3)], lambda a: a * -2.5)
    case("div", [rand(1, 20, 2, 3), away(1, 20, 2, 3, gap=0.5)], lambda a, b: a / b)
    case("div_broadcast", [rand(2, 3), away(2, 1, gap=0.5)], lambda a, b: a / b)
    case("maximum", [distinct(1, 20, 2, 3), distinct(1, 20, 2, 3) + 0.025], torch.maximum)
    case("maximum_broadcast", [distinct(2, 3), values(0.025)], torch.maximum)
    case("maximum_ties", [values(1, 2, 3, 4), values(1, 3, 3, 2)], torch.maximum)
    case("minimum", [distinct(1, 20, 2, 3), distinct(1, 20, 2, 3) + 0.025], torch.minimum)
    case("minimum_ties", [values(1, 2, 3, 4), values(1, 3, 3, 2)], torch.minimum)
    case("atan2", [away(1, 20, 2, 3), away(1, 20, 2, 3)], torch.atan2)
    case("atan2_broadcast", [away(3, 1), away(4)], torch.atan2)
    mask = torch.tensor([[1, 0, 1], [0, 0, 1]], dtype=torch.uint8)
    case("where", [mask, rand(2, 3), rand(2, 3)], lambda m, a, b: torch.where(m != 0, a, b))
    case("where_broadcast", [mask, rand(3), rand(2, 1)], lambda m, a, b: torch.where(m != 0, a, b))


def pointwise():
    case("neg", [rand(1, 20, 2, 3)], torch.neg)
    case("exp", [rand(1, 20, 2, 3)], torch.exp)
    case("log", [rand(1, 20, 2, 3, low=0.2, high=3)], torch.log)
    case("sqrt", [rand(1, 20, 2, 3, low=0.2, high=3)], torch.sqrt)
    case("sin", [rand(1, 20, 2, 3, low=-4, high=4)], torch.sin)
    case("cos", [rand(1, 20, 2, 3, low=-4, high=4)], torch.cos)
    case("tanh", [rand(1, 20, 2, 3, low=-3, high=3)], torch.tanh)
    case("sigmoid", [rand(1, 20, 2, 3, low=-4, high=4)], torch.sigmoid)
    case("sigmoid_extreme", [values(-800, -30, -2, 30, 800)], torch.sigmoid)
    case("abs", [away(1, 20, 2, 3)], torch.abs)
    case("abs_zero", [values(-1, 0, 2)], torch.abs)
    case("pow_cube", [away(1, 20, 2, 3)], lambda x: x**3)
    case("pow_root", [rand(1, 20, 2, 3, low=0.2, high=3)], lambda x: x**0.5)
    case("pow_inverse", [away(1, 20, 2, 3, gap=0.5)], lambda x: x**-1.0)
    case("pow_square_zero", [values(-1, 0, 2)], lambda x: x**2)
    case("clamp", [away(1, 20, 2, 3, gap=0.05, high=1) + 0.5], lambda x: x.clamp(-0.2, 0.5))
    case("clamp_edges", [values(-1, -0.5, 0, 1, 2)], lambda x: x.clamp(-0.5, 1))
    case("relu", [away(1, 20, 2, 3, gap=0.01)], torch.relu)
    case("relu_zero", [values(-1, 0, 2)], torch.relu)
    case("leaky_relu", [away(1, 20, 2, 3, gap=0.01)], lambda x: F.leaky_relu(x, 0.2))
    case("leaky_relu_default", [away(5)], F.leaky_relu)
    case("gelu", [rand(1, 20, 2, 3, low=-4, high=4)], F.gelu)
    case("silu", [rand(1, 20, 2, 3, low=-4, high=4)], F.silu)
    a, b = values(1, 2, 3, 4, 5, 6).reshape(2, 3), values(2, 2, 5)
    for name, function in [("equal", torch.eq), ("not_equal", torch.ne), ("less", torch.lt), ("less_equal", torch.le),
                           ("greater", torch.gt), ("greater_equal", torch.ge)]:
        case(name, [a, b], lambda x, y, f=function: f(x, y).to(torch.uint8), constants=(0, 1))


def reductions():
    for name, function in [("sum", torch.sum), ("mean", torch.mean)]:
        case(name, [rand(2, 3, 4)], function)
        case(name + "_axes", [rand(2, 3, 4)], lambda x, f=function: f(x, (0, 2)))
        case(name + "_keep", [rand(2, 3, 4)], lambda x, f=function: f(x, (-2,), keepdim=True))
    case("sum_images", [rand(2, 20, 5, 3)], lambda x: x.sum((0, 2, 3)))
    for name, function in [("max", torch.amax), ("min", torch.amin)]:
        case(name, [distinct(2, 3, 4)], lambda x, f=function: f(x, (0, 1, 2)))
        case(name + "_axes", [distinct(2, 3, 4)], lambda x, f=function: f(x, (0, 2)))
        case(name + "_keep", [distinct(2, 3, 4)], lambda x, f=function: f(x, (1,), keepdim=True))
        case(name + "_ties", [values(2, 1, 2, 1, 1, 1).reshape(2, 3)], lambda x, f=function: f(x, (1,)))
    case("logsumexp", [rand(2, 3, 4)], lambda x: torch.logsumexp(x, (0, 1, 2)))
    case("logsumexp_axes", [rand(2, 3, 4)], lambda x: torch.logsumexp(x, (0, 2), keepdim=True))
    case("logsumexp_large", [rand(2, 3, low=900, high=905)], lambda x: torch.logsumexp(x, (1,)))
    case("var", [rand(2, 3, 4)], lambda x: torch.var(x, (0, 1, 2)))
    case("var_axes", [rand(2, 3, 4)], lambda x: torch.var(x, (0, 2), unbiased=False))
    case("var_keep", [rand(2, 3, 4)], lambda x: torch.var(x, (1,), keepdim=True))
    case("var_offset", [rand(2, 6) + 1000], lambda x: torch.var(x, (1,)))
    case("norm", [rand(2, 3, 4)], lambda x: torch.linalg.vector_norm(x, dim=(0, 1, 2)))
    case("norm_axes", [rand(2, 3, 4)], lambda x: torch.linalg.vector_norm(x, dim=(1, 2), keepdim=True))
    case("norm_zero", [torch.cat([torch.zeros(1, 3).double(), rand(1, 3)])], lambda x: torch.linalg.vector_norm(x, dim=(1,)))
    case("argmax", [values(1, 3, 3, 5, 2, 5).reshape(2, 3)], lambda x: torch.argmax(x, 1), constants=(0,))
    case("argmax_first_axis", [distinct(4, 3)], lambda x: torch.argmax(x, 0), constants=(0,))
    case("topk", [distinct(3, 6)], lambda x: torch.topk(x, 3)[0])
    case("topk_indices", [distinct(3, 6)], lambda x: torch.topk(x, 3)[1], constants=(0,))
    case("cosine_similarity", [rand(3, 4), rand(3, 4)], lambda a, b: F.cosine_similarity(a, b, dim=-1))
    case("cosine_similarity_first_axis", [rand(5, 2), rand(5, 2)], lambda a, b: F.cosine_similarity(a, b, dim=0))
    case("sum_to", [rand(2, 3, 4)], lambda x: x.sum_to_size(3, 1))
    case("broadcast_to", [rand(3, 1)], lambda x: x.expand(2, 3, 4))


def moving():
    case("reshape", [rand(2, 3, 4)], lambda x: x.reshape(4, -1))
    case("clone", [rand(2, 20, 5, 3)], torch.clone)
    case("permute", [rand(2, 3, 4)], lambda x: x.permute(2, 0, 1))
    case("permute_images", [rand(2, 20, 5, 3)], lambda x: x.permute(0, 2, 3, 1))
    case("transpose", [rand(2, 3, 4)], lambda x: x.transpose(-1, -2))
    case("flatten", [rand(2, 20, 5, 3)], lambda x: x.flatten(1))
    case("flatten_all", [rand(2, 3)], lambda x: x.flatten(0))
    case("concat", [rand(2, 3, 2), rand(2, 1, 2), rand(2, 2, 2)], lambda a, b, c: torch.cat([a, b, c], 1))
    case("concat_last", [rand(2, 3), rand(2, 2)], lambda a, b: torch.cat([a, b], -1))
    case("concat_images", [rand(2, 20, 5, 3), rand(2, 12, 5, 3)], lambda a, b: torch.cat([a, b], 1))
    case("stack", [rand(2, 3), rand(2, 3)], lambda a, b: torch.stack([a, b], 1))
    case("slice", [rand(4, 5)], lambda x: x[:, 1:4])
    case("slice_step", [rand(7, 2)], lambda x: x[1:7:3])
    case("slice_back", [rand(4, 5)], lambda x: x[:, -3:-1])
    case("slice_images", [rand(2, 20, 5, 3)], lambda x: x[:, 3:17])
    case("pad", [rand(2, 3)], lambda x: F.pad(x, (2, 0, 1, 3), value=1.5))
    case("pad_images", [rand(2, 20, 5, 3)], lambda x: F.pad(x, (1, 2, 0, 1)))
    case("index_select", [rand(4, 3), torch.tensor([2, 0, 2])], lambda x, i: x.index_select(0, i))
    case("index_select_last", [rand(2, 4), torch.tensor([3, 1, 1, 0, 3])], lambda x, i: x.index_select(1, i))
    case("gather", [rand(3, 4), torch.tensor([[0, 0], [3, 1], [2, 2]])], lambda x, i: x.gather(1, i))
    case("gather_first_axis", [rand(3, 2), torch.tensor([[0, 2], [1, 2], [0, 0], [2, 1]])], lambda x, i: x.gather(0, i))


def products():
    case("matmul", [rand(3, 4), rand(4, 5)], torch.matmul)
    case("matmul_large", [rand(17, 33), rand(33, 19)], torch.matmul)
    case("matmul_batched", [rand(2, 3, 4), rand(2, 4, 5)], torch.matmul)
    case("matmul_broadcast", [rand(2, 1, 3, 4), rand(5, 4, 2)], torch.matmul)
    case("matmul_shared", [rand(2, 3, 4), rand(4, 2)], torch.matmul)
    case("linear", [rand(3, 4), rand(5, 4), rand(5)], F.linear)
    case("linear_no_bias", [rand(3, 4), rand(5, 4)], F.linear)


def convolutions():
    for name, x, weight, options in [
        ("conv2d", (2, 3, 6, 5), (4, 3, 3, 3), {}),
        ("conv2d_padded", (2, 20, 5, 4), (24, 20, 3, 3), {"padding": 1}),
        ("conv2d_strided", (2, 16, 7, 6), (16, 16, 3, 3), {"stride": 2, "padding": 1}),
        ("conv2d_pointwise", (2, 16, 5, 5), (32, 16, 1, 1), {"stride": 2}),
        ("conv2d_dilated", (1, 4, 9, 8), (6, 4, 3, 3), {"dilation": 2, "padding": 2}),
        ("conv2d_groups", (2, 8, 5, 5), (12, 4, 3, 3), {"groups": 2, "padding": 1}),
        ("conv2d_depthwise", (2, 16, 6, 6), (16, 1, 3, 3), {"groups": 16, "padding": 1}),
        ("conv2d_rectangular", (1, 5, 8, 6), (4, 5, 3, 2), {"stride": (1, 2), "padding": (2, 1), "dilation": (2, 1)}),
    ]:
        case(name, [rand(*x), rand(*weight, low=-0.3, high=0.3), rand(weight[0])], lambda x, w, b, o=options: F.conv2d(x, w, b, **o))
    case("conv2d_no_bias", [rand(2, 3, 5, 5), rand(20, 3, 3, 3)], lambda x, w: F.conv2d(x, w, padding=1))
    case("max_pool2d", [distinct(2, 20, 6, 4)], lambda x: F.max_pool2d(x, 2))
    case("max_pool2d_overlapping", [distinct(2, 20, 7, 6)], lambda x: F.max_pool2d(x, 3, 2, 1))
    case("max_pool2d_negative", [distinct(1, 3, 4, 4) - 10], lambda x: F.max_pool2d(x, 3, 1, 1))
    case("avg_pool2d", [rand(2, 20, 6, 4)], lambda x: F.avg_pool2d(x, 2))
    case("avg_pool2d_overlapping", [rand(2, 20, 7, 6)], lambda x: F.avg_pool2d(x, (3, 2), (2, 1), (1, 0)))
    case("global_avg_pool", [rand(2, 20, 5, 3)], lambda x: x.mean((2, 3)))
    case("subsample_pad", [rand(2, 16, 6, 4)], lambda x: F.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, 8, 8)))
    case("subsample_pad_odd", [rand(2, 20, 5, 7)], lambda x: F.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, 6, 7)))


def normalisations():
    def batch_norm(x, gamma, beta, mean, var, training=True):
        return F.batch_norm(x, mean.clone(), var.clone(), gamma, beta, training, 0.1, 1e-5)

    def running(x, mean, var):
        mean, var = mean.clone(), var.clone()
        F.batch_norm(x, mean, var, None, None, True, 0.3, 1e-5)
        return torch.cat([mean, var])

    def evaluate(*inputs):
        return batch_norm(*inputs, training=False)

    def affine(c):
        return [rand(c, low=0.5, high=1.5), rand(c), rand(c), rand(c, low=0.5, high=2)]

    for name, shape in [("", (3, 20, 4, 3)), ("_rows", (6, 5)), ("_one_pixel", (5, 16, 1, 1))]:
        case("batch_norm" + name, [rand(*shape) * 2 + 1] + affine(shape[1]), batch_norm, constants=(3, 4))
        case("batch_norm_eval" + name, [rand(*shape)] + affine(shape[1]), evaluate, constants=(3, 4))
        case("batch_norm_running" + name, [rand(*shape) * 2 + 1, rand(shape[1]), rand(shape[1], low=0.5)], running, constants=(0, 1, 2))
    case("batch_norm_plain", [rand(3, 4, 3, 2), rand(4), rand(4, low=0.5)],
         lambda x, m, v: F.batch_norm(x, m.clone(), v.clone(), None, None, True), constants=(1, 2))
    for name, function in [("batch_norm_relu", batch_norm), ("batch_norm_relu_eval", evaluate)]:
        inputs = seeded_until(lambda: [rand(3, 20, 4, 3)] + affine(20), lambda *i, f=function: f(*i).abs().min() > 1e-3)
        case(name, inputs, lambda *i, f=function: torch.relu(f(*i)), constants=(3, 4))
    case("add_relu", [away(2, 20, 5, 3, gap=0.5), rand(2, 20, 5, 3, low=-0.4, high=0.4)], lambda a, b: torch.relu(a + b))
    case("group_norm", [rand(2, 6, 3, 2), rand(6), rand(6)], lambda x, g, b: F.group_norm(x, 3, g, b))
    case("group_norm_images", [rand(2, 32, 3, 3), rand(32), rand(32)], lambda x, g, b: F.group_norm(x, 32, g, b, 1e-3))
    case("group_norm_plain", [rand(2, 6, 4)], lambda x: F.group_norm(x, 2))
    case("layer_norm", [rand(3, 4, 5), rand(5), rand(5)], lambda x, g, b: F.layer_norm(x, (5,), g, b))
    case("layer_norm_axes", [rand(3, 4, 5), rand(4, 5), rand(4, 5)], lambda x, g, b: F.layer_norm(x, (4, 5), g, b, 1e-3))


def losses():
    labels = torch.tensor([2, 0, 4, 4])
    soft = torch.softmax(rand(4, 5), 1)
    case("softmax", [rand(3, 5)], lambda x: F.softmax(x, -1))
    case("softmax_axis", [rand(2, 3, 4)], lambda x: F.softmax(x, 1))
    case("softmax_large", [rand(2, 3, low=900, high=905)], lambda x: F.softmax(x, 1))
    case("log_softmax", [rand(3, 5)], lambda x: F.log_softmax(x, -1))
    case("log_softmax_axis", [rand(2, 3, 4)], lambda x: F.log_softmax(x, 0))
    case("log_softmax_large", [rand(2, 3, low=-1005, high=-900)], lambda x: F.log_softmax(x, 1))
    case("cross_entropy", [rand(4, 5, low=-3, high=3), labels], F.cross_entropy)
    case("cross_entropy_smooth", [rand(4, 5, low=-3, high=3), labels], lambda x, y: F.cross_entropy(x, y, label_smoothing=0.2))
    case("cross_entropy_soft", [rand(4, 5), soft], F.cross_entropy, constants=(1,))
    case("cross_entropy_soft_smooth", [rand(4, 5), soft], lambda x, y: F.cross_entropy(x, y, label_smoothing=0.1), constants=(1,))
    case("mse_loss", [rand(3, 4), rand(3, 4)], F.mse_loss)


def creation():
    case("zeros", [], lambda: torch.zeros(2, 3).double())
    case("ones", [], lambda: torch.ones(2, 3).double())
    case("full", [], lambda: torch.full((2, 3), -1.5).double())
    case("zeros_like", [rand(2, 20, 5, 3)], torch.zeros_like, constants=(0,))
    case("ones_like", [rand(2, 20, 5, 3)], torch.ones_like, constants=(0,))
    case("arange", [], lambda: torch.arange(1, 4, 0.5).double())


def fused():
    """Drawn apart, so that the cases above keep their numbers."""
    def norm(training):
        return lambda x, r, g, b, mean, var: F.batch_norm(x, mean.clone(), var.clone(), g, b, training, 0.1, 1e-5) + r

    with torch.random.fork_rng():
        torch.manual_seed(2)
        for name, shape, training in [("", (3, 20, 4, 3), True), ("_rows", (6, 5), True), ("_eval", (3, 20, 4, 3), False)]:
            def make(s=shape):
                return [rand(*s), rand(*s), rand(s[1], low=0.5, high=1.5), rand(s[1]), rand(s[1]), rand(s[1], low=0.5, high=2)]
            function = norm(training)
            inputs = seeded_until(make, lambda *i, f=function: f(*i).abs().min() > 1e-3)
            case("batch_norm_add_relu" + name, inputs, lambda *i, f=function: torch.relu(f(*i)), constants=(4, 5))


def run():
    """The tensors of every case: NAME/input0.., NAME/value and, where differentiable, NAME/upstream and NAME/gradient0.. ."""
    torch.manual_seed(1)
    for family in [arithmetic, pointwise, reductions, moving, products, convolutions, normalisations, losses, creation, fused]:
        family()
    tensors = {}
    for name, (inputs, function, constants) in CASES.items():
        leaves = []
        for i, x in enumerate(inputs):
            x = exact(x)
            tensors[f"{name}/input{i}"] = x.clone()
            leaves.append(x.requires_grad_() if x.is_floating_point() and i not in constants else x)
        value = function(*leaves)
        tensors[f"{name}/value"] = value.detach()
        checked = [i for i, x in enumerate(leaves) if x.requires_grad]
        if checked:
            upstream = exact(rand(*value.shape))
            tensors[f"{name}/upstream"] = upstream
            for i, gradient in zip(checked, torch.autograd.grad(value, [leaves[i] for i in checked], upstream)):
                tensors[f"{name}/gradient{i}"] = gradient
    return tensors
