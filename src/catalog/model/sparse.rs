//! Facts that few objects have: a catalog of ten thousand tables has a hundred thousand columns.

use std::ops::{Deref, DerefMut};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A value that takes no room while it is the plain one.
#[derive(Clone, Debug)]
pub struct Sparse<T>(Option<Box<T>>);

/// A type with a plain value that many have.
pub trait Plain: PartialEq + 'static {
    /// The plain value.
    fn plain() -> &'static Self;
}

impl<T> Default for Sparse<T> {
    fn default() -> Self {
        Self(None)
    }
}

impl<T: Plain> Sparse<T> {
    /// Gives back the room that changes have taken, if the value is plain (again).
    pub fn shrink(&mut self) {
        self.0.take_if(|value| **value == *T::plain());
    }
}

impl<T: Plain> From<T> for Sparse<T> {
    fn from(value: T) -> Self {
        Self((value != *T::plain()).then(|| Box::new(value)))
    }
}

impl<T: Plain> PartialEq for Sparse<T> {
    fn eq(&self, other: &Self) -> bool {
        (self.0.is_none() && other.0.is_none()) || **self == **other
    }
}

impl<T: Plain> Deref for Sparse<T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.0.as_deref().unwrap_or_else(|| T::plain())
    }
}

impl<T: Plain + Clone> DerefMut for Sparse<T> {
    fn deref_mut(&mut self) -> &mut T {
        self.0.get_or_insert_with(|| Box::new(T::plain().clone()))
    }
}

impl<T: Plain + Serialize> Serialize for Sparse<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        (**self).serialize(serializer)
    }
}

impl<'de, T: Plain + Deserialize<'de>> Deserialize<'de> for Sparse<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        T::deserialize(deserializer).map(Self::from)
    }
}
