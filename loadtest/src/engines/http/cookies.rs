//! Cookie jar of one user. There is none until the first cookie.

use std::sync::{Mutex, MutexGuard, PoisonError};

use cookie_store::CookieStore;
use hyper::{
    HeaderMap,
    header::{self, HeaderValue},
};
use url::Url;

/// Cookies of one user.
#[derive(Debug, Default)]
pub struct Jar(Mutex<Option<Box<CookieStore>>>);

impl Jar {
    /// Cookies that the request itself names join the user's.
    pub fn add(&self, rendered: &[String], url: &Url) {
        let mut cookies = self.lock();
        let jar = cookies.get_or_insert_with(Box::default);
        for cookie in rendered {
            // What is no cookie is not sent.
            jar.parse(cookie, url).map(|_| ()).unwrap_or_default();
        }
    }

    /// Value of the `Cookie` header for a URL, if there are cookies for it.
    #[must_use]
    pub fn header(&self, url: impl FnOnce() -> Option<Url>) -> Option<HeaderValue> {
        let cookies = self.lock();
        let jar = cookies.as_ref()?;
        let pairs: Vec<String> =
            jar.get_request_values(&url()?).map(|(name, value)| format!("{name}={value}")).collect();
        HeaderValue::from_str(&pairs.join("; ")).ok().filter(|_| !pairs.is_empty())
    }

    /// Keeps what an answer sets.
    pub fn keep(&self, headers: &HeaderMap, url: impl FnOnce() -> Option<Url>) {
        if !headers.contains_key(header::SET_COOKIE) {
            return;
        }
        let Some(url) = url() else { return };
        let mut cookies = self.lock();
        let jar = cookies.get_or_insert_with(Box::default);
        for value in headers.get_all(header::SET_COOKIE) {
            if let Ok(text) = value.to_str() {
                // What is no cookie, or of another site, is not kept.
                jar.parse(text, &url).map(|_| ()).unwrap_or_default();
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Option<Box<CookieStore>>> {
        // Each change is whole: a panic elsewhere leaves nothing half done.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
