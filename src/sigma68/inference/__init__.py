"""What methods are made of: likelihoods, profile fits and the intervals that come out of them.

- `poisson`: one or many bins, one parameter, no nuisances: the interval of a counting method.
- `likelihood`: the extended unbinned likelihood of a closed-form model, with its constraints.
- `unbinned`: that of a mixture of components whose densities are known, whatever they are; a
  million events take some milliseconds. `factors`: how parameters scale its components.
- `information`: the smallest error that a measurement of such a mixture can have.
- `profile`: minimum and profile-likelihood interval of any -2 ln L: MINUIT where only the
  function is known, Newton where its derivatives are. `fitting` chooses between them.
- `binned`: the likelihood of counts in bins with nuisances, on `surfaces` of expected events;
  `measurement`: both from a learned score. `diagnostics`, `fit_quality`: what a fit says of
  itself, `fit_summary` all of it; `interchange`: the same model for pyhf.
- `neyman`: intervals built from toys of any estimate. `calibrate`: what the intervals of any
  method need to cover as often as they promise, by `scale` or `neyman`, and how well that is
  known. `quantiles`: quantile regression, which both stand on; `edges`: the ends of the range.

-2 ln L everywhere: one standard deviation is a rise by 1.
"""
