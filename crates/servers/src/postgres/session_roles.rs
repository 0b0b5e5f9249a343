//! The roles of a session. Row-level security does not bind a superuser, a role with BYPASSRLS, or
//! the owner of a table, who can also switch it off.

use tokio_postgres::Client;

use super::PostgresError;

/// A power over row-level security that no service may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RoleFault {
    /// The role is a superuser.
    Superuser,
    /// The role has `BYPASSRLS`.
    BypassRls,
    /// The role owns the tables, or can become their owner.
    Owner,
}

impl RoleFault {
    fn text(self) -> &'static str {
        match self {
            Self::Superuser => "is a superuser",
            Self::BypassRls => "has BYPASSRLS",
            Self::Owner => "owns the tables",
        }
    }
}

/// Why a session must not serve.
#[derive(Debug, thiserror::Error)]
pub enum UnsafeSession {
    /// PostgreSQL does not answer.
    #[error(transparent)]
    Postgres(#[from] PostgresError),
    /// The role of the session is above row-level security.
    #[error("the role {role} {}: row-level security would not bind it", .fault.text())]
    Role {
        /// The name of the role.
        role: String,
        /// The power that it has.
        fault: RoleFault,
    },
    /// The login could leave its role.
    #[error(
        "the login {role} {}: it could leave its role and read every tenant. Give the program a \
         login of its own (see docs/security.md) or, on a machine without patients, add \
         --insecure-postgres-login",
        .fault.text()
    )]
    Login {
        /// The name of the login's role.
        role: String,
        /// The power that it has.
        fault: RoleFault,
    },
}

/// Which logins a session may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LoginPolicy {
    /// A login that cannot become more than its role.
    #[default]
    Limited,
    /// Also the owner of the tables or a superuser: for development.
    Any,
}

/// The current role and the login, with what they have. `MEMBER` holds for a login that can become
/// the owner; `USAGE` for a role that has the owner's rights already.
const ROLES: &str = "SELECT r.rolname::text, r.rolname = current_user, r.rolsuper, \
        r.rolbypassrls, EXISTS (SELECT FROM pg_class c WHERE c.relkind IN ('r', 'p') \
            AND c.relnamespace = 'clinicwire'::regnamespace \
            AND pg_has_role(r.oid, c.relowner, \
                CASE WHEN r.rolname = current_user THEN 'USAGE' ELSE 'MEMBER' END)) \
    FROM pg_roles r WHERE r.rolname IN (current_user, session_user) \
    ORDER BY r.rolname = current_user DESC";

/// Checks that neither the session's role nor its login is above row-level security.
///
/// # Errors
/// [`UnsafeSession`]
pub async fn check_session(client: &Client, policy: LoginPolicy) -> Result<(), UnsafeSession> {
    for row in client.query(ROLES, &[]).await.map_err(PostgresError::from)? {
        let (role, is_current): (String, bool) = (row.get(0), row.get(1));
        let faults = [RoleFault::Superuser, RoleFault::BypassRls, RoleFault::Owner];
        let mut columns = faults.into_iter().zip(2usize..);
        let Some((fault, _)) = columns.find(|(_, column)| row.get(*column)) else {
            continue;
        };
        match (is_current, policy) {
            (true, _) => return Err(UnsafeSession::Role { role, fault }),
            (false, LoginPolicy::Limited) => return Err(UnsafeSession::Login { role, fault }),
            (false, LoginPolicy::Any) => {
                let fault = fault.text();
                tracing::warn!("the login of PostgreSQL {fault}: not for machines with patients");
            }
        }
    }
    Ok(())
}
