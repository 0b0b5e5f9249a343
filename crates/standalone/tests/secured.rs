//! Both programs over TLS, each with the least rights that `docs/security.md` gives it, and
//! `check-config` that proves these rights.
#![expect(clippy::unwrap_used, reason = "a panic is how a test reports")]

#[path = "secured/kafka_acls.rs"]
mod kafka_acls;

use std::{net::TcpListener, process::Output, sync::Arc};

use fred::{
    clients::Client,
    interfaces::ClientLike,
    types::{Builder, ClusterHash, CustomCommand, Value, config::Config},
};
use tempfile::TempDir;
use testing::{
    http::{ApiClient, ApiRequest},
    patience::{PATIENCE, eventually},
    process::{RunningProgram, program},
};

use self::kafka_acls::{Acl, Operation, Resource};

/// A setting that `deploy/dev/servers` gives.
fn setting(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| {
        panic!("{name} is not set: use `make test`, or `deploy/dev/servers run -- cargo test`")
    })
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).unwrap().port()
}

/// A user of all three servers.
#[derive(Clone, Copy, PartialEq, Eq)]
enum User {
    Gateway,
    Processors,
}

impl User {
    fn name(self) -> &'static str {
        match self {
            User::Gateway => "gateway",
            User::Processors => "processors",
        }
    }
}

/// Topics, a database and users of one test.
struct Installation {
    run: String,
    directory: TempDir,
    port: u16,
    secret: String,
    topics: Vec<(&'static str, String)>,
}

impl Installation {
    async fn prepare() -> Self {
        let run = format!("s{:012x}", fastrand::u64(..1 << 48));
        let topics = ["care", "runs", "views", "audit", "events", "access"]
            .map(|name| (name, format!("clinicwire.{name}.v1.{run}")));
        let installation = Self {
            directory: tempfile::tempdir().unwrap(),
            port: setting("CLINICWIRE_SERVERS_PORT").parse().unwrap(),
            secret: setting("CLINICWIRE_SERVERS_SECRET"),
            topics: topics.to_vec(),
            run,
        };
        std::fs::write(installation.directory.path().join("password"), &installation.secret)
            .unwrap();
        let (server, run) = (setting("CLINICWIRE_POSTGRES"), &installation.run);
        installation.sql(&server, &format!("CREATE DATABASE clinicwire_{run}")).await;
        let prepared = installation
            .common("clinicwire-processors", &["prepare"])
            .env("CLINICWIRE_KAFKA", setting("CLINICWIRE_KAFKA"))
            .env("CLINICWIRE_POSTGRES", installation.database())
            .output();
        assert_success(&prepared.unwrap());
        installation.create_logins().await;
        installation.create_redis_users().await;
        kafka_acls::create(&setting("CLINICWIRE_KAFKA"), &installation.kafka_acls());
        installation
    }

    /// The database, as its owner reaches it.
    fn database(&self) -> String {
        let server = setting("CLINICWIRE_POSTGRES");
        let (address, _) = server.rsplit_once('/').unwrap();
        format!("{address}/clinicwire_{}", self.run)
    }

    async fn sql(&self, url: &str, statements: &str) {
        let (client, connection) =
            tokio_postgres::connect(url, tokio_postgres::NoTls).await.unwrap();
        tokio::spawn(connection);
        client.batch_execute(statements).await.unwrap();
    }

    /// The name of a user in servers that other tests use too.
    fn login(&self, user: User) -> String {
        format!("{}_{}", user.name(), self.run)
    }

    async fn create_logins(&self) {
        for (user, role) in
            [(User::Gateway, "clinicwire_gateway"), (User::Processors, "clinicwire_processor")]
        {
            let (login, secret) = (self.login(user), &self.secret);
            let create =
                format!("CREATE ROLE {login} LOGIN PASSWORD '{secret}'; GRANT {role} TO {login}");
            self.sql(&self.database(), &create).await;
        }
    }

