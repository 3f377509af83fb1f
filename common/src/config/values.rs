//! What settings are made of.

use std::{fmt, str::FromStr};

/// A value that must not be seen: it prints as `[redacted]`.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Wraps a value.
    pub fn new(value: impl Into<String>) -> Self {
        Self(value.into())
    }

    /// The value itself, for the one place that needs it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

impl FromStr for Secret {
    type Err = std::convert::Infallible;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(Self(text.to_owned()))
    }
}

/// A URL that may carry a password: it prints with the password redacted.
#[derive(Clone, PartialEq, Eq)]
pub struct SecretUrl(String);

impl SecretUrl {
    /// Wraps a URL.
    pub fn new(url: impl Into<String>) -> Self {
        Self(url.into())
    }

    /// The whole URL, for the one place that connects.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// The part before `://`, or nothing.
    pub fn scheme(&self) -> &str {
        self.0.split_once("://").map_or("", |(scheme, _)| scheme)
    }
}

impl fmt::Display for SecretUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some((scheme, rest)) = self.0.split_once("://") else { return f.write_str("[redacted]") };
        // A password may have any character, escaped or not: whatever is before the last @ may be a part of it.
        let host = rest.rfind('@').map_or(0, |at| at + 1);
        let authority_end = rest[host..].find(['/', '?', '#']).map_or(rest.len(), |end| host + end);
        match rest[..authority_end].rsplit_once('@') {
            None => write!(f, "{scheme}://{rest}"),
            Some((user_info, host)) => {
                let user = user_info.split(':').next().unwrap_or_default();
                write!(f, "{scheme}://{user}:[redacted]@{host}{}", &rest[authority_end..])
            }
        }
    }
}

impl fmt::Debug for SecretUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for SecretUrl {
    type Err = std::convert::Infallible;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(Self::new(text))
    }
}

/// Where the program runs; decides the defaults and what is refused.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Profile {
    /// On a developer's machine: readable logs, everything allowed.
    #[default]
    Development,
    /// In automated tests: as development, with the cheapest bcrypt cost.
    Test,
    /// For real users: JSON logs, unsafe settings refused.
    Production,
}

impl Profile {
    /// The name used in `MINGIZUK_ENV` and in the file name of the profile's settings.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Development => "development",
            Self::Test => "test",
            Self::Production => "production",
        }
    }
}

impl FromStr for Profile {
    type Err = &'static str;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "development" => Ok(Self::Development),
            "test" => Ok(Self::Test),
            "production" => Ok(Self::Production),
            _ => Err("is not one of development, test, production"),
        }
    }
}

/// Which backend keeps the room log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RoomStoreKind {
    /// SQL tables and an in-process bus: one process only.
    Sql,
    /// Redis lists and pub/sub: any number of processes.
    Redis,
}

impl RoomStoreKind {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Sql => "sql",
            Self::Redis => "redis",
        }
    }
}

impl FromStr for RoomStoreKind {
    type Err = &'static str;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "sql" => Ok(Self::Sql),
            "redis" => Ok(Self::Redis),
            _ => Err("is not one of sql, redis"),
        }
    }
}

/// The secrets that sign access tokens: the first signs, all verify, so that a key can be replaced without logging anyone out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JwtKeys(pub Vec<(String, Secret)>);

impl FromStr for JwtKeys {
    type Err = &'static str;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let keys = text
            .split(',')
            .map(|pair| match pair.trim().split_once(':') {
                Some((kid, secret)) if !kid.is_empty() && secret.len() >= 32 => {
                    Ok((kid.to_owned(), Secret::new(secret)))
                }
                Some((kid, _)) if !kid.is_empty() => Err("has a secret shorter than 32 bytes"),
                _ => Err("is not of the form kid:secret[,kid:secret…]"),
            })
            .collect::<Result<Vec<(String, Secret)>, _>>()?;
        let mut kids: Vec<&str> = keys.iter().map(|(kid, _)| kid.as_str()).collect();
        kids.sort_unstable();
        if kids.windows(2).any(|pair| pair[0] == pair[1]) {
            return Err("has two keys of the same name");
        }
        Ok(Self(keys))
    }
}
