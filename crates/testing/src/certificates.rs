//! Certificates for tests, made by the program `openssl`.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

/// An authority that only its tests trust, and its files.
pub struct TestAuthority {
    directory: PathBuf,
}

/// A certificate of `localhost` and 127.0.0.1, and its key, in PEM form.
#[derive(Debug, Clone)]
pub struct TestCertificate {
    pub certificate: PathBuf,
    pub key: PathBuf,
}

impl TestAuthority {
    /// Makes an authority with files in an existing directory.
    ///
    /// # Panics
    /// When `openssl` is missing or fails.
    #[must_use]
    pub fn new(directory: &Path) -> Self {
        let authority = Self { directory: directory.to_owned() };
        let (key, certificate) = (authority.file("ca.key"), authority.certificate());
        let mut request = request(&key, "/CN=Test authority");
        openssl(request.args(["-x509", "-days", "2", "-out"]).arg(certificate));
        authority
    }

    /// The certificate that clients trust.
    #[must_use]
    pub fn certificate(&self) -> PathBuf {
        self.file("ca.pem")
    }

    fn file(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    /// Issues a certificate that ends in so many days, and may have ended.
    ///
    /// # Panics
    /// When `openssl` fails.
    #[must_use]
    pub fn issue(&self, name: &str, days: i32) -> TestCertificate {
        let key = self.file(&format!("{name}.key"));
        let certificate = self.file(&format!("{name}.pem"));
        let (asked, names) = (self.file(&format!("{name}.csr")), self.file("names"));
        fs::write(&names, "subjectAltName=DNS:localhost,IP:127.0.0.1\n").expect("a directory");
        openssl(request(&key, "/CN=localhost").arg("-out").arg(&asked));
        let mut sign = Command::new("openssl");
        sign.args(["x509", "-req", "-CAcreateserial", "-days", &days.to_string(), "-in"]);
        sign.arg(&asked).arg("-CA").arg(self.certificate());
        sign.arg("-CAkey").arg(self.file("ca.key"));
        openssl(sign.arg("-extfile").arg(&names).arg("-out").arg(&certificate));
        TestCertificate { certificate, key }
    }
}

/// A request for a certificate with a new key.
fn request(key: &Path, subject: &str) -> Command {
    let mut request = Command::new("openssl");
    request.args(["req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]);
    request.args(["-subj", subject, "-keyout"]).arg(key);
    request
}

fn openssl(command: &mut Command) {
    let output = command.stdin(Stdio::null()).output().expect("openssl is installed");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {said}");
}
