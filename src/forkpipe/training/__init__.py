"""Training: the base model, the supervised methods (SFT-mixed, SSFT-random, SSFT) and the policies (GRPO, GFPO).

Nothing here imports Kedro: with torch and transformers installed these modules work alone.
"""
