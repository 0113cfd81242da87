"""Arrays and frames -> numbers. Knows no torch and no files.

| module | answers |
|---|---|
| `pass_at_k` | Pass@k and all@k of each problem; CoverageAUC and Potential@k |
| `votes` | maj@k, and the entropy of answers |
| `extrapolation` | Pass@k past n, by a fit |
| `power` | how wide intervals of differences will be, before sampling |
| `curves` | curves over k: with bands, compared, where they cross, at a matched temperature |
| `onset` | at which block length coverage is lost |
| `nfe` | Pass@NFE, tokens per step and per forward, AUP |
| `coverage` | which problems each of two orders solves, which samples flip, whether they find the same ones hard |
| `diversity` | how different the samples of a problem are |
| `summary` | one run in one line |
| `words` | token rows -> words and connectors |
| `entropy` | entropy of tokens, words and connectors |
| `traces` | spread of confidence, and entropy block by block, of correct and other samples |
| `bypass` | which words were passed over, and connectors against other words |
| `order` | how nearly a text was committed from left to right |
| `ranks` | how likely the committed tokens were |
| `bootstrap` | means over problems with intervals, and paired differences |
| `pooled` | the same for means over occurrences |
| `intervals` | estimates with intervals, how they are written, Wilson's interval |
| `verdict` | when a difference is one |
"""
