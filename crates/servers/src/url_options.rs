//! Options of a server's URL that its client library does not know.

use std::{
    io,
    path::{Path, PathBuf},
};

/// Why a secret cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("cannot read the password in {}", .file.display())]
pub struct UnreadableSecret {
    file: PathBuf,
    source: io::Error,
}

/// The options that were taken out of a URL.
#[derive(Default)]
pub(crate) struct UrlOptions {
    /// Authorities that sign the server's certificate, in place of the system's.
    pub(crate) ca_file: Option<PathBuf>,
    /// File with the password, so that it is neither on a command line nor in an environment.
    pub(crate) password_file: Option<PathBuf>,
    /// `sslmode`, of PostgreSQL alone.
    pub(crate) ssl_mode: Option<String>,
}

impl UrlOptions {
    /// Takes the options out of a URL, and returns the rest of it.
    pub(crate) fn take(url: &str) -> (Self, String) {
        let mut options = Self::default();
        let Some((base, query)) = url.split_once('?') else { return (options, url.to_owned()) };
        let rest: Vec<_> = query.split('&').filter(|pair| !options.read(pair)).collect();
        let rest = if rest.is_empty() { String::new() } else { format!("?{}", rest.join("&")) };
        (options, format!("{base}{rest}"))
    }

    /// Whether the pair is one of these options.
    fn read(&mut self, pair: &str) -> bool {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        match name {
            "ca_file" | "sslrootcert" => self.ca_file = Some(decode(value).into()),
            "password_file" => self.password_file = Some(decode(value).into()),
            "sslmode" => self.ssl_mode = Some(value.to_owned()),
            _ => return false,
        }
        true
    }

    /// The password in the file, if there is one.
    pub(crate) fn password(&self) -> Result<Option<String>, UnreadableSecret> {
        self.password_file.as_deref().map(read_secret).transpose()
    }
}

/// Reads a secret, without the white space at its end.
///
/// # Errors
/// [`UnreadableSecret`], which names the file only.
pub(crate) fn read_secret(file: &Path) -> Result<String, UnreadableSecret> {
    let text = std::fs::read_to_string(file)
        .map_err(|source| UnreadableSecret { file: file.to_owned(), source })?;
    Ok(text.trim_end().to_owned())
}

/// Decodes `%2F` and the like.
fn decode(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        let digits = tail.get(..2).and_then(|digits| std::str::from_utf8(digits).ok());
        let decoded = digits.and_then(|digits| u8::from_str_radix(digits, 16).ok());
        match decoded.filter(|_| *first == b'%') {
            Some(byte) => {
                bytes.push(byte);
                rest = &tail[2..];
            }
            None => {
                bytes.push(*first);
                rest = tail;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_options_are_taken_out_of_a_url() {
        for (url, rest, ca_file) in [
            ("postgres://a@b/c", "postgres://a@b/c", None),
            ("postgres://b/c?sslmode=require", "postgres://b/c", None),
            (
                "postgres://b/c?options=-c%20x&ca_file=/etc/ca%2Bown.pem&connect_timeout=3",
                "postgres://b/c?options=-c%20x&connect_timeout=3",
                Some("/etc/ca+own.pem"),
            ),
            ("rediss://b?sslrootcert=/a%zz", "rediss://b", Some("/a%zz")),
        ] {
            let (options, left) = UrlOptions::take(url);
            assert_eq!((left.as_str(), options.ca_file), (rest, ca_file.map(PathBuf::from)));
        }
    }
}
