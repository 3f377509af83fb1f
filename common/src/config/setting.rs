//! How the value of a setting reads and prints.

use std::{net::SocketAddr, time::Duration};

use super::{JwtKeys, RoomStoreKind, Secret, SecretUrl};

/// How a setting's value reads and prints.
pub(super) trait Setting: Sized {
    fn read(text: &str) -> Result<Self, String>;
    fn print(&self) -> String;
}

macro_rules! setting_by_from_str {
    ($($type:ty => $print:expr),* $(,)?) => {$(
        impl Setting for $type {
            fn read(text: &str) -> Result<Self, String> {
                text.parse().map_err(|error| format!("{error}"))
            }
            fn print(&self) -> String {
                let print: fn(&$type) -> String = $print;
                print(self)
            }
        }
    )*};
}

macro_rules! setting_number {
    ($($type:ty),*) => {$(
        impl Setting for $type {
            fn read(text: &str) -> Result<Self, String> {
                text.parse().map_err(|_| format!("is not a whole number between {} and {}: {text}", <$type>::MIN, <$type>::MAX))
            }
            fn print(&self) -> String {
                self.to_string()
            }
        }
    )*};
}

setting_number!(u32, u64, usize);
setting_by_from_str! {
    String => String::clone,
    bool => ToString::to_string,
    Secret => |secret| format!("{secret:?}"),
    SecretUrl => ToString::to_string,
    RoomStoreKind => |kind| kind.name().to_owned(),
    JwtKeys => |keys| keys.0.iter().map(|(kid, _)| format!("{kid}:[redacted]")).collect::<Vec<_>>().join(","),
}

impl Setting for SocketAddr {
    fn read(text: &str) -> Result<Self, String> {
        text.parse().map_err(|_| format!("is not an address and port such as 127.0.0.1:8080: {text}"))
    }
    fn print(&self) -> String {
        self.to_string()
    }
}

/// Durations are whole milliseconds.
impl Setting for Duration {
    fn read(text: &str) -> Result<Self, String> {
        u64::read(text).map(Self::from_millis)
    }
    fn print(&self) -> String {
        self.as_millis().to_string()
    }
}

impl<T: Setting> Setting for Option<T> {
    fn read(text: &str) -> Result<Self, String> {
        if text.is_empty() { Ok(None) } else { T::read(text).map(Some) }
    }
    fn print(&self) -> String {
        self.as_ref().map_or_else(String::new, Setting::print)
    }
}

/// Lists are separated by commas.
impl Setting for Vec<String> {
    fn read(text: &str) -> Result<Self, String> {
        Ok(text.split(',').map(str::trim).filter(|item| !item.is_empty()).map(str::to_owned).collect())
    }
    fn print(&self) -> String {
        self.join(",")
    }
}
