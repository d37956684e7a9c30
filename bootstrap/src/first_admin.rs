//! Whether the first admin still has the one-time password: asked of the platform itself, which alone knows.

use std::time::Duration;

use reqwest::{Client, StatusCode};
use serde_json::{Value, json};

/// What the platform said about the one-time password.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OneTime {
    /// It still opens the door.
    Unused,
    /// A person has chosen another password.
    Used,
    /// The platform did not say; keep it.
    Unknown,
}

/// Decides from the answer to a sign-in.
fn judge(status: StatusCode, body: &Value) -> OneTime {
    match status {
        StatusCode::UNAUTHORIZED => OneTime::Used,
        status if status.is_success() => match body.get("password_change_required") {
            Some(Value::Bool(false)) => OneTime::Used,
            _ => OneTime::Unused,
        },
        _ => OneTime::Unknown,
    }
}

/// Signs in with it and out again.
pub(crate) async fn ask(address: &str, password: &str) -> OneTime {
    sign_in(address, password).await.unwrap_or(OneTime::Unknown)
}

async fn sign_in(address: &str, password: &str) -> Result<OneTime, reqwest::Error> {
    let client = Client::builder()
        .no_proxy()
        .cookie_store(true)
        .timeout(Duration::from_secs(5))
        .build()?;
    let session = format!("{}/api/v1/session", address.trim_end_matches('/'));
    let answer = client
        .post(&session)
        .json(&json!({"name": "admin", "password": password}))
        .send()
        .await?;
    let status = answer.status();
    let body = answer.json::<Value>().await.unwrap_or_default();
    if status.is_success() {
        client.delete(&session).send().await?;
    }
    Ok(judge(status, &body))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_clear_answer_counts() {
        let table = [
            (401, json!({}), OneTime::Used),
            (200, json!({"password_change_required": false}), OneTime::Used),
            (200, json!({"password_change_required": true}), OneTime::Unused),
            (429, json!({}), OneTime::Unknown),
            (503, json!(null), OneTime::Unknown),
        ];
        for (status, body, expected) in table {
            assert_eq!(
                judge(StatusCode::from_u16(status).unwrap(), &body),
                expected,
                "{status} {body}"
            );
        }
    }
}
