//! Untrusted bytes, and clients who know the ids of others.
#![expect(clippy::unwrap_used, reason = "a panic is how a test reports")]

mod any_bytes;
mod canary;
