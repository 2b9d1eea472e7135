"""forkpipe: from raw problems to reasoning models trained with global forking tokens.

The method is SSFT and GFPO of Jia et al., "Training Large Language Models to Reason in Parallel with
Global Forking Tokens" (ICLR 2026, arXiv 2510.05132). Nothing heavy is imported here: `import forkpipe`
must stay cheap, because Kedro imports the package for every command.
"""

__version__ = "0.1.0"
