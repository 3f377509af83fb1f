//! What `mingizuk --version` says: the version and the profile of the build, which measurements name.

use std::{env, path::Path};

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    // Cargo tells a build script whether a profile is like `release`, but its name only by the folder: target/PROFILE/build/…/out.
    let out = env::var("OUT_DIR").unwrap_or_default();
    let profile = Path::new(&out).ancestors().nth(3).and_then(Path::file_name).unwrap_or_default();
    let version = env::var("CARGO_PKG_VERSION").unwrap_or_default();
    println!("cargo:rustc-env=MINGIZUK_VERSION={version} ({})", profile.display());
}
