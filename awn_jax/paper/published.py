"""Figures as published: Any-Width Networks (Vu et al., 2020), in percent."""

# Table 1: MNIST, trained at four fixed widths; test accuracy at widths ¼, ½, ¾, 1.
TABLE_1 = {
    "shared_bn": (98.49, 96.59, 98.78, 98.49),
    "s_net": (98.69, 98.91, 98.93, 99.05),
    "awn_fixed": (98.43, 98.82, 98.87, 98.97),
}

# Table 2: area under the width-accuracy curve of LeNet-3C1L, by data set and then by method and number of calibrated widths.
TABLE_2 = {
    "fmnist": {
        "awn_fixed": 90.67,
        "s_net": 83.78,
        "awn_random": 91.06,
        "us_net 4": 90.40,
        "us_net 10": 90.70,
        "us_net 20": 90.74,
    },
    "cifar10": {
        "awn_fixed": 71.12,
        "s_net": 56.99,
        "awn_random": 73.75,
        "us_net 4": 67.84,
        "us_net 10": 71.30,
        "us_net 20": 72.45,
    },
    "cifar100": {
        "awn_fixed": 42.69,
        "s_net": 26.94,
        "awn_random": 43.65,
        "us_net 4": 40.12,
        "us_net 10": 41.38,
        "us_net 20": 41.80,
    },
}

# Figure 6: CIFAR-10, trained at full width alone; area under the curve.
FIGURE_6 = {"awn_full": 35.85, "ordinary_full": 20.51}

# Epochs of the published runs.
EPOCHS = {"mnist": 20, "fmnist": 20, "cifar10": 100, "cifar100": 100}
