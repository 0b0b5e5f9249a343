use std::fs;

use tempfile::TempDir;
use testing::certificates::TestAuthority;

use super::*;
use crate::readiness::Readiness;

/// Files of a node, over which tests copy certificates.
struct Node {
    authority: TestAuthority,
    files: TlsFiles,
    _directory: TempDir,
}

impl Node {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let authority = TestAuthority::new(directory.path());
        let file = |name| directory.path().join(name);
        let files = TlsFiles { certificate: file("node.pem"), key: file("node.key") };
        let node = Self { authority, files, _directory: directory };
        node.install("first", 1);
        node
    }

    fn install(&self, name: &str, days: i32) {
        let issued = self.authority.issue(name, days);
        fs::copy(issued.certificate, &self.files.certificate).unwrap();
        fs::copy(issued.key, &self.files.key).unwrap();
    }
}

#[test]
fn changed_pair_is_used_and_its_end_is_told() {
    let (node, metrics) = (Node::new(), Arc::new(Metrics::new()));
    let certificates = Certificates::read(node.files.clone(), metrics.clone()).unwrap();
    let (before, first_end) = (certificates.config(), metrics.tls.certificate_ends.get());
    assert!(first_end > now());
    assert!(!certificates.replace().unwrap());
    node.install("second", 30);
    assert!(certificates.replace().unwrap());
    assert!(!Arc::ptr_eq(&before, &certificates.config()));
    assert!(metrics.tls.certificate_ends.get() > first_end + 28 * 24 * 3600);
}

#[tokio::test]
async fn refused_reload_is_counted() {
    let (node, metrics) = (Node::new(), Arc::new(Metrics::new()));
    let certificates = Arc::new(Certificates::read(node.files.clone(), metrics.clone()).unwrap());
    let keeping = tokio::spawn({
        let certificates = certificates.clone();
        async move { certificates.keep_fresh().await }
    });
    let until = async |result: &str| {
        let line = format!("clinicwire_tls_reloads_total{{result=\"{result}\"}} 1\n");
        certificates.reload();
        while !metrics.text(&Readiness::default()).contains(&line) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    fs::write(&node.files.key, "no key").unwrap();
    until("refused").await;
    node.install("whole", 30);
    until("used").await;
    keeping.abort();
}

#[test]
fn bad_pair_is_refused_once_and_the_old_one_stays() {
    let node = Node::new();
    let certificates = Certificates::read(node.files.clone(), Arc::default()).unwrap();
    let before = certificates.config();
    let other = node.authority.issue("other", 30);
    // As while a renewal has replaced one of the two files.
    fs::copy(&other.certificate, &node.files.certificate).unwrap();
    assert!(matches!(certificates.replace(), Err(CertificateError::Unusable(_))));
    assert!(!certificates.replace().unwrap(), "the same files are not tried again");
    node.install("ended", -1);
    assert!(matches!(certificates.replace(), Err(CertificateError::Ended)));
    fs::write(&node.files.key, "no key").unwrap();
    assert!(matches!(certificates.replace(), Err(CertificateError::NoKey(_))));
    fs::write(&node.files.certificate, "").unwrap();
    assert!(matches!(certificates.replace(), Err(CertificateError::NoCertificate(_))));
    fs::remove_file(&node.files.certificate).unwrap();
    assert!(matches!(certificates.replace(), Err(CertificateError::Unreadable(..))));
    assert!(Arc::ptr_eq(&before, &certificates.config()));
    node.install("whole", 30);
    assert!(certificates.replace().unwrap());
}
