"""What pages and terminals are made of: words, blocks, figures."""
