//! Lists `web/` for the pages module, so that a new page or script needs no change in Rust.

use std::{env, fmt::Write, fs, path::Path};

fn main() {
    println!("cargo::rerun-if-changed=web");
    let root = env::var("CARGO_MANIFEST_DIR").expect("cargo sets it");
    let mut paths: Vec<_> = fs::read_dir(Path::new(&root).join("web"))
        .expect("gateway/web is part of the sources")
        .map(|entry| entry.expect("a directory that opens can be read").path())
        .filter(|path| {
            path.extension().is_some_and(|kind| {
                ["html", "css", "js", "svg", "csv"].iter().any(|own| kind == *own)
            })
        })
        .collect();
    paths.sort();
    let mut list = String::from("[\n");
    for path in &paths {
        let name =
            path.file_name().and_then(|name| name.to_str()).expect("names of pages are ASCII");
        writeln!(
            list,
            "    ({name:?}, include_bytes!({:?}) as &[u8]),",
            path.display().to_string()
        )
        .expect("writing to a string cannot fail");
    }
    list.push(']');
    let out = env::var("OUT_DIR").expect("cargo sets it");
    fs::write(Path::new(&out).join("pages.rs"), list)
        .expect("cargo's output directory can be written");
}
