//! The allowed directions of dependencies, read from the manifests. They keep rules free of I/O,
//! gateways free of decisions, and the build of a fresh clone short.
#![expect(clippy::unwrap_used, reason = "a panic is how a test reports")]

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    process::Command,
};

use serde_json::Value;

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");

fn cargo(arguments: &[&str]) -> String {
    let output = Command::new(env!("CARGO")).current_dir(ROOT).args(arguments).output().unwrap();
    assert!(
        output.status.success(),
        "cargo {arguments:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap()
}

/// One dependency of a manifest.
struct Dependency {
    name: String,
    /// Neither a dev-dependency nor a build-dependency.
    normal: bool,
    default_features: bool,
}

fn manifests() -> BTreeMap<String, Vec<Dependency>> {
    let metadata: Value =
        serde_json::from_str(&cargo(&["metadata", "--no-deps", "--format-version=1"])).unwrap();
    let dependency = |dependency: &Value| Dependency {
        name: dependency["name"].as_str().unwrap().to_owned(),
        normal: dependency["kind"].is_null(),
        default_features: dependency["uses_default_features"].as_bool().unwrap(),
    };
    let package = |package: &Value| {
        let dependencies =
            package["dependencies"].as_array().unwrap().iter().map(dependency).collect();
        (package["name"].as_str().unwrap().to_owned(), dependencies)
    };
    metadata["packages"].as_array().unwrap().iter().map(package).collect()
}

fn normal(package: &str) -> BTreeSet<String> {
    let dependencies = manifests().remove(package).expect("a package of the workspace");
    dependencies
        .into_iter()
        .filter(|dependency| dependency.normal)
        .map(|dependency| dependency.name)
        .collect()
}

/// All crates that a build of the package from the root compiles and links.
fn tree(package: &str) -> BTreeSet<String> {
    let lines =
        cargo(&["tree", "--edges=normal", "--prefix=none", "--format={p}", "--package", package]);
    lines.lines().filter_map(|line| line.split(' ').next()).map(str::to_owned).collect()
}

fn assert_without(package: &str, unwanted: &[&str]) {
    let tree = tree(package);
    let found: Vec<_> = unwanted.iter().filter(|name| tree.contains(**name)).collect();
    assert!(found.is_empty(), "{package} brings {found:?}");
}

const RUNTIMES_AND_IO: [&str; 12] = [
    "tokio",
    "mio",
    "socket2",
    "hyper",
    "axum",
    "rdkafka",
    "fred",
    "tokio-postgres",
    "getrandom",
    "reqwest",
    "async-std",
    "smol",
];

#[test]
fn gateway_and_processors_never_depend_on_each_other() {
    let manifests = manifests();
    let depends =
        |from: &str, on: &str| manifests[from].iter().any(|dependency| dependency.name == on);
    assert!(!depends("clinicwire-gateway", "clinicwire-processors"));
    assert!(!depends("clinicwire-gateway-core", "clinicwire-processors"));
    for gateway in ["clinicwire-gateway", "clinicwire-gateway-core"] {
        assert!(!depends("clinicwire-processors", gateway));
    }
}

#[test]
fn servers_depends_on_neither_side() {
    let servers = normal("clinicwire-servers");
    for side in ["clinicwire-gateway", "clinicwire-gateway-core", "clinicwire-processors"] {
        assert!(!servers.contains(side), "clinicwire-servers depends on {side}");
    }
}

#[test]
fn only_standalone_and_the_simulation_depend_on_both_sides() {
    for (package, dependencies) in manifests() {
        let knows = |name: &str| dependencies.iter().any(|dependency| dependency.name == name);
        let both = knows("clinicwire-gateway") && knows("clinicwire-processors");
        let may = ["clinicwire-standalone", "clinicwire-simulation"].contains(&package.as_str());
        assert_eq!(both, may, "{package}");
    }
}

#[test]
fn schemas_have_no_runtime_or_io() {
    // jiff parses times. A check below makes sure that it is never asked for the current time.
    // base64 and hmac: gateways show the secrets of webhooks, and processors sign with them.
    let allowed = [
        "base64",
        "bytes",
        "hmac",
        "jiff",
        "rustc-hash",
        "schemars",
        "serde",
        "serde_json",
        "sha2",
        "thiserror",
    ]
    .map(str::to_owned);
    let unknown: Vec<_> =
        normal("clinicwire-schemas").into_iter().filter(|name| !allowed.contains(name)).collect();
    assert!(unknown.is_empty(), "{unknown:?}");
    assert_without("clinicwire-schemas", &RUNTIMES_AND_IO);
    assert_pure(&Path::new(ROOT).join("schemas/src"));
}

#[test]
fn gateway_core_has_no_runtime_lock_or_log() {
    let allowed =
        ["bytes", "clinicwire-schemas", "prost", "serde", "serde_json", "sha2", "thiserror"]
            .map(str::to_owned);
    let unknown: Vec<_> = normal("clinicwire-gateway-core")
        .into_iter()
        .filter(|name| !allowed.contains(name))
        .collect();
    assert!(unknown.is_empty(), "{unknown:?}");
    assert_without("clinicwire-gateway-core", &RUNTIMES_AND_IO);
    assert_without(
        "clinicwire-gateway-core",
        &["parking_lot", "dashmap", "tracing", "log", "chrono", "rand"],
    );
    assert_pure(&Path::new(ROOT).join("gateway/core/src"));
}

/// Parts of the standard library that break the rule without a crate. Programs under `bin` may use
/// them.
fn assert_pure(directory: &Path) {
    const IMPURE: [&str; 13] = [
        "Timestamp::now",
        "Zoned::now",
        "Instant::now",
        "SystemTime",
        "std::fs",
        "std::net",
        "std::env",
        "std::process",
        "std::thread",
        "Mutex",
        "RwLock",
        "println!",
        "thread::",
    ];
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() && !path.ends_with("bin") {
            assert_pure(&path);
        } else if path.extension().is_some_and(|extension| extension == "rs")
            && !path.ends_with("tests.rs")
        {
            let text = std::fs::read_to_string(&path).unwrap();
            let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
            let found: Vec<_> = IMPURE.iter().filter(|word| code.contains(**word)).collect();
            assert!(found.is_empty(), "{}: {found:?}", path.display());
        }
    }
}

#[test]
fn standalone_disables_server_features() {
    let manifests = manifests();
    let parts = manifests["clinicwire-standalone"].iter().filter(|dependency| {
        dependency.normal
            && ["clinicwire-gateway", "clinicwire-processors"].contains(&dependency.name.as_str())
    });
    let parts: Vec<_> = parts.map(|part| (part.name.as_str(), part.default_features)).collect();
    assert_eq!(parts, [("clinicwire-gateway", false), ("clinicwire-processors", false)]);
}

#[test]
fn standalone_links_no_server_client() {
    let clients = [
        "clinicwire-servers",
        "rdkafka",
        "rdkafka-sys",
        "fred",
        "tokio-postgres",
        "deadpool-postgres",
        "refinery",
        "openssl-sys",
    ];
    assert_without("clinicwire-standalone", &clients);
}

#[test]
fn processors_have_no_sockets_or_rules_of_access() {
    // `jsonwebtoken` signs what push services ask for (VAPID); nobody's token is read.
    let unwanted = ["tungstenite", "tokio-tungstenite", "clinicwire-gateway-core"];
    assert_without("clinicwire-processors", &unwanted);
}

#[test]
fn gateway_has_no_migrations_or_rules() {
    assert_without("clinicwire-gateway", &["refinery", "clinicwire-processors"]);
}