    async fn create_redis_users(&self) {
        let config = Config::from_url(&setting("CLINICWIRE_REDIS")).unwrap();
        let client: Client = Builder::from_config(config).build().unwrap();
        client.init().await.unwrap();
        for (user, rules) in [
            (
                User::Gateway,
                "%R~cw:{* ~cw:once:* ~cw:quota:* +get +hgetall +hmget +zrank +set +getdel \
                 +time +info +eval +evalsha +script|load +ping +hello +client|setname +client|id \
                 +quit",
            ),
            (
                User::Processors,
                "~cw:{* ~cw:covered:* ~cw:heads:* +get +set +del +hget +hgetall +hset +hdel +zadd \
                 +zrem +zrange +expire +persist +info +eval +evalsha +script|load +ping +hello \
                 +client|setname +client|id +quit",
            ),
        ] {
            let (login, secret) = (self.login(user), format!(">{}", self.secret));
            let fixed = ["SETUSER", &login, "reset", "on", &secret].map(str::to_owned);
            let arguments: Vec<String> =
                fixed.into_iter().chain(rules.split_whitespace().map(str::to_owned)).collect();
            let command = CustomCommand::new_static("ACL", ClusterHash::FirstKey, false);
            client.custom::<Value, _>(command, arguments).await.unwrap();
        }
    }

    fn topic(&self, name: &str) -> &str {
        &self.topics.iter().find(|(known, _)| *known == name).unwrap().1
    }

    /// The rights that `docs/security.md` gives to each program.
    fn kafka_acls(&self) -> Vec<Acl> {
        use Operation::{Describe, DescribeConfigs, Read, Write};
        let allow = |user: User, resource: &Resource, operation| Acl {
            principal: format!("User:{}", user.name()),
            resource: resource.clone(),
            operation,
        };
        let mut acls = Vec::new();
        let mut topic = |user, name: &str, operations: &[Operation]| {
            let resource = Resource::Topic(self.topic(name).to_owned());
            for operation in [Describe, DescribeConfigs].iter().chain(operations) {
                acls.push(allow(user, &resource, *operation));
            }
        };
        for (name, operations) in [
            ("care", &[Write][..]),
            ("runs", &[Write]),
            ("views", &[Read]),
            ("audit", &[Write]),
            ("access", &[Read, Write]),
        ] {
            topic(User::Gateway, name, operations);
        }
        for (name, operations) in [
            ("care", &[Read, Write][..]),
            ("runs", &[Read, Write]),
            ("views", &[Read, Write]),
            ("audit", &[Read]),
            ("events", &[Write]),
            ("access", &[Read, Write]),
        ] {
            topic(User::Processors, name, operations);
        }
        for group in ["", ".runs", ".audit"].map(|end| format!("{}{end}", self.run)) {
            acls.push(allow(User::Processors, &Resource::Group(group), Read));
        }
        acls
    }

    /// A program with the settings that do not depend on its user.
    fn common(&self, name: &str, arguments: &[&str]) -> std::process::Command {
        let files = self.directory.path().join("files");
        let mut command = program(name);
        command
            .args(arguments)
            .env("CLINICWIRE_FILES", format!("file://{}", files.display()))
            .env("CLINICWIRE_GROUP", &self.run)
            .env("CLINICWIRE_PARTITIONS", "2")
            .env("CLINICWIRE_METRICS_LISTEN", "127.0.0.1:0")
            .env("CLINICWIRE_INSECURE_DEVELOPMENT_KEY", &self.run)
            .env("CLINICWIRE_DRAIN_DELAY", "0")
            .env("CLINICWIRE_DRAIN", "1");
        for (topic, name) in &self.topics {
            command.env(format!("CLINICWIRE_{}_TOPIC", topic.to_uppercase()), name);
        }
        command
    }

