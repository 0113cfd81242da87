"""The bundled model: checkpoint, tokenizer and card; `recipe` made them."""
