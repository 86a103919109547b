"""Simulated events against tables of yields and against real events, in numbers.

    ledger -> sample -> cumulative -> distributions
                     -> response, yields, correlations, classifier -> validate

`validate.validate` is the way in. Collectors see every batch of a file once, so that memory does
not grow with it but for some 20 bytes a row; what needs the events themselves (the correlations,
the classifier) takes a seeded sample of them and says so.
"""
