//! The migrations are embedded; a new file must be noticed although nothing names it yet.

fn main() {
    println!("cargo::rerun-if-changed=../migrations");
    println!("cargo::rerun-if-changed=build.rs");
}
