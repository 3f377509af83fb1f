//! Values of statements, in the types that both databases share.

use std::borrow::Cow;

use uuid::Uuid;

use crate::time::Timestamp;

/// A value bound to a placeholder.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// SQL `NULL`.
    Null,
    /// Any whole number, point in time or truth value.
    Int(i64),
    /// A number with a fraction.
    Real(f64),
    /// A text.
    Text(String),
    /// An id, in 16 bytes.
    Id(Uuid),
    /// Bytes, such as a hash.
    Bytes(Vec<u8>),
}

macro_rules! value_from {
    ($($type:ty => |$value:ident| $make:expr;)*) => {$(
        impl From<$type> for Value {
            fn from($value: $type) -> Self {
                $make
            }
        }
    )*};
}

value_from! {
    i64 => |v| Self::Int(v);
    i32 => |v| Self::Int(v.into());
    u32 => |v| Self::Int(v.into());
    u16 => |v| Self::Int(v.into());
    u8 => |v| Self::Int(v.into());
    // Sequence numbers and sizes: beyond 2^63 no database column of ours could hold them.
    u64 => |v| Self::Int(i64::try_from(v).unwrap_or(i64::MAX));
    usize => |v| Self::Int(i64::try_from(v).unwrap_or(i64::MAX));
    bool => |v| Self::Int(v.into());
    f64 => |v| Self::Real(v);
    Timestamp => |v| Self::Int(v.0);
    Uuid => |v| Self::Id(v);
    String => |v| Self::Text(v);
    &String => |v| Self::Text(v.clone());
    &str => |v| Self::Text(v.to_owned());
    Cow<'_, str> => |v| Self::Text(v.into_owned());
    Vec<u8> => |v| Self::Bytes(v);
    &[u8] => |v| Self::Bytes(v.to_vec());
}

impl<T: Into<Self>> From<Option<T>> for Value {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}
