"""How the bundled model was made, in the order in which it happens.

`problems` and `data` draw the training text, `tokenizer` cuts it, `objective` and `muon` say what a step does, `train`
takes the steps, and `export` writes the model folder.
"""
