//! Arguments to one call each.

fn main() {}
