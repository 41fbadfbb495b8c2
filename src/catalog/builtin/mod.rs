//! What PostgreSQL itself brings: functions, types, casts and operator classes of `pg_catalog`, 13 to 18, so that
//! a schema can be judged without a server.
//!
//! The `.txt` files are written by `generate` (its queries are the documentation of their columns) from an
//! untouched database of each major. A line ends with the first and the last major it holds for.

mod casts;
mod functions;
mod operator_classes;
mod signatures;
mod types;

pub use casts::{BuiltinCast, cast, casts_from};
pub use functions::{BuiltinFunction, function, function_majors, function_volatility};
pub use operator_classes::{BuiltinOperatorClass, default_operator_class, operator_class};
pub use signatures::{BuiltinOperator, BuiltinSignature, operators, signatures};
pub use types::{BuiltinType, type_by_name};

/// The newest major of the data; later ones are taken to have at least what it has.
const NEWEST: i32 = 18;

/// First and last major.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Majors {
    first: i32,
    last: i32,
}

impl Majors {
    fn contain(self, major: i32) -> bool {
        (self.first..=self.last).contains(&major.min(NEWEST))
    }
}

/// The fields of each line, with its majors.
fn rows<const N: usize>(data: &'static str) -> impl Iterator<Item = ([&'static str; N], Majors)> {
    data.lines().filter_map(|line| {
        let mut fields = line.split(' ');
        let mut row = [""; N];
        for field in &mut row {
            *field = fields.next()?;
        }
        let majors = Majors { first: fields.next()?.parse().ok()?, last: fields.next()?.parse().ok()? };
        Some((row, majors))
    })
}

fn letter(field: &str) -> char {
    field.chars().next().unwrap_or(' ')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_is_read() {
        fn check<const N: usize>(data: &'static str) {
            assert!(data.lines().all(|line| line.split(' ').count() == N + 2));
            assert_eq!(rows::<N>(data).count(), data.lines().count());
            assert!(rows::<N>(data).all(|(_, majors)| 13 <= majors.first && majors.last <= NEWEST));
        }
        check::<3>(functions::DATA);
        check::<7>(types::DATA);
        check::<4>(casts::DATA);
        check::<5>(operator_classes::DATA);
    }
}
