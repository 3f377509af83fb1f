//! Replies as values of Rust.

use bytes::Bytes;
use redis_protocol::resp3::types::BytesFrame;

/// What a server answers.
pub(in super::super) type Reply = BytesFrame;

/// The text of an error reply.
pub(in super::super) fn error_of(reply: &Reply) -> Option<&str> {
    match reply {
        BytesFrame::SimpleError { data, .. } => Some(data),
        BytesFrame::BlobError { data, .. } => Some(std::str::from_utf8(data).unwrap_or("an error that is no text")),
        _ => None,
    }
}

/// The text of a string reply.
pub(in super::super) fn text_of(reply: &Reply) -> Option<&str> {
    match reply {
        BytesFrame::BlobString { data, .. }
        | BytesFrame::SimpleString { data, .. }
        | BytesFrame::VerbatimString { data, .. } => std::str::from_utf8(data).ok(),
        _ => None,
    }
}

/// A type that replies can be read as.
pub(in super::super) trait FromReply: Sized {
    /// `None` if the reply is something else.
    fn from_reply(reply: Reply) -> Option<Self>;
}

impl FromReply for Reply {
    fn from_reply(reply: Reply) -> Option<Self> {
        Some(reply)
    }
}

impl FromReply for () {
    fn from_reply(_: Reply) -> Option<Self> {
        Some(())
    }
}

impl FromReply for Bytes {
    fn from_reply(reply: Reply) -> Option<Self> {
        match reply {
            BytesFrame::BlobString { data, .. }
            | BytesFrame::SimpleString { data, .. }
            | BytesFrame::VerbatimString { data, .. } => Some(data),
            _ => None,
        }
    }
}

impl FromReply for String {
    fn from_reply(reply: Reply) -> Option<Self> {
        Self::from_utf8(Bytes::from_reply(reply)?.into()).ok()
    }
}

/// Numbers, also those that are stored as text.
impl FromReply for i64 {
    fn from_reply(reply: Reply) -> Option<Self> {
        match reply {
            BytesFrame::Number { data, .. } => Some(data),
            reply => text_of(&reply)?.parse().ok(),
        }
    }
}

impl FromReply for u64 {
    fn from_reply(reply: Reply) -> Option<Self> {
        i64::from_reply(reply)?.try_into().ok()
    }
}

impl FromReply for usize {
    fn from_reply(reply: Reply) -> Option<Self> {
        i64::from_reply(reply)?.try_into().ok()
    }
}

impl FromReply for bool {
    fn from_reply(reply: Reply) -> Option<Self> {
        match reply {
            BytesFrame::Boolean { data, .. } => Some(data),
            BytesFrame::Null => Some(false),
            reply => Some(i64::from_reply(reply)? != 0),
        }
    }
}

impl<T: FromReply> FromReply for Option<T> {
    fn from_reply(reply: Reply) -> Option<Self> {
        match reply {
            BytesFrame::Null => Some(None),
            reply => T::from_reply(reply).map(Some),
        }
    }
}

impl<T: FromReply> FromReply for Vec<T> {
    fn from_reply(reply: Reply) -> Option<Self> {
        match reply {
            BytesFrame::Array { data, .. } => data.into_iter().map(T::from_reply).collect(),
            _ => None,
        }
    }
}

macro_rules! tuple {
    ($($element:ident),+) => {
        impl<$($element: FromReply),+> FromReply for ($($element,)+) {
            fn from_reply(reply: Reply) -> Option<Self> {
                let BytesFrame::Array { data, .. } = reply else { return None };
                let mut elements = data.into_iter();
                let tuple = ($($element::from_reply(elements.next()?)?,)+);
                elements.next().is_none().then_some(tuple)
            }
        }
    };
}

tuple!(A, B);
tuple!(A, B, C, D, E);
tuple!(A, B, C, D, E, F, G);

#[cfg(test)]
mod tests {
    use super::*;

    fn number(data: i64) -> Reply {
        BytesFrame::Number { data, attributes: None }
    }

    fn text(text: &'static str) -> Reply {
        BytesFrame::BlobString { data: text.into(), attributes: None }
    }

    fn array(data: Vec<Reply>) -> Reply {
        BytesFrame::Array { data, attributes: None }
    }

    #[test]
    fn replies_are_read_as_what_they_are_and_as_nothing_else() {
        assert_eq!(u64::from_reply(number(7)), Some(7));
        assert_eq!(u64::from_reply(text("7")), Some(7));
        assert_eq!(u64::from_reply(number(-7)), None);
        assert_eq!(u64::from_reply(text("seven")), None);
        assert_eq!(Option::<String>::from_reply(BytesFrame::Null), Some(None));
        assert_eq!(String::from_reply(number(7)), None);
        assert_eq!(
            <(u64, Vec<String>)>::from_reply(array(vec![number(1), array(vec![text("a")])])),
            Some((1, vec!["a".to_owned()]))
        );
        assert_eq!(<(u64, u64)>::from_reply(array(vec![number(1)])), None);
        assert_eq!(<(u64, u64)>::from_reply(array(vec![number(1), number(2), number(3)])), None);
        assert_eq!(
            [number(0), number(1), BytesFrame::Null].map(bool::from_reply),
            [Some(false), Some(true), Some(false)]
        );
    }
}
