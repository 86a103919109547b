"""What methods are made of: likelihoods, profile fits and the intervals that come out of them.

- `poisson`: one or many bins, one parameter, no nuisances: the interval of a counting method.
- `likelihood`: the extended unbinned likelihood of a closed-form model, with its constraints.
- `profile`: minimum and profile-likelihood interval of any -2 ln L: MINUIT where only the
  function is known, Newton where its derivatives are.

-2 ln L everywhere: one standard deviation is a rise by 1.
"""
