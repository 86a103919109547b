"""H -> tau tau signal strength with six systematic uncertainties, as in the HiggsML Uncertainty Challenge.

`task.Higgs` is the way in. `schema` names the columns, `dataset` reads and writes Parquet,
`pools` splits a file into disjoint pools, `layout` holds their rows so that a pseudo-experiment
can be drawn without walking them, `derived` and `bias` compute what a systematic shift does to an
event, `toys` draws.
"""
