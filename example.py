"""The whole pipeline, one call per stage: data flows from top to bottom.

    python example.py [EVENTS]

Without events (a Parquet file of the challenge, or its folder) it measures on `gaussian`, the
task whose exact answer is known. To see where a stage lives, follow its import.
"""

from __future__ import annotations

import sys
from pathlib import Path

from sigma68 import RunSettings, evaluate, load_task, score_folder, stream, trained, write_report
from sigma68.run.truth import draw_truth

source = sys.argv[1] if len(sys.argv) > 1 else None
task = load_task("higgs" if source else "gaussian")  # tasks/<task>/task.py
method_name = "counting" if source else "exact"  # methods/<method>.py

# One measurement, step by step.
pools = task.open(source)  # events, split for training, calibration, scoring and the final
method = trained(method_name, task, pools)  # fitted once, then loaded from the cache
truth = draw_truth(task, seed=1, set=0, toy=0, active=[n.name for n in task.nuisances])
toy = task.pseudo_experiment(pools.scoring, truth, stream(task.name, "example", seed=1))
answer = method.predict(toy)["mu"]
print(f"{toy.n_events:,} events with mu = {truth.parameters['mu']:.2f} gave {answer}")

# Many of them: reproducible from the seed, on all cores, resumable, judged.
settings = RunSettings(
    task=task.name,
    method=method_name,
    data=source,
    sets=10,
    toys=20,
    seed=1,
    nuisances=tuple(n.name for n in task.nuisances),
)
folder = evaluate(settings, Path("example-run"), workers=2)  # run/      -> toys.parquet
score = score_folder(folder)  # score/    -> score.json
report = write_report(folder)  # report/   -> report.html
print(f"width {score.values['interval']:.3f}, coverage {score.values['coverage']:.3f}")
print(f"quantiles score {score.value:.3f}; the report is {report}")
