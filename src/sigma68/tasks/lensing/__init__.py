"""Weak lensing: Omega_m and S8 from noisy convergence maps of the sky."""
