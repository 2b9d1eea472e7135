"""Training: the base model, the supervised methods (SFT-mixed, SSFT-random, SSFT) and the policies (GRPO, GFPO).

These modules do not import Kedro: they need torch and transformers only.
"""
