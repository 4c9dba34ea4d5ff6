from dataclasses import replace
from pathlib import Path

from fusionseg.studies.axes import Variant
from fusionseg.studies.own_packages import own_packages
from fusionseg.studies.plan import Plan
from fusionseg.studies.search.declaration import read_search
from fusionseg.studies.study_file import Study

CONFIG = """
model:
  class_path: fusionseg.FusionModule
  init_args:
    region_head: {class_path: my_heads.Own, init_args: {width: 4}}
    backbone: {class_path: fusionseg.networks.Backbone, init_args: {decoder: my_file.Last, weights: ../a.b/c.pt}}
trainer:
  callbacks: [{class_path: lightning.pytorch.callbacks.Timer}, {class_path: theirs.deep.Callback}]
"""


def test_packages_of_one_s_own_are_those_that_settings_and_choices_name(tmp_path: Path) -> None:
    study = Study("s", (), (Variant("a", {}),), (0,))
    plan = Plan(study, (), {"a": CONFIG}, {}, {}, {}, {})
    assert own_packages(plan) == ["my_file", "my_heads", "theirs"]
    space = {"model.balancer": ["Sum", "my_balancing.Best"]}
    search = read_search({"search": {"space": space, "trials": 2}}, "val/score")
    point = {"config": "model: {class_path: other.Model}"}
    drawn = replace(plan, study=replace(study, search=search), configs={}, point=point)
    assert own_packages(drawn) == ["my_balancing", "other"]
