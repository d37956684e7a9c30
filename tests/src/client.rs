//! The REST API as any program would use it: `bootstrap`'s own client.

pub use bootstrap::api::{Answer, Client};

/// Tells the names of one run from those of another on a kept installation.
#[must_use]
pub fn mark() -> String {
    std::process::id().to_string()
}

/// Makes a user of this run with roles and signs in.
///
/// # Errors
/// When the platform refuses.
pub async fn member(admin: &Client, name: &str, roles: &[&str]) -> anyhow::Result<Client> {
    admin.user(&format!("{name}-{}", mark()), roles, None).await
}
