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

/// A script that asks on the host of the console itself.
pub(crate) fn script(port: u16) -> String {
    format!(
        "exec 3<>/dev/tcp/127.0.0.1/{port} && printf 'GET /api/v1/session/first HTTP/1.0\\r\\nHost: localhost\\r\\n\\r\\n' >&3 && timeout 5 cat <&3"
    )
}

/// Reads what the script printed.
pub(crate) fn read(said: &str) -> OneTime {
    let body = said.split_once("\r\n\r\n").map_or("", |(_, body)| body);
    let pending = serde_json::from_str::<Value>(body)
        .ok()
        .and_then(|body| body["pending"].as_bool());
    match pending {
        Some(true) => OneTime::Unused,
        Some(false) => OneTime::Used,
        None => OneTime::Unknown,
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
    fn what_the_console_says_on_its_host() {
        let head = "HTTP/1.0 200 OK\r\ncontent-type: application/json\r\n\r\n";
        assert_eq!(read(&format!("{head}{{\"pending\":true}}")), OneTime::Unused);
        assert_eq!(read(&format!("{head}{{\"pending\":false}}")), OneTime::Used);
        assert_eq!(read("HTTP/1.0 503\r\n\r\n{}"), OneTime::Unknown);
        assert_eq!(read(""), OneTime::Unknown);
    }

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
