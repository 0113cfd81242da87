"""The second bundled model, for the task `forks`: checkpoint, tokenizer and card; `recipe` makes them."""
