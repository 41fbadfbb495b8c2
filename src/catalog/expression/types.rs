//! Types inside expressions: names, modifiers, categories, and what may be cast to what.

use crate::catalog::builtin::{self, BuiltinType};
use crate::catalog::types::format_type;
use crate::catalog::{Catalog, DataType, Name, TypeKind};

/// A type: built-in ones by their internal name (`int4`), user-defined ones as `schema.name`, arrays with `[]`
/// behind; with the modifier or -1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Type {
    pub(crate) id: String,
    pub(crate) modifier: i32,
}

impl Type {
    /// A type without modifier, by its internal name.
    pub(crate) fn named(id: impl Into<String>) -> Self {
        Self { id: id.into(), modifier: -1 }
    }

    /// The type of a column.
    pub(crate) fn of(data_type: &DataType) -> Self {
        let mut id = if data_type.name.schema == "pg_catalog" {
            data_type.name.name.clone()
        } else {
            data_type.name.to_string()
        };
        if data_type.array {
            id.push_str("[]");
        }
        Self { id, modifier: data_type.modifier }
    }

    /// The same as the catalog model writes it.
    pub(crate) fn to_data_type(&self) -> DataType {
        DataType { name: self.name(), modifier: self.modifier, array: self.is_array(), sql: self.sql() }
    }

    /// Name of the type, of the element for arrays.
    pub(crate) fn name(&self) -> Name {
        let element = self.id.trim_end_matches("[]");
        match element.parse() {
            Ok(name) if element.contains('.') => name,
            _ => Name::new("pg_catalog", element),
        }
    }

    /// The user-defined type it is or is an array of.
    pub(crate) fn user_defined(&self) -> Option<Name> {
        let name = self.name();
        (name.schema != "pg_catalog").then_some(name)
    }

    pub(crate) fn is_array(&self) -> bool {
        self.id.ends_with("[]")
    }

    pub(crate) fn is_unknown(&self) -> bool {
        self.id == "unknown"
    }

    /// Element type of an array.
    pub(crate) fn element(&self) -> Option<Type> {
        self.id.strip_suffix("[]").map(|id| Type { id: id.to_owned(), modifier: self.modifier })
    }

    pub(crate) fn array_of(&self) -> Type {
        Type::named(format!("{}[]", self.id.trim_end_matches("[]")))
    }

    pub(crate) fn without_modifier(&self) -> Type {
        Type::named(self.id.clone())
    }

    /// `format_type` with the modifier; user-defined types qualified.
    pub(crate) fn sql(&self) -> String {
        let name = self.name();
        format_type(&name, self.modifier, self.is_array()).unwrap_or_else(|| {
            // Modifiers of types that extensions bring are theirs; a plain number is the common case.
            format!("{name}({}){}", self.modifier, if self.is_array() { "[]" } else { "" })
        })
    }

    /// [`Type::sql`] in the head of a function, where a type has no modifier that could be missing: `bit`, not `"bit"`.
    pub(crate) fn parameter_sql(&self) -> String {
        let brackets = if self.is_array() { "[]" } else { "" };
        match self.id.trim_end_matches("[]") {
            "bpchar" => format!("character{brackets}"),
            "bit" => format!("bit{brackets}"),
            _ => self.sql(),
        }
    }

    /// What is under a domain (and under that), with the innermost modifier.
    pub(crate) fn base(&self, catalog: &Catalog) -> Type {
        let mut current = self.clone();
        // A chain of domains cannot be circular; the bound guards a damaged file.
        for _ in 0..32 {
            if current.is_array() {
                break;
            }
            match catalog.types.get(&current.name()).map(|found| &found.kind) {
                Some(TypeKind::Domain { base, .. }) => current = Type::of(base),
                _ => break,
            }
        }
        current
    }

    pub(crate) fn is_domain(&self, catalog: &Catalog) -> bool {
        !self.is_array()
            && catalog.types.get(&self.name()).is_some_and(|found| matches!(found.kind, TypeKind::Domain { .. }))
    }

    /// `typcategory`; user-defined base types count as strings when they behave like `citext`.
    pub(crate) fn category(&self, catalog: &Catalog) -> char {
        if self.is_array() {
            return 'A';
        }
        if let Some(built_in) = builtin_type(&self.id) {
            return built_in.category;
        }
        match catalog.types.get(&self.name()).map(|found| &found.kind) {
            Some(TypeKind::Enum { .. }) => 'E',
            Some(TypeKind::Domain { base, .. }) => Type::of(base).category(catalog),
            Some(TypeKind::Range { .. }) => 'R',
            Some(TypeKind::Composite { .. }) => 'C',
            Some(TypeKind::Base) if self.name().name == "citext" => 'S',
            Some(TypeKind::Base) => 'U',
            None if catalog.relations.contains_key(&self.name()) => 'C',
            None => 'U',
        }
    }

    pub(crate) fn is_preferred(&self) -> bool {
        builtin_type(&self.id).is_some_and(|found| found.preferred)
    }

