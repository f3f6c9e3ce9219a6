"""What reads a Hugging Face `config.json`: its grammar, and what each model type has of its own."""
