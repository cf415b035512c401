"""Figures as published: Any-Width Networks (Vu et al., 2020), in percent. Settings are pairs of network and data set."""

# Table 1: MNIST, trained at four fixed widths; test accuracy at widths ¼, ½, ¾, 1.
TABLE_1 = {
    ("lenet", "mnist"): {
        "shared_bn": (98.49, 96.59, 98.78, 98.49),
        "s_net": (98.69, 98.91, 98.93, 99.05),
        "awn_fixed": (98.43, 98.82, 98.87, 98.97),
    }
}

# Table 2: area under the width-accuracy curve, by method and number of calibrated widths.
TABLE_2 = {
    ("lenet", "fmnist"): {
        "awn_fixed": 90.67,
        "s_net": 83.78,
        "awn_random": 91.06,
        "us_net 4": 90.40,
        "us_net 10": 90.70,
        "us_net 20": 90.74,
    },
    ("lenet", "cifar10"): {
        "awn_fixed": 71.12,
        "s_net": 56.99,
        "awn_random": 73.75,
        "us_net 4": 67.84,
        "us_net 10": 71.30,
        "us_net 20": 72.45,
    },
    ("lenet", "cifar100"): {
        "awn_fixed": 42.69,
        "s_net": 26.94,
        "awn_random": 43.65,
        "us_net 4": 40.12,
        "us_net 10": 41.38,
        "us_net 20": 41.80,
    },
    ("mobilenet_v2", "cifar10"): {
        "awn_fixed": 90.91,
        "s_net": 50.97,
        "awn_random": 90.72,
        "us_net 4": 90.10,
        "us_net 10": 91.98,
        "us_net 20": 92.09,
    },
    ("mobilenet_v2", "cifar100"): {
        "awn_fixed": 70.16,
        "s_net": 49.84,
        "awn_random": 67.28,
        "us_net 4": 66.69,
        "us_net 10": 71.62,
        "us_net 20": 72.24,
    },
}

# Figure 6: trained at full width alone; area under the curve.
FIGURE_6 = {("lenet", "cifar10"): {"awn_full": 35.85, "ordinary_full": 20.51}}

_EPOCHS = {
    ("lenet", "mnist"): 20,
    ("lenet", "fmnist"): 20,
    ("lenet", "cifar10"): 100,
    ("lenet", "cifar100"): 100,
    ("mobilenet_v2", "cifar10"): 100,
    ("mobilenet_v2", "cifar100"): 100,
}
# Of methods that were trained for longer.
_MORE_EPOCHS = {
    ("mobilenet_v2", "cifar10"): {"awn_fixed": 700, "awn_random": 350},
    ("mobilenet_v2", "cifar100"): {"awn_random": 1050},
}


def epochs(setting: tuple[str, str], method: str) -> int | None:
    """Epochs of the published run; of a method that was not published, those of the others. None where there is none."""
    return _MORE_EPOCHS.get(setting, {}).get(method, _EPOCHS.get(setting))
