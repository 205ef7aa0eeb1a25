"""What is wrong with this training, and what to do about it.

A look takes up to 256 samples through the network in plain NumPy, there and back (`look`). `rules.RULES` is a table of
small functions from what was seen to a verdict; what they need to know of activations, costs and optimizers is in
`facts`, and `wording` says advice in the words of the place where training was started. ``Network.diagnose`` looks
once; ``Watch`` looks while ``fit`` trains, as often as 1 % of the training time pays for, by its own clock. On top of
that a network's first ``fit`` looks before the first step and after the last.
"""

from fastnn.diagnostics.look import Model, Sample, draw
from fastnn.diagnostics.rules import RULES, Findings, Settings
from fastnn.diagnostics.watch import Budget, TrainingWarning, Watch, diagnose, warn
from fastnn.diagnostics.wording import LIBRARY, WORDINGS, Wording

__all__ = [
    "LIBRARY",
    "RULES",
    "WORDINGS",
    "Budget",
    "Findings",
    "Model",
    "Sample",
    "Settings",
    "TrainingWarning",
    "Watch",
    "Wording",
    "diagnose",
    "draw",
    "warn",
]
