//! Writes `schemas/json/` from the types: `cargo run -p clinicwire-schemas --features json-schema`.

use std::{fs, io, path::Path};

fn main() -> io::Result<()> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("json");
    if folder.exists() {
        fs::remove_dir_all(&folder)?;
    }
    fs::create_dir_all(&folder)?;
    for (name, schema) in schemas::json_schema::files() {
        fs::write(folder.join(name), schemas::json_schema::text(&schema))?;
    }
    Ok(())
}
