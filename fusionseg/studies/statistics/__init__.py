"""Statistics of studies: tests over seeds, bootstrap over images, power, Delta-m, ranks, fronts.

Pure functions of numbers, on numpy and scipy alone. `docs/statistics.md` explains which one answers which
question.
"""

from fusionseg.studies.statistics.bootstrap import (
    BootstrapInterval,
    bootstrap_interval,
    paired_bootstrap,
    resampled_figures,
)
from fusionseg.studies.statistics.delta_m import DeltaM, delta_m
from fusionseg.studies.statistics.holm import attainable, holm, seeds_needed
from fusionseg.studies.statistics.image_sums import ImageSums, image_sums
from fusionseg.studies.statistics.intervals import (
    Interval,
    SpreadInterval,
    mean_interval,
    spread_bound,
    spread_interval,
)
from fusionseg.studies.statistics.paired import PairedTest, paired
from fusionseg.studies.statistics.pareto import distance_to_front, hypervolume, pareto_front
from fusionseg.studies.statistics.power import PlannedSeeds, paired_power, plan, smallest_difference
from fusionseg.studies.statistics.ranks import RankedVariant, Ranking, ranking
from fusionseg.studies.statistics.resampling import ImageResampling
from fusionseg.studies.statistics.sign_flips import least_p, sign_flip_p

__all__ = [
    "BootstrapInterval",
    "DeltaM",
    "ImageResampling",
    "ImageSums",
    "Interval",
    "PairedTest",
    "PlannedSeeds",
    "RankedVariant",
    "Ranking",
    "SpreadInterval",
    "attainable",
    "bootstrap_interval",
    "delta_m",
    "distance_to_front",
    "holm",
    "hypervolume",
    "image_sums",
    "least_p",
    "mean_interval",
    "paired",
    "paired_bootstrap",
    "paired_power",
    "pareto_front",
    "plan",
    "ranking",
    "resampled_figures",
    "seeds_needed",
    "sign_flip_p",
    "smallest_difference",
    "spread_bound",
    "spread_interval",
]
