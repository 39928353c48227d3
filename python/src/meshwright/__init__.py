"""Plans how to split the training of a language model over GPUs, with a proof.

Every function runs the command ``meshwright`` and reads its JSON.
"""

from meshwright._command import Refused, version
from meshwright._results import Accuracy, Group, Part, Plan, Report, Value
from meshwright._tasks import accuracy, export, plan, predict

__all__ = [
    "Accuracy",
    "Group",
    "Part",
    "Plan",
    "Refused",
    "Report",
    "Value",
    "accuracy",
    "export",
    "plan",
    "predict",
    "version",
]
