//! Responses without content (204).

/// Declares what an operation answers that has nothing to say, from what is so afterwards: an enum whose only value is `Done`.
macro_rules! no_content {
    ($name:ident, $so:tt) => {
        /// Done; there is nothing to say.
        #[derive(poem_openapi::ApiResponse)]
        pub enum $name {
            #[doc = $so]
            #[oai(status = 204)]
            Done,
        }
    };
}
pub(crate) use no_content;
