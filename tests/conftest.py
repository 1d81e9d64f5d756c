"""How every test runs: no silent promotion of shapes or types, float32, warnings fail."""

import jax

jax.config.update("jax_enable_x64", False)
jax.config.update("jax_numpy_rank_promotion", "raise")
jax.config.update("jax_numpy_dtype_promotion", "strict")
