"""What makes a pretrained model bind: coverage, words, wordings, negatives, queries, which weights."""
