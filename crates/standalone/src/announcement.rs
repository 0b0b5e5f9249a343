//! The text that `clinicwire` prints once it serves: the address to open, how to get a token, how
//! to stop.
//!
//! The text contains no token: terminals keep what they show, and logs of terminals get shared.

use std::path::Path;

use crate::ready::ReadyFile;

/// The parts of the announcement that the command line decides.
#[derive(Debug)]
pub struct Announcement<'a> {
    /// The path by which the program was called, so that the printed commands run unchanged.
    pub program: &'a str,
    /// The path that `--ready-file` named; `token` finds the default file without one.
    pub named_file: Option<&'a Path>,
    /// The file that was written, if any.
    pub ready_file: Option<&'a Path>,
    /// The speed of the demo clinic, or none without a demo.
    pub speed: Option<f64>,
    /// Whether rules were stored, so that the built-in ones are not active.
    pub has_rules: bool,
}

impl Announcement<'_> {
    /// The text for the terminal: at most 15 lines.
    pub fn text(&self, ready: &ReadyFile) -> String {
        let url = &ready.url;
        let body = match self.speed {
            Some(speed) => self.demo(url, speed),
            None => self.empty(ready),
        };
        let file = self
            .ready_file
            .map(|path| format!("  Script   addresses, tokens and ids: {}\n", path.display()))
            .unwrap_or_default();
        format!("\n{body}{file}  Stop     Ctrl-C\n")
    }

    fn demo(&self, url: &str, speed: f64) -> String {
        let token = self.token_command("reception", url);
        format!(
            "A demo clinic is running at {speed} times real speed. Nothing is stored.\n\n  \
             Open     {url}/\n           Every page is linked there, each with its own token.\n  \
             Token    {token}\n           Other roles: {} token --help\n",
            self.program
        )
    }

    fn empty(&self, ready: &ReadyFile) -> String {
        let (url, location) = (&ready.url, &ready.location);
        let token = self.token_command("admin", url);
        format!(
            "Clinicwire serves tenant {} at {url}. Nothing exists yet. Nothing is stored.\n\n{}  \
             Create   token=$({token})\n           \
             curl -X PUT {url}/v1/locations/{location} \
             -H \"Authorization: Bearer $token\" \\\n             \
             -H 'Content-Type: application/json' \\\n             \
             -d '{{\"name\":\"Riverside\",\
             \"time_zone\":\"America/Toronto\",\"languages\":[\"en\"]}}'\n",
            ready.tenant,
            self.rules()
        )
    }

    /// Which rules check claims files, and how to install the others.
    fn rules(&self) -> String {
        match self.has_rules {
            true => "  Rules    Those of --rules check claims files.\n".to_owned(),
            false => format!(
                "  Rules    The built-in rule office-fee alone checks claims files.\n           \
                 All shipped rules: {} --empty --rules shipped\n",
                self.program
            ),
        }
    }

    /// The command that prints a token of this clinic.
    fn token_command(&self, role: &str, url: &str) -> String {
        let program = self.program;
        match (self.named_file, url.rsplit_once(':')) {
            (Some(path), _) => format!("{program} token {role} --ready-file {}", path.display()),
            (None, Some((_, port))) if port != "8080" => {
                format!("{program} token {role} --port {port}")
            }
            (None, _) => format!("{program} token {role}"),
        }
    }
}