    /// A program that reaches every server by TLS, as a user with few rights.
    fn secured(&self, name: &str, arguments: &[&str], user: User) -> std::process::Command {
        let authority = format!("{}/tls/ca.pem", setting("CLINICWIRE_SERVERS"));
        let password = self.directory.path().join("password").display().to_string();
        let (login, port) = (self.login(user), self.port);
        let redis = format!(
            "rediss://{login}@localhost:{}?ca_file={authority}&password_file={password}",
            port + 5
        );
        let postgres = format!(
            "postgres://{login}@localhost:{}/clinicwire_{}?sslmode=verify-full\
             &sslrootcert={authority}&password_file={password}",
            port + 3,
            self.run
        );
        let mut command = self.common(name, arguments);
        command
            .env("CLINICWIRE_KAFKA", format!("localhost:{}", port + 4))
            .env("CLINICWIRE_KAFKA_SECURITY", "sasl-ssl")
            .env("CLINICWIRE_KAFKA_CA", &authority)
            .env("CLINICWIRE_KAFKA_USER", user.name())
            .env("CLINICWIRE_KAFKA_PASSWORD_FILE", &password)
            .env("CLINICWIRE_REDIS", redis)
            .env("CLINICWIRE_POSTGRES", postgres);
        command
    }

    /// The server, as `deploy/dev/servers` lets its administrator reach it.
    fn as_administrator(&self) -> String {
        let server = setting("CLINICWIRE_POSTGRES");
        let place = server.rsplit_once('@').unwrap().1;
        let host = place.split_once('/').unwrap().0;
        format!("postgres://administrator:{}@{host}/postgres", self.secret)
    }

