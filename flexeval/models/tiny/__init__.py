"""The bundled model: checkpoint, tokenizer, card, and the recipe that made them."""
