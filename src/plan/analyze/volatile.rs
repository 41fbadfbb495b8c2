//! Volatility of expressions.
