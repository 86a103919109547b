"""What learned methods are made of: trees, their training, and the binning of their scores.

- `sigma68.learning.trees`: gradient-boosted trees trained on labelled events (extra `trees`).
- `sigma68.learning.forest`: the same trees laid out for speed, which score events; `ubjson` reads
  what xgboost saved.
- `sigma68.learning.network`: a neural network and what it is applied with; `fit_network` trains it
  (extra `torch`).
- `sigma68.learning.balance`: events made ready for training, whatever is trained.
- `sigma68.learning.binning`: bins in a score with a floor on simulation statistics, templates.
- `sigma68.learning.files`: how a trained model is written to a folder and read back.
"""
