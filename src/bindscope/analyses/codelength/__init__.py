"""Code length: how many bits the vectors cost when the concepts are known, by rule."""