    /// Whether values have a collation.
    pub(crate) fn is_collatable(&self, catalog: &Catalog) -> bool {
        let base = match self.element() {
            Some(element) => element.base(catalog),
            None => self.base(catalog),
        };
        if base.is_array() {
            return base.is_collatable(catalog);
        }
        builtin_type(&base.id).map_or(base.name().name == "citext", |found| found.collation.is_some())
    }
}

/// The built-in type of that name, whatever the major: names in a catalog are those of its server.
fn builtin_type(id: &str) -> Option<&'static BuiltinType> {
    builtin::type_by_name(id, 18).filter(|found| found.name == id)
}

/// How one type becomes another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pathway {
    /// Nothing to do, not even a relabelling.
    Same,
    /// By a relabelling, a function or text.
    Cast,
}

/// `find_coercion_pathway`: whether `source` becomes `target` in the context (`i` implicit, `a` assignment,
/// `e` explicit).
pub(crate) fn pathway(catalog: &Catalog, source: &Type, target: &Type, context: char) -> Option<Pathway> {
    if source.id == target.id {
        return Some(Pathway::Same);
    }
    if source.is_unknown() {
        return Some(Pathway::Cast);
    }
    let (from, to) = (source.base(catalog), target.base(catalog));
    if from.id == to.id {
        return Some(Pathway::Cast);
    }
    if let Some((cast_context, _)) = cast(catalog, source, target).or_else(|| cast(catalog, &from, &to)) {
        let allowed = match cast_context {
            'i' => true,
            'a' => context != 'i',
            _ => context == 'e',
        };
        return allowed.then_some(Pathway::Cast);
    }
    if let (Some(from), Some(to)) = (from.element(), to.element()) {
        return pathway(catalog, &from, &to, context).map(|_| Pathway::Cast);
    }
    // Without an entry: to a string type by assignment, from one explicitly.
    let string_target = to.category(catalog) == 'S';
    let string_source = from.category(catalog) == 'S';
    if (context != 'i' && string_target) || (context == 'e' && string_source) {
        return Some(Pathway::Cast);
    }
    None
}

/// Whether values of the type stand in columns: no pseudo-type, and no array of one.
pub(super) fn is_plain(of: &Type) -> bool {
    let element = of.id.trim_end_matches("[]");
    let pseudo = ["unknown", "record", "void", "any", "cstring", "trigger", "internal"];
    !pseudo.contains(&element) && !is_polymorphic(element)
}

/// Context and method of a cast between exactly these two types.
pub(super) fn cast(catalog: &Catalog, source: &Type, target: &Type) -> Option<(char, char)> {
    if let Some(found) = builtin::cast(&source.id, &target.id, catalog.server.major()) {
        return Some((found.context, found.method));
    }
    if source.is_array() || target.is_array() {
        return None;
    }
    let (from, to) = (source.name(), target.name());
    let found = catalog.casts.iter().find(|cast| cast.source == from && cast.target == to)?;
    Some((found.context, found.method))
}

/// `can_coerce_type` with implicit casts, pseudo-types included.
pub(crate) fn accepts(catalog: &Catalog, parameter: &str, argument: &Type) -> bool {
    if argument.is_unknown() || parameter == argument.id {
        return true;
    }
    let base = argument.base(catalog);
    match parameter {
        "any" | "anyelement" | "anycompatible" => true,
        "anyarray" | "anycompatiblearray" => base.is_array(),
        "anynonarray" | "anycompatiblenonarray" => !base.is_array(),
        "anyenum" => base.category(catalog) == 'E',
        "anyrange" | "anycompatiblerange" => base.category(catalog) == 'R' && !base.id.contains("multirange"),
        "anymultirange" | "anycompatiblemultirange" => base.id.contains("multirange"),
        "record" => base.category(catalog) == 'C',
        _ => pathway(catalog, argument, &Type::named(parameter), 'i').is_some(),
    }
}

/// Whether the parameter takes its type from the arguments.
pub(crate) fn is_polymorphic(parameter: &str) -> bool {
    parameter.starts_with("any") && parameter != "any"
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sql(id: &str, modifier: i32) -> String {
        Type { id: id.to_owned(), modifier }.sql()
    }

    #[test]
    fn types_are_printed_as_the_server_does() {
        assert_eq!(sql("varchar", 14), "character varying(10)");
        assert_eq!(sql("numeric", ((10 << 16) | 2) + 4), "numeric(10,2)");
        assert_eq!(sql("numeric", ((3 << 16) | (-2 & 0x7ff)) + 4), "numeric(3,-2)");
        assert_eq!(sql("timestamptz[]", -1), "timestamp with time zone[]");
        assert_eq!(sql("bpchar", -1), "bpchar");
    }

    #[test]
    fn casts_know_their_context() {
        let catalog = Catalog::of_version(180_000);
        let way = |from: &str, to: &str, context| pathway(&catalog, &Type::named(from), &Type::named(to), context);
        assert!(way("int4", "int8", 'i').is_some());
        assert!(way("int8", "int4", 'i').is_none() && way("int8", "int4", 'a').is_some());
        assert!(way("int4", "text", 'i').is_none() && way("int4", "text", 'a').is_some());
        assert!(way("varchar[]", "text[]", 'i').is_some());
        assert!(way("text", "int4", 'a').is_none() && way("text", "int4", 'e').is_some());
    }
}
