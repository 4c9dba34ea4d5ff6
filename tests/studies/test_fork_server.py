import subprocess
import sys

import pytest

SCRIPT = """
import sys
from fusionseg.studies.fork_server import import_all
import_all()
print(*sorted({"fusionseg.module", "segmentation_models_pytorch", "timm", "wandb"} & set(sys.modules)))
import wandb
print(wandb.__name__)
"""


@pytest.mark.slow
def test_all_is_imported_but_wandb_which_each_run_imports_itself() -> None:
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["fusionseg.module segmentation_models_pytorch timm", "wandb"]
