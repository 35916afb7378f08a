"""Hard-negative pairs: is the right caption preferred to one in which something was exchanged?"""
