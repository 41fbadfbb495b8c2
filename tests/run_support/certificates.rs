//! Certificates of a test's own, made by the `openssl` program.

use std::path::{Path, PathBuf};
use std::process::Command;

/// A folder with authorities and what they have signed: `<name>.key` and `<name>.crt`.
pub struct Certificates(tempfile::TempDir);

impl Certificates {
    pub fn new() -> Self {
        Self(tempfile::Builder::new().prefix("run-certificates").tempdir_in("/tmp").unwrap())
    }

    pub fn path(&self, file: &str) -> PathBuf {
        self.0.path().join(file)
    }

    /// A key and a certificate that signs itself.
    pub fn authority(&self, name: &str) {
        self.new_key(name);
        let subject = format!("/CN={name}");
        let constraints = "basicConstraints=critical,CA:TRUE";
        self.openssl(&["req", "-x509", "-new", "-days", "30", "-subj", &subject, "-addext", constraints], name);
    }

    /// A key and a certificate that `authority` signs, for a common name and, where it is not empty, an alternative name
    /// such as `DNS:localhost`.
    pub fn certificate(&self, name: &str, authority: &str, common_name: &str, alternative: &str) {
        self.new_key(name);
        let [request, certificate, signer, signer_key] =
            [(name, "csr"), (name, "crt"), (authority, "crt"), (authority, "key")]
                .map(|(of, kind)| self.text(of, kind));
        let key = self.text(name, "key");
        openssl(&["req", "-new", "-key", &key, "-subj", &format!("/CN={common_name}"), "-out", &request]);
        let extensions = self.text(name, "ext");
        let names = if alternative.is_empty() { String::new() } else { format!("\nsubjectAltName={alternative}") };
        std::fs::write(&extensions, format!("basicConstraints=critical,CA:FALSE{names}\n")).unwrap();
        openssl(&[
            "x509",
            "-req",
            "-days",
            "30",
            "-in",
            &request,
            "-CA",
            &signer,
            "-CAkey",
            &signer_key,
            "-CAcreateserial",
            "-extfile",
            &extensions,
            "-out",
            &certificate,
        ]);
    }

    fn new_key(&self, name: &str) {
        openssl(&["ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", &self.text(name, "key")]);
    }

    fn openssl(&self, arguments: &[&str], name: &str) {
        let files = [self.text(name, "key"), self.text(name, "crt")];
        openssl(&[arguments, &["-key", &files[0], "-out", &files[1]]].concat());
    }

    fn text(&self, name: &str, kind: &str) -> String {
        self.path(&format!("{name}.{kind}")).display().to_string()
    }
}

fn openssl(arguments: &[&str]) {
    let made = Command::new("openssl").args(arguments).output().expect("the program openssl");
    assert!(made.status.success(), "openssl {arguments:?}: {}", String::from_utf8_lossy(&made.stderr));
}

/// Gives a file to a server's user, readable by nobody else, as the server demands of its key.
pub fn install(from: &Path, folder: &Path, name: &str) {
    use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
    let target = folder.join(name);
    std::fs::copy(from, &target).unwrap();
    std::fs::set_permissions(&target, std::fs::Permissions::from_mode(0o600)).unwrap();
    let owner = std::fs::metadata(folder).unwrap();
    chown(&target, Some(owner.uid()), Some(owner.gid())).unwrap();
}
