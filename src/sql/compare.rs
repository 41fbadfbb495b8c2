//! Whether two texts are the same statement.

/// Whether `left` and `right` have the same parse tree: the same statement but for layout, case of keywords,
/// redundant parentheses and quotes. False when either does not parse.
pub fn same_statement(left: &str, right: &str) -> bool {
    if left == right {
        return true;
    }
    // Positions are part of the tree; writing both out by the same rules leaves them behind.
    let written = |text: &str| crate::sql::parse::tree(text).ok()?.deparse(Default::default()).ok();
    matches!((written(left), written(right)), (Some(left), Some(right)) if left == right)
}

#[cfg(test)]
mod tests {
    use super::same_statement;

    #[test]
    fn layout_does_not_matter() {
        let printed = "CREATE UNIQUE INDEX i ON public.t USING btree (lower(a)) WHERE (b > 0)";
        assert!(same_statement(printed, "create unique index \"i\" on public.t using btree (lower(a)) where b > 0"));
        assert!(!same_statement(printed, "CREATE UNIQUE INDEX i ON public.t USING btree (lower(a)) WHERE (b > 1)"));
        assert!(!same_statement(
            printed,
            "CREATE UNIQUE INDEX i ON public.t USING btree (lower(a) DESC) WHERE (b > 0)"
        ));
        assert!(!same_statement(printed, "not SQL"));
    }
}
