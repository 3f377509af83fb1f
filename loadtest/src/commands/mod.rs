//! Commands of the load suite that run scripts.

pub mod check;
pub mod console;
pub mod quick;
pub mod run;

pub use check::Check;
pub use quick::Quick;
pub use run::Run;