    /// A session of a login can outlive its program for a moment. Only the administrator may end
    /// the sessions of every login.
    async fn remove(self) {
        let server = self.as_administrator();
        self.sql(&server, &format!("DROP DATABASE clinicwire_{} WITH (FORCE)", self.run)).await;
        for user in [User::Gateway, User::Processors] {
            self.sql(&server, &format!("DROP ROLE {}", self.login(user))).await;
        }
    }
}

fn text(output: &Output) -> String {
    let (out, error) = (&output.stdout, &output.stderr);
    format!("{}{}", String::from_utf8_lossy(out), String::from_utf8_lossy(error))
}

fn assert_success(output: &Output) {
    assert!(output.status.success(), "{}", text(output));
}

/// The lines of a report that say what is wrong.
fn faults(output: &Output) -> Vec<String> {
    let text = text(output);
    text.lines().filter(|line| line.starts_with("FAULT")).map(str::to_owned).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn programs_with_the_least_rights_serve_over_tls() {
    let installation = Arc::new(Installation::prepare().await);
    let check = |name: &'static str, arguments: &'static [&str], user| {
        let installation = installation.clone();
        tokio::task::spawn_blocking(move || {
            installation.secured(name, arguments, user).output().unwrap()
        })
    };
    let gateway_check = &["check-config", "--connect"];
    let (gateway, processors, swapped) = tokio::join!(
        check("clinicwire-gateway", gateway_check, User::Gateway),
        check("clinicwire-processors", &["check-config", "--connect", "run"], User::Processors),
        // The rights of the processors are too many for a gateway, and too few.
        check("clinicwire-gateway", gateway_check, User::Processors),
    );
    for output in [gateway.unwrap(), processors.unwrap()] {
        assert_success(&output);
        assert!(!text(&output).contains(&installation.secret), "a report holds the password");
    }
    let swapped = swapped.unwrap();
    assert_eq!(swapped.status.code(), Some(2));
    let found = faults(&swapped).join("\n");
    for expected in [
        format!("write {}: allowed, and must be refused", installation.topic("views")),
        format!("write {}: refused, and must be allowed", installation.topic("audit")),
        "redis: write views: allowed, and must be refused".to_owned(),
    ] {
        assert!(found.contains(&expected), "{expected} is not in\n{}", text(&swapped));
    }
    serve(&installation).await;
    let Ok(installation) = Arc::try_unwrap(installation) else { panic!("a check still runs") };
    installation.remove().await;
}

/// Runs both programs, and gives a command that needs all servers.
async fn serve(installation: &Installation) {
    let log = |name: &str| installation.directory.path().join(format!("{name}.log"));
    let listen = format!("127.0.0.1:{}", free_port());
    let mut run = installation.secured("clinicwire-processors", &["run"], User::Processors);
    let processors = RunningProgram::start_with_log(&mut run, log("processors")).unwrap();
    let serve = ["run", "--listen", &listen];
    let mut run = installation.secured("clinicwire-gateway", &serve, User::Gateway);
    let gateway = RunningProgram::start_with_log(&mut run, log("gateway")).unwrap();
    let (node, api) = (format!("http://{listen}"), ApiClient::new(PATIENCE));
    eventually("the node is ready", async || {
        assert!(gateway.is_running() && processors.is_running(), "{}", gateway.log_text());
        let answer = api.send(&node, ApiRequest::get("/health/ready")).await.ok()?;
        (answer.status == 200).then_some(())
    })
    .await;
    let issuer = testing::tokens::DevelopmentIssuer::from_words(&installation.run, 3600);
    let admin = issuer.sign("admin", &serde_json::json!({}));
    let place = serde_json::json!({
        "name": "Secured", "time_zone": "America/Toronto", "languages": ["fr"],
    });
    let path = "/v1/locations/secured";
    let create = ApiRequest::new(hyper::Method::PUT, path).token(&admin).json(place);
    let deadline = tokio::time::Instant::now() + PATIENCE;
    let answer = api.settle(&node, create, deadline).await.unwrap();
    assert_eq!(answer.status, 200, "{}", answer.text);
    let board = ApiRequest::get("/v1/boards/secured").token(&admin);
    let answer = api.send(&node, board).await.unwrap();
    assert_eq!(answer.status, 200, "{}", answer.text);
    gateway.terminate().await;
    processors.terminate().await;
}

/// Starts the program with this address of the database, and returns what it says when it ends.
async fn start_with(installation: &Arc<Installation>, name: &'static str, url: &str) -> Output {
    let mut run = installation.common(name, &["run"]);
    run.env("CLINICWIRE_POSTGRES", url)
        .env_remove("CLINICWIRE_INSECURE_POSTGRES_LOGIN")
        .env("CLINICWIRE_LISTEN", "127.0.0.1:0");
    for server in ["CLINICWIRE_KAFKA", "CLINICWIRE_REDIS"] {
        run.env(server, setting(server));
    }
    let run = tokio::task::spawn_blocking(move || run.output());
    let ended = tokio::time::timeout(PATIENCE, run).await;
    ended.expect("the program refuses to start").unwrap().unwrap()
}

/// Row-level security binds no superuser, no role with `BYPASSRLS`, no owner of a table, and no
/// login that can become the owner. Programs with such a login must not serve without the flag for
/// it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn logins_above_row_level_security_do_not_serve() {
    let installation = Arc::new(Installation::prepare().await);
    let (as_owner, run) = (installation.database(), &installation.run);
    let (member, bypassing) = (format!("member_{run}"), format!("bypassing_{run}"));
    let (account, place) = as_owner.split_once("://").unwrap().1.rsplit_once('@').unwrap();
    let owner = account.split_once(':').unwrap().0;
    let secret = &installation.secret;
    let url = |login: &str| format!("postgres://{login}:{secret}@{place}");
    let as_administrator = installation.as_administrator();
    let create = format!(
        "CREATE ROLE {member} LOGIN PASSWORD '{secret}';
         CREATE ROLE {bypassing} LOGIN BYPASSRLS PASSWORD '{secret}';
         GRANT clinicwire_gateway, clinicwire_processor, {owner} TO {member};
         GRANT clinicwire_gateway, clinicwire_processor TO {bypassing}"
    );
    installation.sql(&as_administrator, &create).await;
    for (login, power) in [
        (owner, "owns the tables"),
        (&member, "owns the tables"),
        (&bypassing, "has BYPASSRLS"),
        ("administrator", "is a superuser"),
    ] {
        for name in ["clinicwire-gateway", "clinicwire-processors"] {
            let refused = start_with(&installation, name, &url(login)).await;
            let said = text(&refused);
            assert!(!refused.status.success(), "{name} as {login}");
            assert!(said.contains(&format!("the login {login} {power}")), "{name}: {said}");
            assert!(said.contains("--insecure-postgres-login"), "{name}: {said}");
        }
    }
    let drop = format!("DROP ROLE {member}, {bypassing}");
    installation.sql(&as_administrator, &drop).await;
    let Ok(installation) = Arc::try_unwrap(installation) else { panic!("a program still runs") };
    installation.remove().await;
}
