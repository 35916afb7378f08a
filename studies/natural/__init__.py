"""Does binding on synthetic scenes predict binding on natural captions?"""
