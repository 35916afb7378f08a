"""Fine-tuning a model until it binds: captions, loss, loop, and what is asked of it before and after."""
