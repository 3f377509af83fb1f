//! Templates are named by the migrations that are compiled in: a new one must be noticed.

fn main() {
    println!("cargo:rerun-if-changed=../migrations");
}
