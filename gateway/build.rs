//! Lists the files of `web/` for `http::pages`, so that a new page or script needs no change in
//! Rust.

use std::{
    env,
    fmt::Write,
    fs,
    path::{Path, PathBuf},
};

/// File types that the gateway serves. Everything else in `web/` is for development only.
const SERVED: [&str; 7] = ["html", "css", "js", "svg", "csv", "png", "webmanifest"];

fn main() {
    println!("cargo::rerun-if-changed=web");
    guard_kafka_metadata();
    let web = Path::new(&env::var("CARGO_MANIFEST_DIR").expect("cargo sets it")).join("web");
    let mut files = Vec::new();
    collect(&web, &mut files);
    files.sort();
    let mut list = String::from("[\n");
    for path in &files {
        let name = path.strip_prefix(&web).expect("the file was found below this directory");
        let name = name.to_str().expect("names of files in web/ are ASCII");
        let path = path.display().to_string();
        writeln!(list, "    ({name:?}, include_bytes!({path:?}) as &[u8]),")
            .expect("writing to a string cannot fail");
    }
    list.push(']');
    let out = env::var("OUT_DIR").expect("cargo sets it");
    fs::write(Path::new(&out).join("pages.rs"), list)
        .expect("cargo's output directory can be written");
}

/// Adds the served files in `directory` and below it to `files`.
fn collect(directory: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).expect("gateway/web is part of the sources") {
        let path = entry.expect("a directory that opens can be read").path();
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|kind| SERVED.iter().any(|served| kind == *served)) {
            files.push(path);
        }
    }
}

/// Puts `servers::guard_kafka_metadata!` in front of the function of librdkafka that it guards.
fn guard_kafka_metadata() {
    if env::var("CARGO_CFG_TARGET_OS").is_ok_and(|system| system == "linux") {
        println!("cargo::rustc-link-arg-bins=-Wl,--wrap=rd_kafka_metadata_update_op");
    }
}
